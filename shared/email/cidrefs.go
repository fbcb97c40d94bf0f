package email

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// ContentIDs lists the parts of its own mail that HTML shows, by the "cid:"
// addresses of RFC 2392 in its attributes and style sheets: their Content-IDs
// without brackets, each once, in the order of the HTML.
func ContentIDs(s string) []string {
	var out []string
	add := func(v string) {
		if id, err := url.PathUnescape(v); err == nil {
			v = id
		}
		if v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	style := false
	for z := html.NewTokenizer(strings.NewReader(s)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return out
		case html.TextToken:
			if style {
				styled(string(z.Raw()), add)
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			style = string(name) == "style"
			for more {
				var key, value []byte
				key, value, more = z.TagAttr()
				shown(string(key), string(value), add)
			}
		case html.EndTagToken:
			style = false
		}
	}
}

// shown finds the addresses of an attribute that shows something.
func shown(key, value string, add func(string)) {
	switch key {
	case "src", "background", "poster", "data", "href":
		if v := strings.TrimSpace(value); hasCID(v) {
			add(v[len("cid:"):])
		}
	case "srcset":
		for _, candidate := range strings.Split(value, ",") {
			if v, _, _ := strings.Cut(strings.TrimSpace(candidate), " "); hasCID(v) {
				add(v[len("cid:"):])
			}
		}
	case "style":
		styled(value, add)
	}
}

func hasCID(v string) bool { return len(v) > 4 && strings.EqualFold(v[:4], "cid:") }

var cssURL = regexp.MustCompile(`(?i)url\(\s*["']?\s*cid:([^"')]*)`)

// styled finds the url(…) of CSS.
func styled(css string, add func(string)) {
	for _, m := range cssURL.FindAllStringSubmatch(css, -1) {
		add(strings.TrimSpace(m[1]))
	}
}
