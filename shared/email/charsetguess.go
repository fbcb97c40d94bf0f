package email

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	utf "golang.org/x/text/encoding/unicode"
)

// guessed bounds how much of a text the guess looks at.
const guessed = 16 << 10

// guessCharset is for text that is not UTF-8 and whose charset is not declared or not believed: byte order marks,
// ISO-2022-JP's escape, then the multi-byte charsets of East Asia where the text is typical for them, Cyrillic where
// most letters are above ASCII, and windows-1252, which reads every byte.
func guessCharset(b []byte) encoding.Encoding {
	b = b[:min(len(b), guessed)]
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		return utf.UTF16(utf.LittleEndian, utf.UseBOM)
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return utf.UTF16(utf.BigEndian, utf.UseBOM)
	case hasJISEscape(b):
		return japanese.ISO2022JP
	}
	s := survey(b)
	if s.high*5 < s.high+s.letters || s.high < 4 { // Western text has fewer than one in five
		return charmap.Windows1252
	}
	if enc := guessEastAsian(b, s); enc != nil {
		return enc
	}
	if s.upper+s.lower < s.high*9/10 {
		return charmap.Windows1252
	}
	if s.lower >= s.upper { // windows-1251 has its small letters where KOI8-R has the capitals
		return charmap.Windows1251
	}
	return charmap.KOI8R
}

// guessSevenBit finds ISO-2022-JP in text that does not declare it: all its bytes are ASCII.
func guessSevenBit(b []byte, declared string) encoding.Encoding {
	if isSevenBit(declared) || isWide(declared) || !hasJISEscape(b) {
		return nil
	}
	if garbled(decodeWith(japanese.ISO2022JP, b)) {
		return nil
	}
	return japanese.ISO2022JP
}

func hasJISEscape(b []byte) bool {
	return bytes.Contains(b, []byte("\x1b$B")) || bytes.Contains(b, []byte("\x1b$@"))
}

// bytesSurvey counts the bytes of a text by kind.
type bytesSurvey struct {
	high, letters int // above ASCII; letters of ASCII
	upper, lower  int // 0xc0-0xdf, 0xe0-0xff
	paired        int // high bytes in runs of even length, as EUC writes
}

func survey(b []byte) (s bytesSurvey) {
	run := 0
	for _, c := range append(b[:len(b):len(b)], 0) {
		if c >= utf8.RuneSelf {
			s.high++
			run++
		} else {
			if run%2 == 0 {
				s.paired += run
			}
			run = 0
		}
		switch {
		case c >= 0xe0:
			s.lower++
		case c >= 0xc0:
			s.upper++
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			s.letters++
		}
	}
	return s
}

// guessEastAsian asks for each charset what share of the foreign characters are those that its language uses most.
// The order matters: kana decide for Japanese, Hangul for Korean, and GBK reads nearly everything.
// GBK's rarer characters, which names have, are not in EUC's pairs of high bytes.
func guessEastAsian(b []byte, s bytesSurvey) encoding.Encoding {
	euc := s.paired*10 >= s.high*9
	for _, c := range []struct {
		enc     encoding.Encoding
		common  func(rune) bool
		percent int
		euc     bool
	}{
		{japanese.EUCJP, isKana, 20, true},
		{japanese.ShiftJIS, isKana, 20, false},
		{korean.EUCKR, isHangul, 75, true},
		{simplifiedchinese.GBK, isCommonIn(simplifiedchinese.GBK, 0xb0, 0xd7), 70, false},
		{traditionalchinese.Big5, isCommonIn(traditionalchinese.Big5, 0xa4, 0xc6), 70, false},
	} {
		if c.euc && !euc {
			continue
		}
		if typical(decodeWith(c.enc, b), c.common) >= c.percent {
			return c.enc
		}
	}
	return nil
}

// typical is the share in percent of common characters among the letters above ASCII, 0 for a text with more
// unreadable places than the cut at its end explains.
func typical(text string, common func(rune) bool) int {
	hits, letters, bad := 0, 0, 0
	for _, r := range text {
		switch {
		case r == utf8.RuneError:
			bad++
		case r < utf8.RuneSelf || !unicode.IsLetter(r):
		default:
			letters++
			if common(r) {
				hits++
			}
		}
	}
	if letters == 0 || bad > 1 && bad*50 > letters {
		return 0
	}
	return hits * 100 / letters
}

// isKana leaves out the half-width ones, which single high bytes of any Western text would be in Shift_JIS.
func isKana(r rune) bool { return r >= 0x3041 && r <= 0x30ff }

func isHangul(r rune) bool { return r >= 0xac00 && r <= 0xd7a3 }

// isCommonIn: both Chinese charsets sort their frequent characters into a block of lead bytes.
func isCommonIn(enc encoding.Encoding, from, to byte) func(rune) bool {
	seen := map[rune]bool{}
	e := enc.NewEncoder()
	return func(r rune) bool {
		if common, ok := seen[r]; ok {
			return common
		}
		b, err := e.Bytes([]byte(string(r)))
		common := err == nil && len(b) == 2 && b[0] >= from && b[0] <= to && (b[1] >= 0xa1 || from < 0xb0)
		seen[r] = common
		return common
	}
}

// utf16Encoding reads UTF-16 without a byte order mark in the order that its zero bytes tell.
func utf16Encoding(b []byte) encoding.Encoding {
	even, odd := 0, 0
	for i, c := range b[:min(len(b), guessed)] {
		if c == 0 && i%2 == 0 {
			even++
		} else if c == 0 {
			odd++
		}
	}
	if odd > even {
		return utf.UTF16(utf.LittleEndian, utf.UseBOM)
	}
	return utf.UTF16(utf.BigEndian, utf.UseBOM)
}
