package email

import (
	"strings"
)

// SplitReply separates what the sender wrote now from the quote of earlier mail below it. It only finds the place of
// the fold: fresh+quoted is always text, byte for byte. Where someone answers between or below the quoted lines, or
// writes nothing but a quote (a forward), nothing is folded.
//
// It knows attribution lines ("On ... wrote:") of the usual programs and languages, the header blocks and separators
// of Outlook and mobile programs, and ">" quotes.
func SplitReply(text string) (fresh, quoted string) {
	lines := strings.SplitAfter(text, "\n")
	f := folder{lines: lines, tail: lastUnquoted(lines)}
	for i := range lines {
		begin, ok := f.quoteAt(i)
		if !ok {
			continue
		}
		at := 0
		for _, l := range lines[:foldAbove(lines, begin)] {
			at += len(l)
		}
		if strings.TrimSpace(text[:at]) == "" {
			return text, ""
		}
		return text[:at], text[at:]
	}
	return text, ""
}

// maxTries bounds the lines that are looked at as attributions: they end with a colon, and a text with more of them
// than this is a log or a list.
const maxTries = 500

// folder looks for the fold.
type folder struct {
	lines []string
	tail  int // last line that someone wrote below a quote
	tries int
}

// quoteAt tells whether line i makes it certain that a quote begins, and the line at which it begins.
func (f *folder) quoteAt(i int) (begin int, ok bool) {
	lines, tail := f.lines, f.tail
	l := strings.TrimSpace(lines[i])
	if l == "" || len(l) > 1000 || isQuoted(l) && tail > i {
		return 0, false // nothing, or a quoted line with answers below it
	}
	if j, ok := f.attribution(i); ok {
		next := nextText(lines, i+1)
		if next < len(lines) && isQuoted(lines[next]) && tail > next {
			return 0, false // answers between the quoted lines
		}
		return j, true
	}
	switch {
	case isSeparator(l), isMobileBreak(lines, i), isHeaderBlock(lines, i), isListFooter(lines, i):
		return i, true
	case isQuoted(l):
		return i, true
	}
	return 0, false
}

// foldAbove moves the fold up over what programs put between the reply and the quote: blank lines, rules and
// "Sent from my phone".
func foldAbove(lines []string, i int) int {
	for i > 0 {
		l := strings.TrimSpace(lines[i-1])
		if l != "" && !isRule(l) && !isSentFrom(l) {
			break
		}
		i--
	}
	return i
}

func isQuoted(l string) bool {
	l = strings.TrimLeft(l, " \t")
	return strings.HasPrefix(l, ">") || strings.HasPrefix(l, "|>")
}

func nextText(lines []string, i int) int {
	for i < len(lines) && strings.TrimSpace(lines[i]) == "" {
		i++
	}
	return i
}

// lastUnquoted is the last line that someone wrote below a quote, -1 if the text has none: a paragraph of its own
// that is no footer. A line directly under a quoted one is that one's wrapped rest.
func lastUnquoted(lines []string) int {
	for i := len(lines) - 1; i >= 0; i-- {
		l := strings.TrimSpace(lines[i])
		switch {
		case l == "":
		case isQuoted(l):
			return -1
		case isRule(l) || l == "--" || strings.HasPrefix(l, "-- "):
			// what stands below belongs to a footer or signature; look on above it
		default:
			if begin := paragraphStart(lines, i); begin > 0 && isQuoted(lines[begin-1]) || footerAbove(lines, i) {
				i = begin
				continue
			}
			return i
		}
	}
	return -1
}

func paragraphStart(lines []string, i int) int {
	for i > 0 && strings.TrimSpace(lines[i-1]) != "" && !isQuoted(lines[i-1]) {
		i--
	}
	return i
}

// footerAbove: line i stands below a rule or a signature mark, with at most ten lines between.
func footerAbove(lines []string, i int) bool {
	for j := i; j >= 0 && j > i-10; j-- {
		l := strings.TrimSpace(lines[j])
		if isQuoted(l) {
			return false
		}
		if isRule(l) || l == "--" {
			return true
		}
	}
	return false
}

// isRule: a line of dashes, underscores or equals signs.
func isRule(l string) bool { return len(l) >= 2 && strings.Trim(l, "_-=—* ") == "" }

// isListFooter: the rule above a mailing list's footer.
func isListFooter(lines []string, i int) bool {
	if !isRule(strings.TrimSpace(lines[i])) || i+1 >= len(lines) {
		return false
	}
	return strings.Contains(strings.ToLower(lines[i+1]), "mailing list")
}
