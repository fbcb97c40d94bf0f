package email

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// toUTF8 reads b as text. Valid UTF-8 wins over any declaration, then counts the declared charset, and only where
// none is declared it is guessed. An unknown charset is reported by ok=false; the text is then a readable guess.
func toUTF8(b []byte, declared string) (text string, ok bool) {
	declared = cleanCharset(declared)
	if utf8.Valid(b) && !(isSevenBit(declared) && isASCII(b)) && !isWide(declared) {
		return string(bytes.TrimPrefix(b, []byte("\ufeff"))), true
	}
	enc, known := lookupCharset(declared)
	if enc == nil {
		enc = guessCharset(b)
	}
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil { // the decoders replace what they cannot read; this is a guard, not a path
		return strings.ToValidUTF8(string(b), "\ufffd"), known
	}
	return strings.ToValidUTF8(string(bytes.TrimPrefix(out, []byte("\ufeff"))), "\ufffd"), known
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isSevenBit: charsets that spell other scripts with ASCII bytes, where valid UTF-8 proves nothing.
func isSevenBit(charset string) bool {
	return strings.HasPrefix(charset, "iso-2022") || strings.HasPrefix(charset, "hz") || strings.HasPrefix(charset, "csiso2022")
}

func isWide(charset string) bool {
	return strings.HasPrefix(charset, "utf-16") || strings.HasPrefix(charset, "utf-32") || charset == "ucs-2"
}

// cleanCharset strips what senders put around a charset name, and RFC 2231's language.
func cleanCharset(name string) string {
	name = strings.ToLower(strings.Trim(name, " \t\"'<>;,"))
	name = strings.TrimPrefix(name, "charset=")
	name, _, _ = strings.Cut(name, "*")
	return strings.Trim(name, " \t\"'")
}

// lookupCharset finds the encoding for a clean name. known is true for names that mean "not declared" too;
// their encoding is nil. Web rules go first: latin-1 and ASCII read as windows-1252, GB2312 as GBK.
func lookupCharset(name string) (enc encoding.Encoding, known bool) {
	switch name {
	case "", "unknown", "unknown-8bit", "x-unknown", "default", "default_charset", "binary", "8bit", "7bit", "none":
		return nil, true
	case "utf8mb4", "x-utf_8j", "utf", "cp65001", "unicode", "utf-8-sig", "utf8mb3":
		return unicode.UTF8, true
	case "ansi_x3.110-1983", "iso", "iso-8859", "ansi", "cp-1252", "ascii-8bit", "usascii", "us":
		return charmap.Windows1252, true
	case "hz", "hz-gb-2312":
		return simplifiedchinese.HZGB2312, true
	case "utf-16", "ucs-2":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), true
	case "cp932", "ms932", "x-sjis-jp":
		return japanese.ShiftJIS, true
	}
	if enc, err := htmlindex.Get(name); err == nil && enc != encoding.Replacement {
		return enc, true
	}
	if enc, err := ianaindex.MIME.Encoding(name); err == nil && enc != nil {
		return enc, true
	}
	if enc, err := ianaindex.MIME.Encoding("cs" + name); err == nil && enc != nil {
		return enc, true
	}
	return lookupVariant(name)
}

// lookupVariant tries the spelling errors that are seen in practice: "cp-1251", "win-1252", "iso8859_15".
func lookupVariant(name string) (encoding.Encoding, bool) {
	v := strings.NewReplacer("_", "-", " ", "-").Replace(name)
	for _, prefix := range []string{"cp-", "cp", "win-", "win", "windows", "x-windows-", "microsoft-cp"} {
		if rest, ok := strings.CutPrefix(v, prefix); ok {
			if enc, err := htmlindex.Get("windows-" + strings.TrimLeft(rest, "-")); err == nil {
				return enc, true
			}
		}
	}
	if rest, ok := strings.CutPrefix(v, "iso8859-"); ok {
		v = "iso-8859-" + rest
	}
	if enc, err := htmlindex.Get(v); err == nil && enc != encoding.Replacement {
		return enc, true
	}
	return nil, false
}

// guessCharset is for text that is not UTF-8 and declares nothing: byte order marks, then ISO-2022-JP's escape,
// then windows-1252, which reads every byte.
func guessCharset(b []byte) encoding.Encoding {
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	case bytes.Contains(b, []byte("\x1b$B")), bytes.Contains(b, []byte("\x1b$@")):
		return japanese.ISO2022JP
	}
	return charmap.Windows1252
}
