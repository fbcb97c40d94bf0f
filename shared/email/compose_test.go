package email

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/google/go-cmp/cmp"
	"github.com/jhillyerd/enmime/v2"
	"pgregory.net/rapid"
)

func file(name, mediaType, id, content string) File {
	return File{Name: name, Type: mediaType, ContentID: id, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
}

func draft() Draft {
	return Draft{From: Address{"Support", "support@example.net"}, To: []Address{{"Ann", "ann@example.com"}}, Subject: "RE: x",
		MessageID: "1@example.net", Date: time.Date(2026, 3, 2, 10, 15, 0, 0, time.UTC), Text: "Hello\n"}
}

func compose(tb testing.TB, d Draft) string {
	tb.Helper()
	var b bytes.Buffer
	if err := Compose(&b, d); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

// structure is the tree of media types in a composed mail.
func structure(raw string) string {
	var types []string
	for _, l := range strings.Split(raw, "\r\n") {
		if v, ok := strings.CutPrefix(l, "Content-Type: "); ok {
			t, _, _ := strings.Cut(v, ";")
			types = append(types, t)
		}
	}
	return strings.Join(types, " ")
}

func TestComposeIsAsDeepAsNeeded(t *testing.T) {
	png, pdf := []File{file("a.png", "image/png", "a", "x")}, []File{file("a.pdf", "application/pdf", "", "y")}
	tests := []struct {
		name   string
		change func(*Draft)
		want   string
	}{
		{"text", func(*Draft) {}, "text/plain"},
		{"both", func(d *Draft) { d.HTML = "<p>Hello" }, "multipart/alternative text/plain text/html"},
		{"file", func(d *Draft) { d.Attachments = pdf }, "multipart/mixed text/plain application/pdf"},
		{"picture", func(d *Draft) { d.HTML, d.Inline = "<img src=cid:a>", png }, "multipart/related multipart/alternative text/plain text/html image/png"},
		{"all", func(d *Draft) { d.HTML, d.Inline, d.Attachments = "<img src=cid:a>", png, pdf },
			"multipart/mixed multipart/related multipart/alternative text/plain text/html image/png application/pdf"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := draft()
			tt.change(&d)
			first, again := compose(t, d), compose(t, d)
			if have := structure(first); have != tt.want {
				t.Errorf("%s, want %s", have, tt.want)
			}
			if first != again {
				t.Error("the same draft gives different bytes")
			}
		})
	}
}

func TestComposeHeader(t *testing.T) {
	d := draft()
	d.Subject = "RE: " + strings.Repeat("Ünïcödé ", 40)
	d.From.Name, d.ReplyTo = `Dr. "Q", Support`, Address{"", "reply@bücher.example"}
	d.To = append(d.To, Address{strings.Repeat("長い名前", 20), "b@example.com"})
	d.InReplyTo = "root@example.com"
	for i := range 200 {
		d.References = append(d.References, fmt.Sprintf("%d@example.com", i))
	}
	d.Headers = map[string]string{"Auto-Submitted": "auto-replied", "X-Auto-Response-Suppress": "All"}
	raw := compose(t, d)
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	for _, l := range strings.Split(head, "\r\n") {
		if len(l) > 78 || !isASCII([]byte(l)) || strings.ContainsAny(l, "\r\n") {
			t.Errorf("bad line of %d: %q", len(l), l)
		}
	}
	if !strings.HasPrefix(raw, "Mime-Version: 1.0") && !strings.HasPrefix(raw, "Date: ") {
		t.Errorf("begins with %.40q", raw)
	}
	m := parseString(t, raw)
	want := &Mail{Subject: strings.TrimSpace(d.Subject), From: []Address{d.From}, To: d.To, InReplyTo: []string{"root@example.com"},
		ReplyTo: []Address{{"", "reply@xn--bcher-kva.example"}}, Class: ClassAuto}
	have := &Mail{Subject: m.Subject, From: m.From, To: m.To, InReplyTo: m.InReplyTo, ReplyTo: m.ReplyTo, Class: m.Class}
	if diff := cmp.Diff(want, have, cmp.AllowUnexported(Mail{})); diff != "" {
		t.Error(diff)
	}
	if n := len(m.References); n != maxReferences || m.References[0] != "0@example.com" || m.References[n-1] != "199@example.com" {
		t.Errorf("references: %d %v", n, m.References)
	}
}

func TestComposeRefuses(t *testing.T) {
	const bad = "x\r\nBcc: victim@example.com"
	tests := []struct {
		field  string
		change func(*Draft)
	}{
		{"Subject", func(d *Draft) { d.Subject = bad }},
		{"From", func(d *Draft) { d.From.Name = bad }},
		{"From", func(d *Draft) { d.From.Addr = "" }},
		{"To", func(d *Draft) { d.To[0].Addr = "a@example.com>\r\n" }},
		{"To", func(d *Draft) { d.To[0].Addr = "a@example.com, b@example.com" }},
		{"Cc", func(d *Draft) { d.Cc = []Address{{"x\n", "a@example.com"}} }},
		{"Reply-To", func(d *Draft) { d.ReplyTo = Address{"", "a@\x00"} }},
		{"Message-ID", func(d *Draft) { d.MessageID = "a@b\n" }},
		{"Message-ID", func(d *Draft) { d.MessageID = "<a@b>" }},
		{"In-Reply-To", func(d *Draft) { d.InReplyTo = "a\r" }},
		{"References", func(d *Draft) { d.References = []string{"a@b", "c\n@d"} }},
		{"X-Tag", func(d *Draft) { d.Headers = map[string]string{"X-Tag": bad} }},
		{"X?Tag:", func(d *Draft) { d.Headers = map[string]string{"X\nTag:": "x"} }},
		{"Bcc", func(d *Draft) { d.Headers = map[string]string{"Bcc": "a@b"} }},
		{"attachment file 1", func(d *Draft) { d.Attachments = []File{file("a\r\n.txt", "text/plain", "", "x")} }},
		{"inline file 1", func(d *Draft) { d.Inline = []File{file("a", "image/png", "a\n", "x")} }},
		{"attachment file 1", func(d *Draft) { d.Attachments = []File{{Name: "a", Type: "text/plain"}} }},
	}
	for _, tt := range tests {
		d := draft()
		tt.change(&d)
		var b bytes.Buffer
		err := Compose(&b, d)
		var fe *FieldError
		if !errors.As(err, &fe) || fe.Field != tt.field || b.Len() > 0 {
			t.Errorf("%s: %v, %d bytes written", tt.field, err, b.Len())
		}
	}
}

func TestComposeReportsFileErrors(t *testing.T) {
	broken := errors.New("broken")
	d := draft()
	d.Attachments = []File{{Name: "a", Open: func() (io.ReadCloser, error) { return nil, broken }}}
	if err := Compose(io.Discard, d); !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := Compose(failingWriter{broken}, draft()); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestComposeSigns(t *testing.T) {
	seed := sha256.Sum256([]byte("test key"))
	key := ed25519.NewKeyFromSeed(seed[:])
	d := draft()
	d.HTML = "<p>Grüße"
	d.Attachments = []File{file("ä.txt", "text/plain", "", strings.Repeat("content\n", 1000))}
	d.DKIM = &DKIM{Domain: "example.net", Selector: "s1", Key: key}
	raw := compose(t, d)
	lookup := func(domain string) ([]string, error) {
		if domain != "s1._domainkey.example.net" {
			return nil, fmt.Errorf("unexpected domain %s", domain)
		}
		return []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))}, nil
	}
	for _, tt := range []struct {
		name, raw string
		good      bool
	}{{"as sent", raw, true}, {"changed", strings.Replace(raw, "RE: x", "RE: y", 1), false}} {
		vs, err := dkim.VerifyWithOptions(strings.NewReader(tt.raw), &dkim.VerifyOptions{LookupTXT: lookup})
		if err != nil || len(vs) != 1 || (vs[0].Err == nil) != tt.good {
			t.Errorf("%s: %v %+v", tt.name, err, vs)
		}
	}
}

