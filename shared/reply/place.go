package reply

import "strings"

// place is where in the HTML a tag stands; it decides the escaping.
type place int

const (
	inText      place = iota
	inAttribute       // the quoted value of an attribute that is shown or ignored
	inAddress         // the quoted value of an attribute that is a URL
	elsewhere         // a comment, a name, an unquoted value, a style or a script
)

// maxTagName is longer than any name; it keeps a stray "@{" from swallowing the text.
const maxTagName = 40

// find returns the tags in order. It follows HTML only as far as telling text, markup and quotes apart.
func find(template string) []tag {
	var out []tag
	var in markup
	for i := 0; i < len(template); {
		if strings.HasPrefix(template[i:], "@{") {
			t := readTag(template, i)
			t.place = in.place()
			out = append(out, t)
			i = t.end
			continue
		}
		i += in.step(template, i)
	}
	return out
}

// readTag reads the tag that begins at start. Editors put markup into the middle of tags; those have no name.
func readTag(template string, start int) tag {
	name := template[start+2 : min(len(template), start+2+maxTagName)]
	end := strings.IndexAny(name, "}<>\"'\r\n")
	if end <= 0 || name[end] != '}' {
		return tag{start: start, end: start + 2}
	}
	return tag{start: start, end: start + 2 + end + 1, name: name[:end]}
}

// markup is the state of reading HTML.
type markup struct {
	open    bool   // between < and >
	comment bool   // between <!-- and -->
	quote   byte   // inside a quoted value: its quote
	attr    string // the quoted value's attribute, in lower case
}

// step takes in what stands at i and returns its length.
func (m *markup) step(s string, i int) int {
	c := s[i]
	switch {
	case m.comment:
		if strings.HasPrefix(s[i:], "-->") {
			m.comment = false
			return len("-->")
		}
	case !m.open:
		if strings.HasPrefix(s[i:], "<!--") {
			m.comment = true
			return len("<!--")
		}
		m.open = c == '<' && i+1 < len(s) && (isLetter(s[i+1]) || strings.IndexByte("/!?", s[i+1]) >= 0)
	case m.quote != 0:
		if c == m.quote {
			m.quote = 0
		}
	case c == '"' || c == '\'':
		m.attr = attributeBefore(s[:i])
		if m.attr != "" {
			m.quote = c
		}
	case c == '>':
		m.open = false
	}
	return 1
}

func (m *markup) place() place {
	switch {
	case !m.open && !m.comment:
		return inText
	case m.quote == 0 || m.attr == "style" || m.attr == "srcdoc" || strings.HasPrefix(m.attr, "on"):
		return elsewhere
	}
	switch m.attr {
	case "href", "src", "cite", "action", "formaction", "background", "poster", "data", "srcset", "xlink:href":
		return inAddress
	}
	return inAttribute
}

// attributeBefore returns the name in front of the "=" at the end of s.
func attributeBefore(s string) string {
	s, equals := strings.CutSuffix(strings.TrimRight(s, " \t\r\n"), "=")
	if !equals {
		return ""
	}
	s = strings.TrimRight(s, " \t\r\n")
	return strings.ToLower(s[strings.LastIndexAny(s, " \t\r\n/\"'<>")+1:])
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
