package session

import (
	"fmt"
	"io"
	"strings"
)

// IDLength is the number of characters of a session ID: 55 random bits, short enough for a subject line.
const IDLength = 11

// crockford is the alphabet of https://www.crockford.com/base32.html, without I, L, O and U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewID makes a session ID from seven bytes of r, which is crypto/rand.Reader outside of tests.
func NewID(r io.Reader) (string, error) {
	var b [7]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", fmt.Errorf("session: new ID: %w", err)
	}
	return encode(b[:], IDLength), nil
}

// ParseID returns the ID as NewID writes it. People read IDs aloud and type them: case does not matter,
// I and L are 1, O is 0, and blanks around it are ignored.
func ParseID(s string) (string, error) {
	id, ok := canonical(strings.TrimSpace(s), IDLength)
	if !ok {
		return "", fmt.Errorf("session: %q is not a session ID", s)
	}
	return id, nil
}

// encode writes the first 5·n bits of b as n characters, the highest bit first.
func encode(b []byte, n int) string {
	out := make([]byte, n)
	for i := range out {
		var v byte
		for bit := 5 * i; bit < 5*i+5; bit++ {
			v = v<<1 | b[bit/8]>>(7-bit%8)&1
		}
		out[i] = crockford[v]
	}
	return string(out)
}

// canonical maps what people write onto the alphabet and says whether s is n of its characters.
func canonical(s string, n int) (string, bool) {
	if len(s) != n {
		return "", false
	}
	out := []byte(strings.ToUpper(s))
	for i, c := range out {
		switch c {
		case 'I', 'L':
			out[i] = '1'
		case 'O':
			out[i] = '0'
		default:
			if strings.IndexByte(crockford, c) < 0 {
				return "", false
			}
		}
	}
	return string(out), true
}