// scripts are characters of many scripts, emoji with modifiers, right-to-left text and what breaks encoders.
var scripts = []*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Arabic, unicode.Hebrew, unicode.Han,
	unicode.Hiragana, unicode.Hangul, unicode.Thai, unicode.Devanagari, unicode.Armenian, unicode.Sc, unicode.So, unicode.Sk, unicode.ASCII_Hex_Digit}

func textGen() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		words := rapid.SliceOfN(rapid.OneOf(
			rapid.StringOfN(rapid.RuneFrom(nil, scripts...), 1, 40, -1),
			rapid.StringMatching(`[ -~]{1,90}`),
			rapid.SampledFrom([]string{"=?utf-8?q?x?=", "👩‍👩‍👧‍👦", "🏳️‍🌈", "שלום", "مرحبا", "From ", ".", "--", "a=\"b\"", "\\", "'", "日本語テスト", "=", "--=_"}),
		), 1, 12).Draw(t, "words")
		return strings.TrimSpace(strings.ToValidUTF8(strings.Join(words, " "), "x"))
	})
}

func TestComposeParseRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := textGen()
		d := draft()
		d.Subject = text.Draw(t, "subject")
		d.From.Name = strings.Trim(text.Draw(t, "name"), "'() ") // quotes around a whole name are dropped as Outlook's
		d.Text = strings.Join(rapid.SliceOfN(text, 1, 6).Draw(t, "lines"), "\n") + "."
		if rapid.Bool().Draw(t, "html") {
			d.HTML = "<p>" + text.Draw(t, "html text") + "</p>"
		}
		name := rapid.StringOfN(rapid.RuneFrom(nil, scripts...), 1, 80, -1).Draw(t, "file name") + ".txt"
		content := rapid.SliceOfN(rapid.Byte(), 0, 500).Draw(t, "content")
		d.Attachments = []File{file(name, "application/octet-stream", "", string(content))}
		var raw bytes.Buffer
		if err := Compose(&raw, d); err != nil {
			t.Fatal(err)
		}
		for _, l := range strings.Split(raw.String(), "\r\n") {
			if len(l) > 78 || strings.ContainsAny(l, "\r\n") {
				t.Fatalf("line of %d: %q", len(l), l)
			}
		}
		m, saved := parseSaving(t, raw.Bytes())
		want := []string{d.Subject, d.From.Name, trimLines(d.Text), d.HTML, name, string(content)}
		have := []string{m.Subject, m.From[0].Name, trimLines(m.Text), m.HTML, m.Parts[0].Name, saved}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("-want +have:\n%s\n%s", diff, raw.String())
		}
		if len(m.Degraded) > 0 || m.MessageID != d.MessageID || !m.Date.Equal(d.Date) {
			t.Fatalf("degraded %q, ID %s, date %v", m.Degraded, m.MessageID, m.Date)
		}
		e, err := enmime.ReadEnvelope(bytes.NewReader(raw.Bytes()))
		if err != nil || len(e.Errors) > 0 || len(e.Attachments) != 1 {
			t.Fatalf("enmime: %v, %v, %d attachments\n%s", err, e.Errors, len(e.Attachments), raw.String())
		}
		from, err := e.AddressList("From")
		if err != nil || len(from) != 1 {
			t.Fatalf("enmime: From %v, %v", from, err)
		}
		if strings.Contains(d.From.Name, "=?") { // enmime decodes what it has decoded once more
			from[0].Name = d.From.Name
		}
		have = []string{e.GetHeader("Subject"), from[0].Name, trimLines(unixLines(e.Text)), e.HTML, e.Attachments[0].FileName, string(e.Attachments[0].Content)}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("enmime reads: -want +have:\n%s\n%s", diff, raw.String())
		}
	})
}

func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " \t")
	}
	return strings.Join(lines, "\n")
}

func parseSaving(t interface{ Fatal(...any) }, raw []byte) (*Mail, string) {
	var content []byte
	m, err := Parse(bytes.NewReader(raw), "", Limits{}, func(_ Part, r io.Reader) (err error) {
		content, err = io.ReadAll(r)
		return err
	})
	if err != nil || len(m.Parts) != 1 || len(m.From) != 1 {
		t.Fatal(err, m)
	}
	return m, string(content)
}
