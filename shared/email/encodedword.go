package email

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// DecodeHeader reads an unstructured header value as text: RFC 2047 encoded words and raw 8-bit text alike. What
// cannot be decoded stays as it is. The result is valid UTF-8 without line ends or other control characters.
func DecodeHeader(raw string) string { return decodeText(raw, "") }

// decodeText is DecodeHeader with the charset of raw 8-bit text, usually the body's.
func decodeText(raw, charset string) string {
	if isPlain(raw) {
		return raw
	}
	var out strings.Builder
	var run wordRun // encoded words side by side: white space between them is dropped, split characters are joined
	for raw != "" {
		i := strings.Index(raw, "=?")
		if i < 0 {
			break
		}
		w, n := cutWord(raw[i:])
		if n == 0 {
			run.flush(&out)
			out.WriteString(literal(raw[:i+2], charset))
			raw = raw[i+2:]
			continue
		}
		if between := raw[:i]; strings.Trim(between, " \t\r\n") != "" || run.empty() {
			run.flush(&out)
			out.WriteString(literal(between, charset))
		}
		run.add(&out, w)
		raw = raw[i+n:]
	}
	run.flush(&out)
	out.WriteString(literal(raw, charset))
	return cleanText(out.String())
}

func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' || s[i] == '=' && i+1 < len(s) && s[i+1] == '?' {
			return false
		}
	}
	return true
}

func literal(s, charset string) string {
	t, _ := toUTF8([]byte(s), charset)
	return t
}

// cleanText drops control characters: a header value has one line.
func cleanText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < ' ' || r == 0x7f:
			return -1
		}
		return r
	}, s)
}

// word is one encoded word: the decoded bytes in its charset and the word as it was written.
type word struct {
	charset string
	bytes   []byte
	raw     string
}

// maxWord bounds an encoded word. RFC 2047 allows 75 characters; senders put whole subjects into one.
const maxWord = 8192

// cutWord reads an encoded word at the start of s and returns its length, 0 if there is none. Spaces inside a
// Q-encoded word are forbidden and common, so only "?=" ends it.
func cutWord(s string) (word, int) {
	s = s[:min(len(s), maxWord)]
	q1 := strings.IndexByte(s[2:], '?') + 2
	if q1 < 3 || q1 > 80 || q1+2 >= len(s) || s[q1+2] != '?' {
		return word{}, 0
	}
	body := s[q1+3:]
	end := strings.Index(body, "?=")
	if end < 0 {
		return word{}, 0
	}
	n := q1 + 3 + end + 2
	w := word{charset: cleanCharset(s[2:q1]), raw: s[:n]}
	switch s[q1+1] {
	case 'Q', 'q':
		w.bytes = decodeQ(body[:end])
	case 'B', 'b':
		var ok bool
		if w.bytes, ok = decodeB(body[:end]); !ok {
			return word{}, 0
		}
	default:
		return word{}, 0
	}
	if _, known := lookupCharset(w.charset); !known && !utf8.Valid(w.bytes) {
		return word{}, 0
	}
	return w, n
}

func decodeQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '_':
			out = append(out, ' ')
		case s[i] == '=' && i+2 < len(s) && hexValue(s[i+1]) >= 0 && hexValue(s[i+2]) >= 0:
			out = append(out, byte(hexValue(s[i+1])<<4|hexValue(s[i+2])))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return out
}

func decodeB(s string) ([]byte, bool) {
	s = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '=' {
			return -1
		}
		return r
	}, s)
	if len(s)%4 == 1 {
		s = s[:len(s)-1]
	}
	b, err := base64.RawStdEncoding.DecodeString(s)
	return b, err == nil
}

// wordRun joins adjacent words of one charset before they are decoded: senders cut words within a character.
type wordRun struct {
	charset string
	bytes   []byte
	raw     []string
}

func (r *wordRun) empty() bool { return len(r.raw) == 0 }

func (r *wordRun) add(out *strings.Builder, w word) {
	// A stateful charset starts anew in each word, so joining would garble it.
	if r.charset != w.charset || isSevenBit(w.charset) {
		r.flush(out)
	}
	r.charset = w.charset
	r.bytes = append(r.bytes, w.bytes...)
	r.raw = append(r.raw, w.raw)
}

func (r *wordRun) flush(out *strings.Builder) {
	if r.empty() {
		return
	}
	if enc := strings.TrimPrefix(r.charset, "utf"); enc != r.charset && mostlyInvalid(r.bytes) {
		out.WriteString(strings.Join(r.raw, " ")) // garbage either way; the raw words lose nothing
	} else {
		text, _ := toUTF8(r.bytes, r.charset)
		out.WriteString(text)
	}
	*r = wordRun{}
}

// mostlyInvalid: more than a quarter of b is no UTF-8, beyond what a cut character explains.
func mostlyInvalid(b []byte) bool {
	if utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return false
	}
	bad, total := 0, 0
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			bad++
		}
		total++
		b = b[n:]
	}
	return bad >= 2 && bad*5 > total
}
