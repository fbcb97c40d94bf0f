package email

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// tnefWriter builds envelopes as Outlook does: the data of a file stands before its name.
type tnefWriter struct{ bytes.Buffer }

func newTNEF() *tnefWriter {
	w := &tnefWriter{}
	w.Write([]byte{0x78, 0x9f, 0x3e, 0x22, 1, 0})
	return w
}

func (w *tnefWriter) attribute(level byte, id uint32, data []byte) *tnefWriter {
	var sum uint16
	for _, c := range data {
		sum += uint16(c)
	}
	w.WriteByte(level)
	w.Write(le(id))
	w.Write(le(uint32(len(data))))
	w.Write(data)
	w.Write([]byte{byte(sum), byte(sum >> 8)})
	return w
}

func (w *tnefWriter) codepage(n uint32) *tnefWriter {
	return w.attribute(1, attOemCodepage, append(le(n), 0, 0, 0, 0))
}

func (w *tnefWriter) file(title string, data []byte, props ...[]byte) *tnefWriter {
	w.attribute(2, attAttachRenddata, make([]byte, 14))
	if data != nil {
		w.attribute(2, attAttachData, data)
	}
	if title != "" {
		w.attribute(2, attAttachTitle, append([]byte(title), 0))
	}
	if len(props) > 0 {
		w.attribute(2, attAttachment, properties(props...))
	}
	return w
}

func le(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func properties(props ...[]byte) []byte {
	return append(le(uint32(len(props))), bytes.Join(props, nil)...)
}

func prop(kind, id uint16, value []byte) []byte {
	b := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, kind), id)
	switch kind {
	case typeObject, typeString8, typeUnicode, typeBinary:
		b = append(append(b, le(1)...), le(uint32(len(value)))...)
		value = append(value[:len(value):len(value)], make([]byte, padded(int64(len(value)))-int64(len(value)))...)
	}
	return append(b, value...)
}

