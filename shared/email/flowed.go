package email

import "strings"

// flowed tells whether a plain text was wrapped by the sender's program only to be sent, and its paragraphs are to be
// put together again (RFC 3676); delSp tells that the spaces at which it broke lines are not part of the text.
func (ps params) flowed(mediaType string) (flowed, delSp bool) {
	flowed = mediaType == "text/plain" && strings.EqualFold(ps["format"], "flowed")
	return flowed, flowed && strings.EqualFold(ps["delsp"], "yes")
}

// unflow puts the paragraphs of a flowed text together: a line that ends in a space goes on in the next one of the same
// quote depth. Lines end in LF.
func unflow(text string, delSp bool) string {
	var b strings.Builder
	b.Grow(len(text))
	depth, open := 0, false // of the line before
	for i, line := range strings.Split(text, "\n") {
		quote, content := splitQuote(line)
		d := strings.Count(quote, ">")
		content = strings.TrimPrefix(content, " ") // section 4.4, space-stuffing
		signature := content == "-- "              // section 4.3
		switch {
		case open && d == depth && !signature:
		case i > 0:
			b.WriteByte('\n')
			fallthrough
		default:
			b.WriteString(quote)
			if d > 0 && content != "" {
				b.WriteByte(' ')
			}
		}
		depth, open = d, strings.HasSuffix(content, " ") && !signature
		if open && delSp {
			content = content[:len(content)-1]
		}
		b.WriteString(content)
	}
	return b.String()
}

// splitQuote cuts a line behind its quote marks. By the RFC they stand side by side; many programs write "> >", which
// can be nothing else within a quote.
func splitQuote(line string) (quote, content string) {
	end := 0
	for i, c := range []byte(line) {
		if c == '>' {
			end = i + 1
		} else if c != ' ' || i == 0 || i > end {
			break
		}
	}
	return line[:end], line[end:]
}
