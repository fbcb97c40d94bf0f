package reply

import (
	"errors"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Tags lists the names that an automatic reply may use.
func Tags() []string {
	return []string{"consumer", "agent", "date", "time", "queue", "company", "next_working_date", "ticket_id"}
}

// SignatureTags lists the names that a signature may use.
func SignatureTags() []string { return []string{"agent", "company", "alias"} }

// Validate refuses tags that are not in Tags, that have no end, or that stand where no value can be made
// safe. The error has a line per tag.
func Validate(template string) error { return validate(template, Tags()) }

// ValidateSignature is Validate for SignatureTags.
func ValidateSignature(template string) error { return validate(template, SignatureTags()) }

// Uses says whether the template has the tag of this name, so that its value is worth looking up.
func Uses(template, name string) bool {
	return slices.ContainsFunc(find(template), func(t tag) bool { return t.name == name })
}

func validate(template string, known []string) error {
	var bad []error
	for _, t := range find(template) {
		switch {
		case t.name == "":
			bad = append(bad, fmt.Errorf("%q is not a whole tag", template[t.start:t.end]))
		case !slices.Contains(known, t.name):
			bad = append(bad, fmt.Errorf("@{%s} is not a tag; the tags are %s", t.name, strings.Join(known, ", ")))
		case t.place == elsewhere:
			bad = append(bad, fmt.Errorf("@{%s} stands inside markup; it may be in text or in a quoted attribute that runs nothing", t.name))
		}
	}
	return errors.Join(bad...)
}

// tag is one @{…} of a template; without a name it is only the beginning of one.
type tag struct {
	start, end int
	name       string
	place      place
}

// render replaces each tag for which value has a text, once, and leaves the others as they are.
func render(template string, value func(name string) (string, bool)) string {
	var b strings.Builder
	rest := 0
	for _, t := range find(template) {
		if text, ok := value(t.name); ok && t.name != "" {
			b.WriteString(template[rest:t.start])
			b.WriteString(t.place.escape(clean(text)))
			rest = t.end
		}
	}
	b.WriteString(template[rest:])
	return b.String()
}

// escape makes a value harmless in its place. A brace is escaped too: no value becomes a tag for whoever
// reads the result as a template once more, not even together with its neighbour. An address must not get
// a scheme or a host from a value, so everything but letters, digits, a few marks and the @ of mailto is
// percent-encoded; that is also safe elsewhere, where a template that was never validated may have a tag.
func (p place) escape(s string) string {
	if p == inText || p == inAttribute {
		return strings.ReplaceAll(html.EscapeString(s), "{", "&#123;")
	}
	return strings.NewReplacer("+", "%20", "%40", "@").Replace(url.QueryEscape(s))
}

// clean makes one line of a value, without control characters and without the marks that turn the
// direction of everything behind them.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	return strings.Join(strings.Fields(s), " ")
}
