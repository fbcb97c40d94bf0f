package email

import (
	"bytes"
	"strings"
)

// field is one header field: its name in lower case and its unfolded value, still encoded and possibly 8-bit.
type field struct{ key, value string }

// header is a header block in the order of the mail.
type header []field

// get returns the first value of key (lower case), "" if there is none.
func (h header) get(key string) string {
	for _, f := range h {
		if f.key == key {
			return f.value
		}
	}
	return ""
}

func (h header) has(key string) bool {
	for _, f := range h {
		if f.key == key {
			return true
		}
	}
	return false
}

// all returns every value of key. RFC 5322 allows From, To and the like once, but mail repeats them.
func (h header) all(key string) []string {
	var vs []string
	for _, f := range h {
		if f.key == key {
			vs = append(vs, f.value)
		}
	}
	return vs
}

var byteOrderMark = []byte("\ufeff")

// headerReader gathers fields line by line; next and ahead are the input, note is told each repair.
type headerReader struct {
	fields header
	size   int
	limit  int
	note   func(string)
	spaced bool // the last piece of a line ended with white space
}

// add takes one line of the block and says whether the block is over. keep means that the line belongs to the body.
func (hr *headerReader) add(text, ahead []byte) (done, keep bool) {
	if len(text) == 0 {
		return true, false
	}
	if !hr.fits(text) {
		return false, false
	}
	for i, piece := range splitBareCR(text) {
		if i > 0 {
			hr.note("bare-cr-in-header")
		}
		if done, keep = hr.addPiece(piece, ahead); done {
			return done, keep
		}
	}
	return false, false
}

// fits counts text and says whether it is within the bound.
func (hr *headerReader) fits(text []byte) bool {
	if hr.size += len(text); hr.size > hr.limit {
		hr.note("limit:header")
		return false
	}
	hr.spaced = bytes.HasSuffix(text, []byte(" ")) || bytes.HasSuffix(text, []byte("\t"))
	return true
}

// rest takes a further piece of a line that is longer than the buffer, such as a list of many recipients.
func (hr *headerReader) rest(text []byte) {
	spaced := hr.spaced
	if !hr.fits(text) || len(hr.fields) == 0 {
		return
	}
	last := &hr.fields[len(hr.fields)-1]
	if spaced {
		last.value += " "
	}
	last.value += string(text)
}

func (hr *headerReader) addPiece(text, ahead []byte) (done, keep bool) {
	if len(text) == 0 {
		return false, false
	}
	// A program that saves its mail with a byte order mark has a server put trace fields before it.
	if rest, ok := bytes.CutPrefix(text, byteOrderMark); ok && nameLength(rest) > 0 {
		hr.note("byte-order-mark-in-header")
		text = rest
	}
	if text[0] == ' ' || text[0] == '\t' {
		if len(hr.fields) == 0 {
			return hr.orphan(text)
		}
		hr.unfold(text)
		return false, false
	}
	if n := nameLength(text); n > 0 {
		hr.fields = append(hr.fields, cutField(text, n))
		return false, false
	}
	if _, ok := mboxLine(text); ok {
		hr.note("mbox-from-line")
		return false, false
	}
	// A line without a colon is a fold that lost its indent, unless what follows is no header either.
	if len(hr.fields) == 0 || !headerAhead(ahead) {
		hr.note("header-ends-without-blank-line")
		return true, true
	}
	hr.note("header-line-without-colon")
	hr.unfold(text)
	return false, false
}

// orphan handles an indented line at the start of a block: a field that got an indent, or already the body.
func (hr *headerReader) orphan(text []byte) (done, keep bool) {
	trimmed := bytes.TrimLeft(text, " \t")
	if len(trimmed) == 0 {
		return true, false
	}
	if n := nameLength(trimmed); n > 0 {
		hr.note("indented-header-line")
		hr.fields = append(hr.fields, cutField(trimmed, n))
		return false, false
	}
	hr.note("header-ends-without-blank-line")
	return true, true
}

func (hr *headerReader) unfold(text []byte) {
	last := &hr.fields[len(hr.fields)-1]
	more := strings.Trim(string(text), " \t")
	switch {
	case more == "":
	case last.value == "":
		last.value = more
	default:
		last.value += " " + more
	}
}

// nameLength is the length of the field name before a colon, 0 if text is no field. A name is printable ASCII
// without spaces inside (RFC 5322 section 2.2); spaces before the colon are obsolete and read.
func nameLength(text []byte) int {
	i := bytes.IndexByte(text, ':')
	if i <= 0 {
		return 0
	}
	name := bytes.TrimRight(text[:i], " \t")
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return 0
		}
	}
	return len(name)
}

func cutField(text []byte, name int) field {
	value := bytes.TrimLeft(text[name:], " \t")[1:]
	return field{key: strings.ToLower(string(text[:name])), value: string(bytes.Trim(value, " \t"))}
}

// isFieldOrFold: the line is understood without a look at the next one.
func isFieldOrFold(text []byte) bool {
	return len(text) == 0 || text[0] == ' ' || text[0] == '\t' || nameLength(text) > 0
}

// headerAhead tells whether the next line continues a header block: a field, a fold or the blank line at its end.
func headerAhead(ahead []byte) bool {
	if len(ahead) == 0 {
		return false
	}
	if i := bytes.IndexAny(ahead, "\r\n"); i >= 0 {
		ahead = ahead[:i]
	}
	if len(ahead) == 0 || ahead[0] == ' ' || ahead[0] == '\t' {
		return true
	}
	return nameLength(ahead) > 0
}

// splitBareCR cuts a line at each CR within it: such a line was several before a gateway lost the LFs.
func splitBareCR(text []byte) [][]byte {
	if bytes.IndexByte(text, '\r') < 0 {
		return [][]byte{text}
	}
	return bytes.Split(text, []byte{'\r'})
}
