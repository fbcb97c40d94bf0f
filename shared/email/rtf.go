package email

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf16"
)

// rtfDictionary is what every compressed RTF begins with in mind, [MS-OXRTFCP] section 2.1.3.1.
const rtfDictionary = "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript " +
	"\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"

// decompressRTF undoes [MS-OXRTFCP], up to limit bytes. ok is false if the data is damaged; what was read until then is returned.
func decompressRTF(b []byte, limit int) (rtf []byte, ok bool) {
	if len(b) < 16 {
		return nil, false
	}
	kind, in := binary.LittleEndian.Uint32(b[8:]), b[16:]
	switch kind {
	case 0x414c454d: // "MELA": not compressed
		return in[:min(len(in), limit)], true
	case 0x75465a4c: // "LZFu"
	default:
		return nil, false
	}
	var window [4096]byte
	at := copy(window[:], rtfDictionary)
	for i := 0; i < len(in); {
		control := in[i]
		i++
		for bit := 0; bit < 8; bit++ {
			if len(rtf) >= limit {
				return rtf, true
			}
			if control>>bit&1 == 0 {
				if i >= len(in) {
					return rtf, false
				}
				rtf = append(rtf, in[i])
				window[at] = in[i]
				at = (at + 1) % len(window)
				i++
				continue
			}
			if i+1 >= len(in) {
				return rtf, false
			}
			ref := int(in[i])<<8 | int(in[i+1])
			i += 2
			from, n := ref>>4, ref&15+2
			if from == at {
				return rtf, true // the end is a reference to itself
			}
			for ; n > 0; n-- {
				c := window[from]
				rtf = append(rtf, c)
				window[at] = c
				from, at = (from+1)%len(window), (at+1)%len(window)
			}
		}
	}
	return rtf, false
}

// textFromRTF is the text of an RTF document, up to limit bytes: paragraphs become lines, what is no text (fonts,
// pictures, HTML that Outlook wrapped into RTF) is left out.
func textFromRTF(b []byte, limit int) string {
	r := rtfReader{in: b, charset: "windows-1252", fonts: map[int]string{}, state: rtfState{skip: 1, font: -1}}
	for len(r.in) > 0 && r.out.Len() < limit {
		r.step()
	}
	r.flush()
	s := unixLines(r.out.String()) // control characters can be spelled as any other
	if len(s) > limit {
		s = string(trimPartialRune([]byte(s[:limit])))
	}
	return strings.Trim(s, "\n")
}

// rtfState is what a group inherits and gives back at its end.
type rtfState struct {
	hidden bool
	table  bool // within the font table
	skip   int  // characters that stand for a \u where Unicode is not known
	font   int
}

type rtfReader struct {
	in       []byte
	out      strings.Builder
	bytes    []byte // 8-bit characters that are not decoded yet
	units    []uint16
	charset  string
	fonts    map[int]string // charsets by number
	defining int            // the font that the table describes
	state    rtfState
	stack    []rtfState
	dropping int // characters still to be left out after a \u
}

// maxGroups bounds the nesting; deeper groups share a state.
const maxGroups = 1000

func (r *rtfReader) step() {
	c := r.in[0]
	r.in = r.in[1:]
	switch c {
	case '{':
		if r.flush(); len(r.stack) < maxGroups {
			r.stack = append(r.stack, r.state)
		}
	case '}':
		if r.flush(); len(r.stack) > 0 {
			r.state, r.stack = r.stack[len(r.stack)-1], r.stack[:len(r.stack)-1]
		}
		r.dropping = 0
	case '\\':
		r.control()
	case '\r', '\n', 0:
	default:
		r.char(c)
	}
}

// char takes one byte of text.
func (r *rtfReader) char(c byte) {
	if r.dropping > 0 {
		r.dropping--
		return
	}
	if r.state.hidden || r.state.table {
		return
	}
	if len(r.units) > 0 {
		r.flush()
	}
	r.bytes = append(r.bytes, c)
}

// flush decodes what was gathered in one charset.
func (r *rtfReader) flush() {
	if len(r.bytes) > 0 {
		charset := r.charset
		if c, ok := r.fonts[r.state.font]; ok {
			charset = c
		}
		s, _ := toUTF8(r.bytes, charset)
		r.out.WriteString(s)
	}
	if len(r.units) > 0 {
		r.out.WriteString(string(utf16.Decode(r.units)))
	}
	r.bytes, r.units = r.bytes[:0], r.units[:0]
}

