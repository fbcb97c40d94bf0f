package email

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// transferReader undoes a Content-Transfer-Encoding (RFC 2045 section 6) and never fails because of bad content.
// An unknown encoding gives the raw bytes. note is told what was repaired.
func transferReader(encoding string, r io.Reader, note func(string)) io.Reader {
	name, _, _ := strings.Cut(strings.ToLower(encoding), ";")
	name, _, _ = strings.Cut(name, "(")
	switch name = strings.Trim(name, " \t\"'"); name {
	case "", "7bit", "8bit", "binary", "7-bit", "8-bit", "7 bit", "8 bit", "none", "plain", "us-ascii", "utf-8":
		return r
	case "base64", "base-64", "b":
		br := bufio.NewReaderSize(r, 4096)
		if head, _ := br.Peek(512); isProse(head) {
			note("not-base64")
			return br
		}
		return &base64Reader{src: br, note: note}
	case "quoted-printable", "quoted_printable", "quotedprintable", "q":
		return &quotedReader{src: bufio.NewReaderSize(r, 4096), note: note}
	default:
		note("unknown-encoding:" + shortName(name))
		return r
	}
}

// isProse: the beginning of a part that claims to be base64 is a text with blanks between its words. Some programs
// write the header and forget to encode. Base64 that someone has spaced out comes in groups of four.
func isProse(head []byte) bool {
	words, odd := 0, 0
	for l := range bytes.Lines(head) {
		fields := bytes.Fields(l)
		for _, w := range fields[:max(len(fields)-1, 0)] { // the last one may be cut
			words++
			if len(w)%4 != 0 {
				odd++
			}
		}
	}
	return odd >= 3 && odd*3 >= words
}

// shortName bounds a name that the sender chose before it goes into Degraded.
func shortName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 40)]
}

// base64Reader decodes base64, skips what is not of the alphabet and keeps the bytes of a last incomplete group.
// After padding it goes on: some senders encode each chunk of a file on its own.
type base64Reader struct {
	src   io.Reader
	note  func(string)
	in    [4096]byte
	out   []byte // decoded and not yet read; shares store
	store [3 * 4096 / 4 * 2]byte
	group uint32
	have  int  // characters in group
	plus  bool // '+' or '/' were read: it is the standard alphabet
	err   error
}

const notBase64 = 0xff

// value reads the URL alphabet too, which some senders use; once the standard one is certain, '-' and '_' are foreign.
func (r *base64Reader) value(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A'
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26
	case c >= '0' && c <= '9':
		return c - '0' + 52
	case c == '+' || c == '/':
		r.plus = true
		return 62 + (c-'+')/4
	case c == '-' && !r.plus:
		return 62
	case c == '_' && !r.plus:
		return 63
	}
	return notBase64
}

func (r *base64Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

func (r *base64Reader) fill() {
	n, err := r.src.Read(r.in[:])
	r.out = r.store[:0]
	for _, c := range r.in[:n] {
		v := r.value(c)
		if v == notBase64 {
			r.skip(c)
			continue
		}
		r.group = r.group<<6 | uint32(v)
		if r.have++; r.have == 4 {
			r.out = append(r.out, byte(r.group>>16), byte(r.group>>8), byte(r.group))
			r.group, r.have = 0, 0
		}
	}
	if r.err = err; err == io.EOF && r.have > 0 {
		r.note("truncated-base64")
		r.flush()
	}
}

func (r *base64Reader) skip(c byte) {
	switch c {
	case '=':
		r.flush()
	case '\r', '\n', ' ', '\t':
	default:
		r.note("invalid-base64-character")
	}
}

// flush emits the whole bytes of an incomplete group.
func (r *base64Reader) flush() {
	switch r.have {
	case 2:
		r.out = append(r.out, byte(r.group>>4))
	case 3:
		r.out = append(r.out, byte(r.group>>10), byte(r.group>>2))
	}
	r.group, r.have = 0, 0
}

// quotedReader decodes quoted-printable. An equals sign that begins no escape stays as it is, white space at line
// ends goes (it is transport padding, RFC 2045 section 6.7 rule 3).
type quotedReader struct {
	src   *bufio.Reader
	note  func(string)
	out   []byte
	store []byte
	space []byte // white space that may turn out to be padding
	err   error
}

// maxPadding bounds the white space that is held back; longer runs are content.
const maxPadding = 1000

func (r *quotedReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill(len(p))
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

func (r *quotedReader) fill(want int) {
	r.store = r.store[:0]
	for len(r.store) < min(want, 4096) && r.err == nil {
		c, err := r.src.ReadByte()
		switch {
		case err != nil:
			r.err = err
			r.keepSpace()
		case c == '=':
			r.keepSpace()
			r.escape()
		case c == ' ' || c == '\t':
			if r.space = append(r.space, c); len(r.space) > maxPadding {
				r.keepSpace()
			}
		case c == '\n':
			r.space = r.space[:0]
			r.store = append(r.store, c)
		case c == '\r':
			if next, _ := r.src.Peek(1); len(next) == 0 || next[0] != '\n' {
				r.keepSpace()
			}
			r.space = r.space[:0]
			r.store = append(r.store, c)
		default:
			r.keepSpace()
			r.store = append(r.store, c)
		}
	}
	r.out = r.store
}

func (r *quotedReader) keepSpace() {
	r.store = append(r.store, r.space...)
	r.space = r.space[:0]
}

// escape handles what follows an equals sign: two hexadecimal digits, or a soft line break.
func (r *quotedReader) escape() {
	next, _ := r.src.Peek(2)
	if len(next) == 2 {
		hi, lo := hexValue(next[0]), hexValue(next[1])
		if hi >= 0 && lo >= 0 {
			r.store = append(r.store, byte(hi<<4|lo))
			_, _ = r.src.Discard(2)
			return
		}
	}
	if n := r.softBreak(); n >= 0 {
		_, _ = r.src.Discard(n)
		return
	}
	r.note("invalid-quoted-printable")
	r.store = append(r.store, '=')
}

// softBreak returns the length of padding and line end after an equals sign, -1 if there is no soft line break.
func (r *quotedReader) softBreak() int {
	for n := 1; n <= 80; n++ {
		b, err := r.src.Peek(n)
		if len(b) < n {
			if err == io.EOF {
				return len(b)
			}
			return -1
		}
		switch b[n-1] {
		case '\n':
			return n
		case ' ', '\t', '\r':
		default:
			return -1
		}
	}
	return -1
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
