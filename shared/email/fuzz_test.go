package email

import (
	"bytes"
	"encoding/hex"
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

func FuzzHeader(f *testing.F) {
	for _, s := range []string{"A: b\n c\nD: e\n\n", " A: b\n\n", "From x\nA: b\nno colon\nC: d\n\n", "A: b\rC: d\n\n", "a; b=c; d*0*=utf-8''%41; d*1=\"x\"\n", ":\n", "A:\n\tb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		hr := headerReader{limit: 1 << 16, note: func(string) {}}
		lines := strings.Split(s, "\n")
		for i, l := range lines {
			ahead := strings.Join(lines[i+1:], "\n")
			if done, _ := hr.add([]byte(l), []byte(ahead[:min(len(ahead), 1024)])); done {
				break
			}
		}
		for _, field := range hr.fields {
			if field.key == "" || strings.ContainsAny(field.key+field.value, "\r\n") || strings.ToLower(field.key) != field.key {
				t.Fatalf("%q from %q", field, s)
			}
			_, ps := parseParams(field.value, "")
			for name, v := range ps {
				if !utf8.ValidString(v) || !utf8.ValidString(fileName(v)) || strings.ContainsAny(fileName(v), "/\\\r\n\x00") {
					t.Fatalf("%q=%q from %q", name, v, s)
				}
			}
			parseDate(field.value)
		}
	})
}

func FuzzCharset(f *testing.F) {
	for _, s := range []struct{ charset, text string }{{"", "plain"}, {"utf-8", "\xc3\xa4\xe4"}, {"utf-7", "Hi +AOQ-"}, {"iso-2022-kr", "\x1b$)C\x0e0!\x0f"},
		{"iso-2022-jp", "\x1b$BF|K\\\x1b(B"}, {"utf-16", "a\x00b\x00"}, {"utf-32", "\x00\x00\x00a"}, {"us-ascii", "\x82\xa0\x82\xa2"}, {"big5", "\xa4\xa4\xa4\xe5"},
		{"x-unknown", "\xff"}, {"hz", "~{VPND~}"}, {"koi8-r", "\xd0\xd2\xc9"}, {"", "\xd0\xd2\xc9\xd7\xc5\xd4"}} {
		f.Add(s.charset, []byte(s.text))
	}
	f.Fuzz(func(t *testing.T, charset string, b []byte) {
		text, _ := decodeCharset(b, charset)
		if !utf8.ValidString(text) {
			t.Fatalf("%q in %q: %q", b, charset, text)
		}
		if utf8.Valid(b) && !isSevenBit(cleanCharset(charset)) && !isWide(cleanCharset(charset)) && !hasJISEscape(b) && text != strings.TrimPrefix(string(b), "\ufeff") {
			t.Fatalf("UTF-8 %q in %q became %q", b, charset, text)
		}
		if len(text) > 8*len(b)+8 {
			t.Fatalf("%d bytes became %d", len(b), len(text))
		}
	})
}

func FuzzTNEF(f *testing.F) {
	message, _ := hex.DecodeString(messageIID)
	rtf, _ := hex.DecodeString(compressed)
	inner := newTNEF().attribute(1, attBody, []byte("inner")).file("x", []byte("y")).Bytes()
	f.Add(newTNEF().codepage(1251).file("\xf6\xe5.xls", []byte("data")).file("b", nil, namedProperty(), prop(typeUnicode, propAttachLong, wide("long"))).Bytes())
	f.Add(newTNEF().file("", nil, prop(typeObject, propAttachData, append(message, inner...))).Bytes())
	f.Add(newTNEF().attribute(1, attMsgProps, properties(prop(typeBinary, propRTF, rtf), prop(typeString8|typeMulti, propBody, []byte("x")))).Bytes())
	f.Add(newTNEF().attribute(1, attMsgProps, properties(prop(typeBinary, propRTF, append([]byte("\x00\x00\x00\x00\x00\x00\x00\x00MELA\x00\x00\x00\x00"),
		`{\rtf1{\fonttbl{\f1\fcharset204 C;}}\f1 \'c4\u1044?\bin3 abc}`...)))).Bytes())
	lim := Limits{Bytes: 1 << 20, Parts: 20, Depth: 4, HeaderBytes: 4096, Links: 10, TextBytes: 16 << 10}
	f.Fuzz(func(t *testing.T, envelope []byte) {
		saved, size := 0, int64(0)
		m, err := Parse(strings.NewReader(tnefMail("", envelope)), "", lim, func(_ Part, r io.Reader) error {
			n, err := io.Copy(io.Discard, r)
			saved, size = saved+1, size+n
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		checkMail(t, "", m)
		if len(m.Parts) != saved || saved > lim.Parts+1 || len(m.Text) > lim.TextBytes {
			t.Fatalf("%d parts, %d saved, %d bytes of text", len(m.Parts), saved, len(m.Text))
		}
		if size > 4*int64(len(envelope))+int64(lim.Parts*4*lim.TextBytes) {
			t.Fatalf("%d bytes out of %d", size, len(envelope))
		}
		if saved == 0 && m.Text == "" && m.HTML == "" {
			t.Logf("nothing shown: %q", m.Degraded)
		}
	})
}