// control reads what follows a backslash: a symbol, or a word with a number.
func (r *rtfReader) control() {
	if len(r.in) == 0 {
		return
	}
	if c := r.in[0]; c|0x20 < 'a' || c|0x20 > 'z' {
		r.in = r.in[1:]
		r.symbol(c)
		return
	}
	n := 0
	for n < len(r.in) && n < 32 && r.in[n]|0x20 >= 'a' && r.in[n]|0x20 <= 'z' {
		n++
	}
	word := string(r.in[:n])
	r.in = r.in[n:]
	n = 0
	for n < len(r.in) && n < 11 && (r.in[n] >= '0' && r.in[n] <= '9' || n == 0 && r.in[n] == '-') {
		n++
	}
	number, err := strconv.Atoi(string(r.in[:n]))
	r.in = bytes.TrimPrefix(r.in[n:], []byte(" "))
	r.word(word, number, err == nil)
}

func (r *rtfReader) symbol(c byte) {
	switch c {
	case '\'':
		if len(r.in) >= 2 && hexValue(r.in[0]) >= 0 && hexValue(r.in[1]) >= 0 {
			b := byte(hexValue(r.in[0])<<4 | hexValue(r.in[1]))
			r.in = r.in[2:]
			r.char(b)
		}
	case '*':
		r.state.hidden = true // a destination that readers may not know
	case '~':
		r.char(' ')
	case '_':
		r.char('-')
	case '\r', '\n':
		r.put("\n")
	case '\\', '{', '}':
		r.char(c)
	}
}

// put writes text of the document that is not in its charset.
func (r *rtfReader) put(s string) {
	if r.state.hidden || r.state.table {
		return
	}
	r.flush()
	r.out.WriteString(s)
}

func (r *rtfReader) word(word string, n int, given bool) {
	switch word {
	case "par", "line", "row", "sect", "page":
		r.put("\n")
	case "tab", "cell":
		r.put("\t")
	case "u":
		r.flushBytes()
		if !r.state.hidden && !r.state.table && given {
			r.units = append(r.units, uint16(n))
		}
		r.dropping = r.state.skip
	case "uc":
		r.state.skip = max(min(n, 10), 0)
	case "bin":
		r.in = r.in[max(min(n, len(r.in)), 0):]
	case "ansicpg":
		r.charset = codepageCharset(uint32(max(n, 0)))
	case "f":
		r.flush()
		if r.state.font = n; r.state.table {
			r.defining = n
		}
	case "fcharset":
		if c := fontCharset(n); r.state.table && c != "" && len(r.fonts) < maxGroups {
			r.fonts[r.defining] = c
		}
	case "fonttbl":
		r.state.table = true
	case "emdash":
		r.put("—")
	case "endash":
		r.put("–")
	case "bullet":
		r.put("•")
	case "lquote":
		r.put("‘")
	case "rquote":
		r.put("’")
	case "ldblquote":
		r.put("“")
	case "rdblquote":
		r.put("”")
	case "colortbl", "stylesheet", "info", "pict", "object", "header", "footer", "headerl", "headerr", "footerl", "footerr", "fldinst", "themedata", "nonshppict":
		r.state.hidden = true
	}
}

// flushBytes keeps the units of a surrogate pair together.
func (r *rtfReader) flushBytes() {
	if len(r.bytes) > 0 {
		r.flush()
	}
}

// fontCharset names the charset of a font, "" for the document's own.
func fontCharset(n int) string {
	switch n {
	case 128:
		return "shift_jis"
	case 129:
		return "euc-kr"
	case 134:
		return "gbk"
	case 136:
		return "big5"
	case 161:
		return "windows-1253"
	case 162:
		return "windows-1254"
	case 163:
		return "windows-1258"
	case 177:
		return "windows-1255"
	case 178:
		return "windows-1256"
	case 186:
		return "windows-1257"
	case 204:
		return "windows-1251"
	case 222:
		return "windows-874"
	case 238:
		return "windows-1250"
	}
	return ""
}
