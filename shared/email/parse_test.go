package email

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestParseEmpty(t *testing.T) {
	for _, raw := range []string{"", "\r\n", " \n\t\n\r\n", "\ufeff\n", "From a@example.com Mon Mar  2 10:15:00 2026\n\n"} {
		if m, err := Parse(strings.NewReader(raw), "", Limits{}, nil); !errors.Is(err, ErrEmpty) {
			t.Errorf("%q: %v, %+v", raw, err, m)
		}
	}
}

const twoParts = "From: a@example.com\nMessage-ID: <x@example.com>\nContent-Type: multipart/mixed; boundary=b\n\n" +
	"--b\n\ntext\n--b\nContent-Type: image/png\n\npicture\n--b\nContent-Type: image/gif\n\nother\n--b--\n"

func TestParseReturnsForeignErrors(t *testing.T) {
	broken := errors.New("broken")
	for n := range len(twoParts) {
		r := io.MultiReader(strings.NewReader(twoParts[:n]), iotest.ErrReader(broken))
		if m, err := Parse(r, "", Limits{}, nil); !errors.Is(err, broken) {
			t.Fatalf("read error after %d bytes: %v, %+v", n, err, m)
		}
	}
	_, err := Parse(strings.NewReader(twoParts), "", Limits{}, func(p Part, _ io.Reader) error { return broken })
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "part 2") {
		t.Errorf("save error: %v", err)
	}
}

func TestParseWhateverTheReaderGives(t *testing.T) {
	want := parseString(t, twoParts)
	for name, r := range map[string]io.Reader{"bytes": iotest.OneByteReader(strings.NewReader(twoParts)),
		"data with EOF": iotest.DataErrReader(strings.NewReader(twoParts)), "halves": iotest.HalfReader(strings.NewReader(twoParts))} {
		m, err := Parse(r, "", Limits{}, nil)
		if err != nil || m.ContentFingerprint != want.ContentFingerprint || !slices.Equal(m.Parts, want.Parts) {
			t.Errorf("%s: %v %+v", name, err, m)
		}
	}
}

func TestSaveMayLeaveContentUnread(t *testing.T) {
	m, err := Parse(strings.NewReader(twoParts), "", Limits{}, func(_ Part, r io.Reader) error {
		_, err := io.ReadFull(r, make([]byte, 2))
		return err
	})
	if err != nil || len(m.Parts) != 2 || m.Parts[0].Size != 7 || m.Parts[1].Size != 5 {
		t.Errorf("%v %+v", err, m)
	}
	if whole := parseString(t, twoParts); whole.ContentFingerprint != m.ContentFingerprint {
		t.Error("the fingerprint depends on what save reads")
	}
}

func TestLimits(t *testing.T) {
	nested := "From: a@example.com\n"
	for i := range 50 {
		nested += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	var links strings.Builder
	for i := range 50 {
		fmt.Fprintf(&links, `<a href="https://example.com/%d">link</a> `, i)
	}
	tests := []struct {
		name, raw string
		lim       Limits
		check     func(*Mail) bool
	}{
		{"bytes", "From: a@example.com\n\n" + strings.Repeat("x", 1000), Limits{Bytes: 500}, func(m *Mail) bool { return m.Bytes == 500 && len(m.Text) == 479 }},
		{"parts", twoParts, Limits{Parts: 2}, func(m *Mail) bool { return len(m.Parts) == 1 }},
		{"depth", nested + "\nend", Limits{Depth: 5}, func(m *Mail) bool { return len(m.Parts) == 1 && m.Parts[0].Type == "application/octet-stream" }},
		{"header", "From: a@example.com\nX-Long: " + strings.Repeat("x", 100<<10) + "\nSubject: late\n\nbody", Limits{HeaderBytes: 4096},
			func(m *Mail) bool { return m.Text == "body" && len(m.From) == 1 && m.Subject == "" }},
		{"text", "From: a@example.com\n\n" + strings.Repeat("ä", 1000), Limits{TextBytes: 101}, func(m *Mail) bool { return m.Text == strings.Repeat("ä", 50) }},
		{"links", "From: a@example.com\nContent-Type: text/html\n\n" + links.String(), Limits{Links: 3}, func(m *Mail) bool { return strings.Count(m.Text, "<https") == 3 }},
		{"addresses", "From: a@example.com\nTo: " + strings.Repeat("b@example.com, ", 3000) + "\n\nbody", Limits{}, func(m *Mail) bool { return len(m.To) == maxAddresses }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Parse(strings.NewReader(tt.raw), "", tt.lim, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(m.Degraded, "limit:"+tt.name) || !tt.check(m) {
				t.Errorf("%q, %d bytes, %d parts %+v, text %.200q", m.Degraded, m.Bytes, len(m.Parts), m.Parts, m.Text)
			}
		})
	}
}

// bigMail is a mail of about 35 MB with one attachment of 25 MB, made while it is read.
func bigMail() io.Reader {
	line := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1, 2, 3}, 19)) + "\r\n"
	lines := (25 << 20) / 57
	chunk := strings.Repeat(line, 1000)
	readers := []io.Reader{strings.NewReader("From: a@example.com\r\nMessage-ID: <big@example.com>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/zip; name=big.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n")}
	for n := lines; n > 0; n -= 1000 {
		readers = append(readers, strings.NewReader(chunk[:min(n, 1000)*len(line)]))
	}
	return io.MultiReader(append(readers, strings.NewReader("--b--\r\n"))...)
}

