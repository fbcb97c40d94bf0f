package email

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf16"
)

// Two charsets that are seen in mail and that no library here reads: UTF-7 (RFC 2152) and ISO-2022-KR (RFC 1557).

func isUTF7(charset string) bool {
	return strings.HasSuffix(charset, "utf-7") || charset == "utf7" || charset == "csunicode11utf7"
}

func isISO2022KR(charset string) bool { return charset == "iso-2022-kr" || charset == "csiso2022kr" }

// decodeUTF7 reads "+" base64 of UTF-16 "-". A shift that cannot be read stays as it is.
func decodeUTF7(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		i := bytes.IndexByte(b, '+')
		if i < 0 {
			break
		}
		out.Write(b[:i])
		b = b[i+1:]
		n := 0
		for n < len(b) && isBase64(b[n]) {
			n++
		}
		switch text, ok := shifted(b[:n]); {
		case n == 0 && len(b) > 0 && b[0] == '-':
			out.WriteByte('+')
		case !ok:
			out.WriteByte('+')
			out.Write(b[:n])
			b = b[n:]
			continue
		default:
			out.WriteString(text)
		}
		if b = b[n:]; len(b) > 0 && b[0] == '-' {
			b = b[1:]
		}
	}
	out.Write(b)
	return out.String()
}

func isBase64(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}

func shifted(b []byte) (string, bool) {
	if len(b)%4 == 1 {
		return "", false
	}
	raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(b)))
	n, err := base64.RawStdEncoding.Decode(raw, b)
	if err != nil || n < 2 {
		return "", false
	}
	units := make([]uint16, n/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	return string(utf16.Decode(units)), true
}

// eucKR rewrites ISO-2022-KR: what stands between SO and SI is KS X 1001 with the high bits off.
func eucKR(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\x1b$)C"), nil)
	out := make([]byte, 0, len(b))
	high := byte(0)
	for _, c := range b {
		switch {
		case c == 0x0e:
			high = 0x80
		case c == 0x0f:
			high = 0
		case c == '\n':
			high = 0
			out = append(out, c)
		case c > ' ':
			out = append(out, c|high)
		default:
			out = append(out, c)
		}
	}
	return out
}
