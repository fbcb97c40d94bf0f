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
	"golang.org/x/text/encoding/unicode/utf32"
)

// toUTF8 reads b as text. Valid UTF-8 wins over any declaration, then counts the declared charset, and it is guessed
// where none is declared or the declared one cannot be meant. An unknown charset is reported by ok=false; the text
// is then a readable guess.
func toUTF8(b []byte, declared string) (text string, ok bool) {
	text, flaw := decodeCharset(b, declared)
	return text, flaw != unknownCharset
}

// What can be wrong with a declared charset, as Mail.Degraded names it.
const (
	unknownCharset     = "unknown-charset"
	mislabelledCharset = "mislabelled-charset"
)

func decodeCharset(b []byte, declared string) (text, flaw string) {
	declared = cleanCharset(declared)
	if utf8.Valid(b) && !(isSevenBit(declared) && isASCII(b)) && !(isWide(declared) && bytes.IndexByte(b, 0) >= 0) {
		if enc := guessSevenBit(b, declared); enc != nil {
			return decodeWith(enc, b), mislabelledCharset
		}
		return string(bytes.TrimPrefix(b, []byte("\ufeff"))), ""
	}
	if isUTF7(declared) && isASCII(b) {
		return decodeUTF7(b), ""
	}
	if isISO2022KR(declared) {
		b, declared = eucKR(b), "euc-kr"
	}
	enc, known := lookupCharset(declared)
	if declared == "utf-16" || declared == "ucs-2" {
		enc = utf16Encoding(b)
	}
	if !known {
		flaw = unknownCharset
	}
	if enc == nil || isASCIIName(declared) {
		return decodeWith(guessCharset(b), b), flaw
	}
	text = decodeWith(enc, b)
	if garbled(text) {
		if guess := decodeWith(guessCharset(b), b); !garbled(guess) {
			return guess, mislabelledCharset
		}
	}
	return text, flaw
}

// decodeWith never fails: the decoders replace what they cannot read.
func decodeWith(enc encoding.Encoding, b []byte) string {
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil { // a guard, not a path
		out = b
	}
	return strings.ToValidUTF8(string(bytes.TrimPrefix(out, []byte("\ufeff"))), "\ufffd")
}

// garbled: more than a quarter of what is not ASCII could not be read. A few replacements are a cut character or a
// damaged line in text of the right charset.
func garbled(text string) bool {
	bad, foreign := 0, 0
	for _, r := range text {
		if r >= utf8.RuneSelf {
			foreign++
		}
		if r == utf8.RuneError {
			bad++
		}
	}
	return bad*4 > foreign
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
	return strings.HasPrefix(charset, "iso-2022") || strings.HasPrefix(charset, "hz") || strings.HasPrefix(charset, "csiso2022") || isUTF7(charset)
}

func isASCIIName(charset string) bool {
	return charset == "us-ascii" || charset == "ascii" || charset == "ansi_x3.4-1968" || charset == "usascii"
}

func isWide(charset string) bool {
	return strings.HasPrefix(charset, "utf-16") || strings.HasPrefix(charset, "utf-32") || charset == "ucs-2" || charset == "ucs-4"
}

// cleanCharset strips what senders put around a charset name, and RFC 2231's language.
func cleanCharset(name string) string {
	name = strings.ToLower(strings.Trim(name, " \t\"'<>;,"))
	name = strings.TrimPrefix(name, "charset=")
	name, _, _ = strings.Cut(name, "*")
	return strings.Trim(name, " \t\"'")
}

// lookupCharset finds the encoding for a clean name. known is true for names that mean "not declared" too;
// their encoding is nil. Web rules go first: latin-1 and ASCII read as windows-1252, GB2312 and GBK as GB18030.
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
	case "utf-32", "utf-32be", "ucs-4":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM), true
	case "utf-32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM), true
	case "cp932", "ms932", "x-sjis-jp":
		return japanese.ShiftJIS, true
	}
	if enc, err := htmlindex.Get(name); err == nil && enc != encoding.Replacement {
		if enc == simplifiedchinese.GBK { // programs name the older charset and write rare characters as the newer has them
			enc = simplifiedchinese.GB18030
		}
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
