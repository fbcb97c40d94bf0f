package email

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lineBuffer holds one line. A longer one comes in pieces, which is harmless: a boundary has at most 70 characters
// (RFC 2046 section 5.1.1), and the pieces of a header line are put together up to the header bound.
const lineBuffer = 16 << 10

// line is a piece of input up to and without its line end. Its bytes are valid until the next read.
type line struct {
	text  []byte
	eol   string // "\n", "\r\n", "\r\r\n", "\r", or "" when the line goes on or the input ends
	start bool   // the piece begins a line
}

// lineReader cuts a mail into lines, counts its bytes and stops at a bound.
type lineReader struct {
	br      *bufio.Reader
	eol     byte // '\n', or '\r' for mail that knows no other line end
	n       int64
	limit   int64
	limited bool // the bound was reached
	doubled bool // a line ended with CRCRLF
	inLine  bool
	held    line
	hasHeld bool
	err     error // anything but io.EOF
}

func newLineReader(r io.Reader, limit int64) *lineReader {
	lr := &lineReader{br: bufio.NewReaderSize(r, lineBuffer), eol: '\n', limit: limit}
	head, _ := lr.br.Peek(4096)
	if bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(head, '\r') >= 0 {
		lr.eol = '\r'
	}
	return lr
}

// next returns the next line, or false at the end, the bound or a read error.
func (lr *lineReader) next() (line, bool) {
	if lr.hasHeld {
		lr.hasHeld = false
		return lr.held, true
	}
	if lr.limited || lr.err != nil {
		return line{}, false
	}
	b, err := lr.br.ReadSlice(lr.eol)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		lr.err = err
		return line{}, false
	}
	if over := lr.n + int64(len(b)) - lr.limit; over > 0 {
		b = b[:int64(len(b))-over]
		lr.limited = true
	}
	if len(b) == 0 {
		return line{}, false
	}
	lr.n += int64(len(b))
	l := cutLineEnd(b, lr.eol)
	l.start = !lr.inLine
	lr.doubled = lr.doubled || len(l.eol) == 3
	lr.inLine = l.eol == ""
	return l, true
}

// unread gives l back; it must be the line that next returned last.
func (lr *lineReader) unread(l line) { lr.held, lr.hasHeld = l, true }

// peek returns input after the current line without consuming it. It invalidates the bytes of that line.
func (lr *lineReader) peek() []byte {
	b, _ := lr.br.Peek(1024)
	return b
}

func cutLineEnd(b []byte, eol byte) line {
	if b[len(b)-1] != eol {
		return line{text: b}
	}
	for _, end := range []string{"\r\r\n", "\r\n", "\n", "\r"} {
		if bytes.HasSuffix(b, []byte(end)) {
			return line{text: b[:len(b)-len(end)], eol: end}
		}
	}
	return line{text: b}
}
