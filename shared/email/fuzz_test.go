package email

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	if _, err := os.Stat(corpusDir); err == nil {
		corpusMails(f, func(_ string, raw []byte) {
			if len(raw) < 4096 {
				f.Add(raw)
			}
		})
	}
	lim := Limits{Bytes: 1 << 20, Parts: 50, Depth: 5, HeaderBytes: 16 << 10, Links: 10, TextBytes: 64 << 10}
	f.Fuzz(func(t *testing.T, raw []byte) {
		parts := 0
		m, err := Parse(bytes.NewReader(raw), "", lim, func(_ Part, r io.Reader) error {
			parts++
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if err != nil {
			if err != ErrEmpty {
				t.Fatal(err)
			}
			return
		}
		checkMail(t, "", m)
		if len(m.Parts) != parts || parts > lim.Parts || len(m.Text) > lim.TextBytes || m.Bytes > lim.Bytes {
			t.Fatalf("%d parts, %d saved, %d bytes of text, %d read", len(m.Parts), parts, len(m.Text), m.Bytes)
		}
		if m.Bytes != int64(len(raw)) && int64(len(raw)) <= lim.Bytes {
			t.Fatalf("read %d of %d bytes", m.Bytes, len(raw))
		}
		checkAnswer(t, m)
	})
}

// checkAnswer: whatever came in, an answer to it can be written, or is refused by name.
func checkAnswer(t *testing.T, m *Mail) {
	t.Helper()
	if _, suppress := m.Suppress(); suppress {
		return
	}
	d := Draft{From: Address{"", "support@example.net"}, To: m.From[:1], Subject: ReplySubject(m.Subject), InReplyTo: m.MessageID,
		References: m.References, Text: m.Text}
	var b bytes.Buffer
	if err := Compose(&b, d); err != nil {
		if _, ok := err.(*FieldError); !ok {
			t.Fatal(err)
		}
		return
	}
	back, err := Parse(bytes.NewReader(b.Bytes()), "", Limits{}, nil)
	if err != nil || len(back.From) != 1 || back.From[0].Addr != "support@example.net" || len(back.To) != 1 || len(back.Cc) != 0 {
		t.Fatalf("%v: %+v", err, back)
	}
}

func FuzzAddressList(f *testing.F) {
	for _, s := range []string{"a@b", `"x, y" <a@b>, c@d`, "g: a@b, c@d;", "a@b (c)", `"\`, "<", "<@a,@b:c@d>", "=?utf-8?q?=C3?= <a@b>", "((("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, a := range ParseAddressList(s) {
			if a.Addr == "" || !utf8.ValidString(a.Addr) || !utf8.ValidString(a.Name) || strings.ContainsAny(a.Addr+a.Name, "\r\n\x00") {
				t.Fatalf("%q from %q", a, s)
			}
			if n := Normalize(a.Addr); Normalize(n) != n {
				t.Fatalf("Normalize(%q) = %q, then %q", a.Addr, n, Normalize(n))
			}
		}
	})
}

func FuzzMessageIDs(f *testing.F) {
	for _, s := range []string{"<a@b>", "<a@b> <c@d>", "<<a@b>", "a@b", "<a\n b@c>", "<>", "<\xff@b>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ids := ParseMessageIDs(s)
		seen := map[string]bool{}
		for _, id := range ids {
			if id == "" || seen[id] || !utf8.ValidString(id) || strings.ContainsAny(id, "<> \t\r\n\x00") {
				t.Fatalf("%q from %q", id, s)
			}
			seen[id] = true
		}
		if again := ParseMessageIDs("<" + strings.Join(ids, "> <") + ">"); len(ids) > 0 && strings.Join(again, " ") != strings.Join(ids, " ") {
			t.Fatalf("%q then %q", ids, again)
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	for _, s := range []string{"plain", "=?utf-8?q?=C3=A4?=", "=?utf-8?b?w6Q=?= =?utf-8?b?w6Q=?=", "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "=?x?q?y?=", "=?utf-8?q?=C3", "\xe4", "a\r\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := DecodeHeader(s)
		if !utf8.ValidString(d) || strings.ContainsAny(d, "\r\n\x00") {
			t.Fatalf("%q from %q", d, s)
		}
		if text := strings.TrimSpace(d); DecodeHeader(encodeText(text, 9)) != text {
			t.Fatalf("%q is read back as %q", text, DecodeHeader(encodeText(text, 9)))
		}
	})
}