func wide(s string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// namedProperty is a property with a name, which must be skipped.
func namedProperty() []byte {
	b := append(prop(typeUnicode, 0x8001, nil)[:4], make([]byte, 16)...)
	b = append(append(b, le(1)...), le(6)...)
	b = append(append(b, wide("ab")...), 0, 0)
	return append(append(append(b, le(1)...), le(4)...), wide("x")...)
}

const tnefHeader = "From: a@example.com\nSubject: x\nContent-Type: multipart/mixed; boundary=b\n\n"

func tnefMail(text string, envelope []byte) string {
	m := tnefHeader
	if text != "" {
		m += "--b\nContent-Type: text/plain; charset=utf-8\n\n" + text + "\n"
	}
	return m + "--b\nContent-Type: application/ms-tnef; name=winmail.dat\nContent-Disposition: attachment; filename=winmail.dat\n" +
		"Content-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString(envelope) + "\n--b--\n"
}

func readParts(t *testing.T, raw string, lim Limits) (*Mail, map[string]string) {
	t.Helper()
	files := map[string]string{}
	m, err := Parse(strings.NewReader(raw), "", lim, func(p Part, r io.Reader) error {
		b, err := io.ReadAll(r)
		files[p.Index] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	checkMail(t, "", m)
	return m, files
}

func TestTNEFFiles(t *testing.T) {
	inner := newTNEF().codepage(1252).attribute(1, attBody, []byte("inner text\r\n\x00")).file("inner.txt", []byte("in"))
	message, _ := hex.DecodeString(messageIID)
	envelope := newTNEF().codepage(1251).
		file("\xf6\xe5\xed\xe0.xls", []byte("data")).
		file("LONGNA~1.PDF", []byte("%PDF"), namedProperty(), prop(3, 0x3705, le(1)), prop(typeUnicode, propAttachLong, wide("Lönge name.pdf")),
			prop(typeString8, propAttachMIME, []byte("application/pdf\x00"))).
		file("", nil, prop(typeBinary, propAttachData, []byte("picture")), prop(typeString8, propAttachName, []byte("p.png\x00")),
			prop(typeUnicode, propAttachContent, wide("<cid@x>"))).
		file("", nil, prop(typeUnicode, propDisplayName, wide("Forwarded")), prop(typeObject, propAttachData, append(message, inner.Bytes()...))).
		file("big.bin", bytes.Repeat([]byte{7}, heldTNEF+1))
	m, files := readParts(t, tnefMail("own text", envelope.Bytes()), Limits{})
	var have []string
	for _, p := range m.Parts {
		have = append(have, fmt.Sprintf("%s %s %s %d %s%s %.10q", p.Index, p.Name, p.Type, p.Size, p.Disposition, p.ContentID, files[p.Index]))
	}
	want := []string{`2.1 цена.xls application/octet-stream 4 attachment "data"`, `2.2 Lönge name.pdf application/pdf 4 attachment "%PDF"`,
		`2.3 p.png application/octet-stream 7 inlinecid@x "picture"`, `2.4.1 inner.txt application/octet-stream 2 attachment "in"`,
		`2.4 Forwarded.txt text/plain 11 attachment "inner text\"`, `2.5 big.bin application/octet-stream 4194305 attachment "\a\a\a\a\a\a\a\a\a\a"`}
	if !slices.Equal(have[:4], want[:4]) || len(have) != 6 || !strings.HasPrefix(have[4], "2.4 Forwarded.txt text/plain 11") || have[5] != want[5] {
		t.Errorf("have\n%s", strings.Join(have, "\n"))
	}
	if m.Text != "own text" || len(m.Degraded) > 0 {
		t.Errorf("%q %q", m.Text, m.Degraded)
	}
}

// compressed is the example of [MS-OXRTFCP] section 3.1.1.
const compressed = "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232" + "0af32068656c09002062770" + "5b06c647d0a800fa0"

func TestTNEFText(t *testing.T) {
	rtf, err := hex.DecodeString(compressed)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		own        string
		envelope   *tnefWriter
		text, html string
	}{
		"own text wins":    {"own", newTNEF().attribute(1, attBody, []byte("other\x00")), "own", ""},
		"body":             {"", newTNEF().codepage(1250).attribute(1, attBody, []byte("\x9alut\xfd k\xf9\xf2\r\n\x00")), "šlutý kůň\n", ""},
		"body property":    {"", newTNEF().attribute(1, attMsgProps, properties(prop(typeUnicode, propBody, wide("日本")))), "日本", ""},
		"HTML with a code": {"", newTNEF().attribute(1, attMsgProps, properties(prop(typeBinary, propHTML, []byte("<p>\xc4\xe0")), prop(3, propInternetCPID, le(1251)))), "Äà", "<p>Äà"},
		"code before HTML": {"", newTNEF().attribute(1, attMsgProps, properties(prop(3, propInternetCPID, le(1251)), prop(typeBinary, propHTML, []byte("<p>\xc4\xe0")))), "Да", "<p>Да"},
		"RTF":              {"", newTNEF().attribute(1, attMsgProps, properties(prop(typeBinary, propRTF, rtf))), "hello world", ""},
		"text and HTML": {"", newTNEF().attribute(1, attMsgProps, properties(prop(typeString8, propBody, []byte("plain\x00")), prop(typeString8, propHTML, []byte("<b>html</b>\x00")))),
			"plain", "<b>html</b>"},
	} {
		m, _ := readParts(t, tnefMail(tt.own, tt.envelope.Bytes()), Limits{})
		if m.Text != tt.text || m.HTML != tt.html || len(m.Parts) > 0 || len(m.Degraded) > 0 {
			t.Errorf("%s: %q %q %+v %q", name, m.Text, m.HTML, m.Parts, m.Degraded)
		}
	}
}

func TestTNEFDamage(t *testing.T) {
	whole := newTNEF().file("a.txt", []byte("aaaa")).file("b.txt", []byte("bbbb")).Bytes()
	checksum := bytes.Clone(whole)
	checksum[len(checksum)-1]++
	wrongLevel := append(newTNEF().file("a.txt", []byte("aaaa")).Bytes(), "garbage after it"...)
	for name, tt := range map[string]struct {
		envelope []byte
		want     string
		degraded string
	}{
		"no envelope":     {[]byte("not an envelope"), "winmail.dat:not an envelope", "tnef-unreadable"},
		"garbage only":    {append(newTNEF().Bytes(), "garbage"...), "winmail.dat:" + newTNEF().String() + "garbage", "tnef-damaged tnef-empty"},
		"only its head":   {whole[:6], "winmail.dat:" + string(whole[:6]), "tnef-empty"},
		"checksum":        {checksum, "a.txt:aaaa b.txt:bbbb", "tnef-checksum"},
		"garbage":         {wrongLevel, "a.txt:aaaa winmail.dat:garbage after it", "tnef-damaged"},
		"cut in the data": {newTNEF().file("a.txt", []byte("aaaa")).file("", []byte("bbbb")).Bytes()[:len(whole)-17-4], "a.txt:aaaa :bb", "truncated-tnef"},
		"padding":         {append(bytes.Clone(whole), "\r\n"...), "a.txt:aaaa b.txt:bbbb", ""},
	} {
		m, files := readParts(t, tnefMail("text", tt.envelope), Limits{})
		var have []string
		for _, p := range m.Parts {
			have = append(have, p.Name+":"+files[p.Index])
		}
		if strings.Join(have, " ") != tt.want || strings.Join(m.Degraded, " ") != tt.degraded {
			t.Errorf("%s: %q %q", name, have, m.Degraded)
		}
	}
	for n := range whole { // wherever it ends, nothing before is lost
		m, _ := readParts(t, tnefMail("text", whole[:n]), Limits{})
		if len(m.Parts) == 0 {
			t.Errorf("cut at %d: %q", n, m.Degraded)
		}
	}
}

func TestTNEFBounds(t *testing.T) {
	w := newTNEF()
	for i := range 50 {
		w.file(fmt.Sprintf("%d.txt", i), []byte("x"))
	}
	m, _ := readParts(t, tnefMail("text", w.Bytes()), Limits{Parts: 10})
	if len(m.Parts) != 8 || !slices.Contains(m.Degraded, "limit:parts") {
		t.Errorf("parts: %d %q", len(m.Parts), m.Degraded)
	}
	message, _ := hex.DecodeString(messageIID)
	nested := newTNEF().file("end.txt", []byte("end")).Bytes()
	for range 30 {
		nested = newTNEF().file("", nil, prop(typeObject, propAttachData, append(bytes.Clone(message), nested...))).Bytes()
	}
	if m, _ = readParts(t, tnefMail("text", nested), Limits{Depth: 5}); !slices.Contains(m.Degraded, "limit:depth") || len(m.Parts) != 6 {
		t.Errorf("depth: %d %q", len(m.Parts), m.Degraded)
	}
	m, _ = readParts(t, tnefMail("", newTNEF().attribute(1, attBody, bytes.Repeat([]byte("x"), 1000)).Bytes()), Limits{TextBytes: 100})
	if len(m.Text) != 100 || !slices.Contains(m.Degraded, "limit:text") {
		t.Errorf("text: %d %q", len(m.Text), m.Degraded)
	}
	m, _ = readParts(t, tnefMail("text", newTNEF().attribute(1, 0x00060000, make([]byte, heldTNEF)).Bytes()), Limits{})
	if len(m.Parts) != 0 || !slices.Contains(m.Degraded, "limit:tnef") {
		t.Errorf("nothing but a large unknown attribute: %d %q", len(m.Parts), m.Degraded)
	}
	huge := append(newTNEF().Bytes(), 1, 3, 0x90, 6, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3, 0x10, 1, 0, 0xff, 0xff, 0xff, 0xff)
	if m, _ = readParts(t, tnefMail("text", huge), Limits{}); !slices.Contains(m.Degraded, "truncated-tnef") {
		t.Errorf("counts beyond the data: %q", m.Degraded)
	}
}

// TestHostileTNEFTakesLinearTime would run into the test's time limit if anything were quadratic.
func TestHostileTNEFTakesLinearTime(t *testing.T) {
	const n = 2 << 20
	repeat := func(b []byte) []byte { return bytes.Repeat(b, n/len(b)) }
	rtf := func(s string) []byte {
		head := "\x00\x00\x00\x00\x00\x00\x00\x00MELA\x00\x00\x00\x00{\\rtf1"
		return newTNEF().attribute(1, attMsgProps, properties(prop(typeBinary, propRTF, append([]byte(head), repeat([]byte(s))[:1<<19]...)))).Bytes()
	}
	message, _ := hex.DecodeString(messageIID)
	nested := newTNEF().Bytes()
	for range 2000 {
		nested = newTNEF().file("", nil, prop(typeObject, propAttachData, append(bytes.Clone(message), nested...))).Bytes()
	}
	for name, envelope := range map[string][]byte{
		"attributes":      append(newTNEF().Bytes(), repeat(newTNEF().attribute(1, attSubject, nil).Bytes()[6:])...),
		"files":           append(newTNEF().Bytes(), repeat(newTNEF().attribute(2, attAttachRenddata, nil).Bytes()[6:])...),
		"properties":      newTNEF().attribute(1, attMsgProps, append(le(0xffffffff), repeat(prop(3, propInternetCPID, le(1252)))...)).Bytes(),
		"values":          newTNEF().attribute(1, attMsgProps, append(le(0xffffffff), append(append(prop(typeString8|typeMulti, propBody, nil)[:4], le(0xffffffff)...), repeat(make([]byte, 4))...)...)).Bytes(),
		"nested messages": nested,
		"groups":          rtf("{"), "group ends": rtf("}"), "characters": rtf(`\'c4{`), "units": rtf(`\u1044?`), "fonts": rtf(`\f1\'c4\f2`), "words": rtf(`\a`),
	} {
		begin := time.Now()
		m, _ := readParts(t, tnefMail("", envelope), Limits{})
		t.Log(name, time.Since(begin).Round(time.Millisecond), len(m.Parts), m.Degraded)
	}
}

func TestRTF(t *testing.T) {
	for in, want := range map[string]string{
		`{\rtf1\ansi a\par b\tab c}`: "a\nb\tc", `{\rtf1 caf\'e9 \{x\}}`: "café {x}", `{\rtf1\ansicpg1251 \'c4\'e0}`: "Да",
		`{\rtf1{\fonttbl{\f0\fnil Arial;}{\f1\fcharset204 Cyr;}}\f0 a\f1 \'c4\'e0{\f0 \'e4}\'e0}`: "aДаäа",
		`{\rtf1 \u1044?\u-10179?\u-8704?x}`: "Д😀x",
		`{\rtf1\uc2 \u1044\'c4\'e0 x}`:      "Д x",
		`{\rtf1{\*\generator Word;}{\pict\bin4 }}}}}{\info{\author me}}text{\*\htmltag64 <p>}\par y}`: "text\ny",
		`{\rtf1{\colortbl\red0;}\pard\lquote a\rquote\emdash b\~c}`:                                   "‘a’—b c",
		"":              "",
		`{\rtf1 a}}} b`: "a b",
		`\`:             "",
	} {
		if have := textFromRTF([]byte(in), 1000); have != want {
			t.Errorf("%q: %q, want %q", in, have, want)
		}
	}
	rtf, _ := hex.DecodeString(compressed)
	if have, ok := decompressRTF(rtf, 1000); !ok || string(have) != "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n" {
		t.Errorf("%v %q", ok, have)
	}
	crossing, _ := hex.DecodeString("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
	if have, ok := decompressRTF(crossing, 1000); !ok || string(have) != `{\rtf1 WXYZWXYZWXYZWXYZWXYZ}` {
		t.Errorf("%v %q", ok, have)
	}
	for n := range crossing {
		decompressRTF(crossing[:n], 1000)
	}
	if have, ok := decompressRTF(append([]byte("\x04\x00\x00\x00\x04\x00\x00\x00MELA\x00\x00\x00\x00"), "{abc"...), 3); !ok || string(have) != "{ab" {
		t.Errorf("%v %q", ok, have)
	}
	if n := len(rtfDictionary); n != 207 {
		t.Errorf("the dictionary has %d bytes, want 207", n)
	}
}

// TestBigTNEFIsStreamed: a file of 30 MB in an envelope is held by nobody.
func TestBigTNEFIsStreamed(t *testing.T) {
	const size = 30 << 20
	head := newTNEF().attribute(2, attAttachRenddata, make([]byte, 14))
	head.WriteByte(2)
	head.Write(le(attAttachData))
	head.Write(le(size))
	tail := newTNEF().attribute(2, attAttachTitle, []byte("late.bin\x00")).Bytes()[6:]
	content := io.MultiReader(head, io.LimitReader(zeros{}, size), bytes.NewReader([]byte{0, 0}), bytes.NewReader(tail))
	body, w := io.Pipe()
	go func() {
		enc := base64.NewEncoder(base64.StdEncoding, w)
		_, err := io.Copy(enc, content)
		w.CloseWithError(errors.Join(err, enc.Close()))
	}()
	raw := io.MultiReader(strings.NewReader("From: a@example.com\nContent-Type: application/ms-tnef\nContent-Transfer-Encoding: base64\n\n"), body)
	m, extra := parseMeasured(t, raw)
	if len(m.Parts) != 1 || m.Parts[0].Size != size || m.Parts[0].Name != "late.bin" || len(m.Degraded) > 0 {
		t.Errorf("%+v %q", m.Parts, m.Degraded)
	}
	if t.Logf("%d MiB of extra heap", extra); extra >= 64 {
		t.Errorf("%d MiB of extra heap", extra)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