func TestBigMailIsStreamed(t *testing.T) {
	m, extra := parseMeasured(t, bigMail())
	if len(m.Parts) != 1 || m.Parts[0].Size != (25<<20)/57*57 || len(m.Degraded) > 0 {
		t.Fatalf("%+v", m)
	}
	t.Logf("%d MB of mail, %d MiB of extra heap", m.Bytes/1e6, extra)
	if extra >= 64 {
		t.Errorf("%d MiB of extra heap", extra)
	}
}

// parseMeasured parses with a save that reads everything and returns how many MiB the heap grew meanwhile.
func parseMeasured(t *testing.T, r io.Reader) (m *Mail, extraMiB int64) {
	t.Helper()
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	runtime.GC()
	before, peak := heap(), uint64(0)
	m, err := Parse(r, "", Limits{}, func(_ Part, r io.Reader) error {
		buf := make([]byte, 64<<10)
		for n := 0; ; n++ {
			if n%16 == 0 {
				peak = max(peak, heap())
			}
			if _, err := r.Read(buf); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, (int64(peak) - int64(before)) >> 20
}

// TestHostileMailTakesLinearTime would run into the test's time limit if anything were quadratic.
func TestHostileMailTakesLinearTime(t *testing.T) {
	const n = 250 << 10
	for name, s := range map[string]string{
		"parentheses": "(", "quotes": `"`, "brackets": "<", "commas in brackets": "<a,", "colons": ":", "at and colons": "@:", "words": "=?a?q?x ",
		"word starts": "=?", "semicolons": ";", "parameters": "a*0*=", "percent": "%", "backslashes": `\`, "addresses": "a@b,",
		"blockquotes": "<blockquote>a", "links": "<a href=x>y", "attribution": "On 2026 a@b 12:30 wrote:\n", "colon lines": "a@b 12:30:\n", "quoted": "> a\n\nb\n",
	} {
		long := strings.Repeat(s, n/len(s))
		begin := time.Now()
		header := strings.ReplaceAll(long, "\n", " ")
		m := parseString(t, "From: "+header+"\nTo: "+header[:100]+"\nSubject: x\nReferences: "+header[:100]+"\n\n"+long)
		SplitReply(m.Text)
		parseString(t, "From: a@example.com\nSubject: "+header+"\n\nx")
		parseString(t, "References: "+header+"\n\nx")
		parseString(t, "Content-Type: text/plain; "+header+"\n\nx")
		if text := parseString(t, "From: a@example.com\nContent-Type: text/html\n\n"+strings.Repeat(long, 3)).Text; len(text) > 2<<20 {
			t.Errorf("%s: text of %d bytes", name, len(text))
		}
		t.Log(name, time.Since(begin).Round(time.Millisecond))
	}
}

func TestFingerprint(t *testing.T) {
	const mail = "From: Ann <ann@example.com>\nTo: support@example.net\nSubject: x\nDate: Mon, 2 Mar 2026 10:15:00 +0100\n"
	base := parseString(t, mail+"\nbody\n")
	same := map[string]string{
		"another way":          "Received: by x\nReturn-Path: <r@example.com>\nDelivered-To: y\nX-Spam: no\n" + mail + "\nbody\n",
		"line ends":            strings.ReplaceAll(mail+"\nbody\n", "\n", "\r\n"),
		"mbox":                 "From x Mon Mar  2 10:15:00 2026\n" + mail + "\nbody\n\n",
		"encoding":             mail + "Content-Transfer-Encoding: base64\n\nYm9keQ==\n",
		"another zone, folded": strings.NewReplacer("10:15:00 +0100", "09:15:00 +0000", "Ann <ann@example.com>", "\n <Ann@EXAMPLE.com>").Replace(mail) + "\nbody",
	}
	for name, raw := range same {
		if m := parseString(t, raw); m.Fingerprint != base.Fingerprint || m.ContentFingerprint != base.ContentFingerprint || m.HasMessageID {
			t.Errorf("%s: %s %s, want %s", name, m.Fingerprint, m.ContentFingerprint, base.Fingerprint)
		}
	}
	for name, raw := range map[string]string{
		"sender": strings.Replace(mail, "ann@", "bob@", 1) + "\nbody\n", "body": mail + "\nbody2\n", "subject": strings.Replace(mail, "Subject: x", "Subject: y", 1) + "\nbody\n",
		"date": strings.Replace(mail, "10:15", "10:16", 1) + "\nbody\n", "recipient": strings.Replace(mail, "support", "sales", 1) + "\nbody\n",
	} {
		if m := parseString(t, raw); m.Fingerprint == base.Fingerprint {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
	a, b := parseString(t, "Message-ID: <id@x>\n"+mail+"\nbody\n"), parseString(t, "Message-ID:\n <id@x>\nFrom: mallory@example.org\n\nother\n")
	if a.Fingerprint != b.Fingerprint || a.Fingerprint != Fingerprint("<id@x>") || a.Fingerprint != Fingerprint("id@x") {
		t.Error("one Message-ID, two fingerprints")
	}
	if a.ContentFingerprint == b.ContentFingerprint || a.ContentFingerprint != base.ContentFingerprint {
		t.Error("the content fingerprint does not tell the contents apart")
	}
}

func TestTransferDecoders(t *testing.T) {
	tests := []struct{ name, encoding, in, out, degraded string }{
		{"base64", "base64", "YWJj\r\nZA==", "abcd", ""},
		{"base64 in pieces", "BASE64 ", "YQ==\nYg==\n", "ab", ""},
		{"base64 with an indent", "base64", " YWJj\n\tZGVm", "abcdef", ""},
		{"base64 with foreign bytes", "base64", "YW*Jj", "abc", "invalid-base64-character"},
		{"base64 cut", "base64", "YWJjZA", "abcd", "truncated-base64"},
		{"base64 cut to nothing", "base64", "YWJjZ", "abc", "truncated-base64"},
		{"quoted", "quoted-printable", "a=3D=c3=A4 \t\r\nb=\r\nc=  \nd", "a=ä\r\nbcd", ""},
		{"quoted, broken", `"quoted-printable"`, "a=zz=", "a=zz", "invalid-quoted-printable"},
		{"none", "8bit", "a=3D", "a=3D", ""},
		{"unknown", "x-uue; odd", "a=3D", "a=3D", "unknown-encoding:x-uue"},
	}
	for _, tt := range tests {
		for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
			var notes []string
			out, err := io.ReadAll(iotest.OneByteReader(transferReader(tt.encoding, r, func(s string) { notes = append(notes, s) })))
			if string(out) != tt.out || err != nil || strings.Join(notes, " ") != tt.degraded {
				t.Errorf("%s: %q %v %q, want %q %q", tt.name, out, err, notes, tt.out, tt.degraded)
			}
		}
	}
}

func TestTextFromHTML(t *testing.T) {
	for in, want := range map[string]string{
		"a<br>b": "a\nb", "<p>a</p><p>b</p>": "a\n\nb", "a  \n b": "a b", "<b>a</b>b <i> c</i>": "ab c", "&amp;&nbsp;&lt;": "& <",
		"<script>x</script>a<style>y</style>": "a", "<pre>a\n  b</pre>": "a\n  b", "<a href='https://x.example/'>x.example</a>": "x.example",
		"<a href='https://x.example/y'>here</a>.": "here <https://x.example/y>.", "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>": "a b\nc",
		"<blockquote>a<blockquote>b</blockquote></blockquote>c": "> a\n> > b\nc", "<img alt=logo>": "[logo]", "<ol><li>a<li>b</ol>": "- a\n- b",
		"": "", "<": "<", "a\u200b\u00adb": "ab", "<head><title>t</title><body>a": "a",
	} {
		if have := TextFromHTML(in); have != want {
			t.Errorf("%q: %q, want %q", in, have, want)
		}
	}
}

func TestParseDate(t *testing.T) {
	for in, want := range map[string]string{
		"Mon, 2 Mar 2026 10:15:00 +0100": "2026-03-02T09:15:00Z", "2 Mar 26 10:15 GMT": "2026-03-02T10:15:00Z", "Mon, 02 Mar 2026 10:15:00 +0100 (CET)": "2026-03-02T09:15:00Z",
		"Mon Mar  2 10:15:00 2026": "2026-03-02T10:15:00Z", "2026-03-02T10:15:00+01:00": "2026-03-02T09:15:00Z", "Mon, 2 Mar 2026 10.15.00 +0100": "2026-03-02T09:15:00Z",
		"yesterday": "0001-01-01T00:00:00Z", "": "0001-01-01T00:00:00Z", "Mon, 2 Mar 0026 10:15:00 +0100": "0001-01-01T00:00:00Z",
	} {
		if have := parseDate(in).UTC().Format("2006-01-02T15:04:05Z"); have != want {
			t.Errorf("%q: %s, want %s", in, have, want)
		}
	}
}

func BenchmarkParseSmall(b *testing.B) {
	raw := []byte("Received: from mx.example.org by mx.example.net; Mon, 2 Mar 2026 10:15:01 +0100\r\nFrom: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\n" +
		"To: support@example.net\r\nSubject: Where is my order?\r\nDate: Mon, 2 Mar 2026 10:15:00 +0100\r\nMessage-ID: <x@example.com>\r\nReferences: <a@x> <b@x>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		strings.Repeat("Some text, gr=C3=BC=C3=9Fe\r\n", 30) + "--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + strings.Repeat("<p>Some text</p>\r\n", 50) + "--b--\r\n")
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(bytes.NewReader(raw), "", Limits{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseBig(b *testing.B) {
	b.SetBytes(35 << 20)
	for b.Loop() {
		if _, err := Parse(bigMail(), "", Limits{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// linksMail is 1 MB of HTML with 2,000 links, the most that is shown of a newsletter.
func linksMail() []byte {
	var b bytes.Buffer
	b.WriteString("From: a@example.com\r\nSubject: news\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>")
	filler := strings.Repeat("Some words of a newsletter. ", 16)
	for i := range 2000 {
		fmt.Fprintf(&b, "<p style=\"color:#333\">%s<a href=\"https://example.com/%d\">link %d</a></p>\r\n", filler[:430], i, i)
	}
	b.WriteString("</body></html>\r\n")
	return b.Bytes()
}

func TestManyLinksAreKept(t *testing.T) {
	raw := linksMail()
	m := parseString(t, string(raw))
	if n := strings.Count(m.Text, "<https://"); n != 2000 || len(raw) < 1_000_000 || len(m.Degraded) > 0 {
		t.Errorf("%d links of %d bytes, %q", n, len(raw), m.Degraded)
	}
}

func BenchmarkParseLinks(b *testing.B) {
	raw := linksMail()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(bytes.NewReader(raw), "", Limits{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
