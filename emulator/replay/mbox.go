package replay

import (
	"bytes"
	"regexp"
)

// splitMbox cuts an mbox (RFC 4155) into its mails. Each keeps its line that
// begins with "From ", from which the parser takes the sender; the empty line
// after it is the mbox's, and so is the ">" before a "From " of the text.
func splitMbox(raw []byte) [][]byte {
	var out [][]byte
	start := 0
	for i := 0; i < len(raw); {
		next := bytes.Index(raw[i:], []byte("\nFrom "))
		if next < 0 {
			break
		}
		i += next + 1
		before := bytes.TrimSuffix(raw[start:i-1], []byte("\r"))
		if (len(before) == 0 || before[len(before)-1] == '\n') && separates(raw[i:]) {
			out = append(out, plain(raw[start:i]))
			start = i
		}
	}
	if start < len(raw) {
		out = append(out, plain(raw[start:]))
	}
	return out
}

var (
	dated   = regexp.MustCompile(`^From .*(\d:\d\d.*\d{4}|\d{4}.*\d:\d\d)`)
	stuffed = regexp.MustCompile(`(?m)^>(>*From )`)
)

// separates tells a mail's first line from a sentence that begins with "From":
// it has a date, or a header follows. Not every program quotes the latter.
func separates(line []byte) bool {
	line, rest, _ := bytes.Cut(line, []byte("\n"))
	return dated.Match(line) || field.Match(rest)
}

// plain is a mail without what the mbox added.
func plain(m []byte) []byte {
	for _, end := range []string{"\n\r\n", "\n\n"} {
		if bytes.HasSuffix(m, []byte(end)) {
			m = m[:len(m)-len(end)+1]
			break
		}
	}
	if !bytes.Contains(m, []byte("\n>")) {
		return m
	}
	return stuffed.ReplaceAll(m, []byte("$1"))
}
