package email

import (
	"bufio"
	"io"
)

// heldError ends like a complete mail where its source fails, and keeps the error: go-msgauth's verification of
// several signatures never ends its goroutines when reading fails.
type heldError struct {
	r   io.Reader
	err error
}

func (h *heldError) Read(b []byte) (int, error) {
	n, err := h.r.Read(b)
	if err != nil && err != io.EOF {
		h.err, err = err, io.EOF
	}
	return n, err
}

// crlfReader restores the CR of bare LFs: mail has none when it is signed.
type crlfReader struct {
	r       *bufio.Reader
	last    byte
	pending bool // an LF whose CR was just delivered
}

func (c *crlfReader) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if c.pending {
			b[n], c.last, c.pending = '\n', '\n', false
			n++
			continue
		}
		if n > 0 && c.r.Buffered() == 0 {
			return n, nil
		}
		x, err := c.r.ReadByte()
		if err != nil {
			if n > 0 {
				err = nil
			}
			return n, err
		}
		if x == '\n' && c.last != '\r' {
			x, c.pending = '\r', true
		}
		b[n], c.last = x, x
		n++
	}
	return n, nil
}

// blankLines holds back empty lines until a line with content follows, drops those at the end, which no signature
// covers (RFC 6376 section 3.4.3), and ends the body where there are too many in a row: go-msgauth copies a run of
// empty lines again with each write, which is quadratic.
type blankLines struct {
	r     *crlfReader
	held  int // CRLFs not delivered yet, the end of the last line included
	cr    bool
	out   []byte
	buf   [4096]byte
	ended bool
	over  bool // the bound was reached
}

func (l *blankLines) Read(b []byte) (int, error) {
	for len(l.out) == 0 {
		if l.ended {
			return 0, io.EOF
		}
		n, err := l.r.Read(l.buf[:])
		for _, c := range l.buf[:n] {
			l.add(c)
		}
		if err != nil || l.over {
			l.end()
		}
	}
	n := copy(b, l.out)
	l.out = l.out[n:]
	return n, nil
}

func (l *blankLines) add(c byte) {
	switch {
	case c == '\n' && l.cr:
		l.cr = false
		if l.held++; l.held > maxSignedBlank {
			l.over = true
		}
	case c == '\r' && !l.cr:
		l.cr = true
	default:
		l.flush()
		if c == '\r' {
			l.cr = true
		} else {
			l.out = append(l.out, c)
		}
	}
}

// flush delivers what was held back, for content follows.
func (l *blankLines) flush() {
	for ; l.held > 0; l.held-- {
		l.out = append(l.out, '\r', '\n')
	}
	if l.cr {
		l.out, l.cr = append(l.out, '\r'), false
	}
}

// end closes the last line: both canonicalizations end a body with exactly one CRLF.
func (l *blankLines) end() {
	l.ended = true
	if l.cr {
		l.flush()
	} else if l.held > 0 {
		l.out = append(l.out, '\r', '\n')
	}
	l.held = 0
}
