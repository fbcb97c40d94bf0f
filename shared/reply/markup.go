package reply

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// active are the elements that run, load or ask for something. No mail program shows them, and one that did
// would let the template speak for the reader.
var active = []string{"script", "iframe", "frame", "frameset", "object", "embed", "applet", "form", "input", "button",
	"textarea", "select", "meta", "link", "base", "svg", "math", "template", "noscript", "portal"}

// Schemes that an address may have where it is followed, and where it is shown at once.
var (
	followed = []string{"http", "https", "mailto", "tel"}
	loaded   = []string{"http", "https", "cid"}
)

// ValidateMarkup refuses HTML that does something besides being shown: elements that run or load, handlers of
// events, and addresses that are no link to the web, a mailbox, a telephone or a picture of the mail. The error
// has a line per finding.
func ValidateMarkup(s string) error {
	var bad []error
	style := false
	for z := html.NewTokenizer(strings.NewReader(s)); ; {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return errors.Join(bad...)
		case html.TextToken:
			if style {
				bad = append(bad, checkStyle("a style sheet", string(z.Raw())))
			}
		case html.EndTagToken:
			style = false
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			style = t.Data == "style"
			bad = append(bad, checkElement(t)...)
		}
	}
}

func checkElement(t html.Token) []error {
	if slices.Contains(active, t.Data) {
		return []error{fmt.Errorf("<%s> is not allowed: it runs or loads something", t.Data)}
	}
	var bad []error
	for _, a := range t.Attr {
		where := fmt.Sprintf("%s of <%s>", a.Key, t.Data)
		switch key := strings.ToLower(a.Key); {
		case strings.HasPrefix(key, "on") || key == "srcdoc":
			bad = append(bad, fmt.Errorf("%s is not allowed: it runs something", where))
		case key == "style":
			bad = append(bad, checkStyle(where, a.Val))
		case key == "href" || key == "xlink:href" || key == "cite" || key == "action" || key == "formaction" || key == "ping":
			bad = append(bad, checkAddress(where, a.Val, followed))
		case key == "src" || key == "background" || key == "poster" || key == "data":
			bad = append(bad, checkAddress(where, a.Val, loaded))
		case key == "srcset":
			for candidate := range strings.SplitSeq(a.Val, ",") {
				bad = append(bad, checkAddress(where, candidate, loaded))
			}
		}
	}
	return bad
}

// checkAddress refuses a scheme that is not among those allowed. Blanks and control characters within one are
// what browsers pass over. A tag brings no scheme: its value is escaped.
func checkAddress(where, v string, allowed []string) error {
	plain := strings.ToLower(strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || r == 0xa0 {
			return -1
		}
		return r
	}, v))
	end := strings.IndexAny(plain, ":/?#")
	if end < 0 || plain[end] != ':' || slices.Contains(allowed, plain[:end]) {
		return nil
	}
	remedy := strings.Join(allowed, ", ")
	if plain[:end] == "data" {
		remedy += "; upload the picture"
	}
	return fmt.Errorf("%s: an address with %q is not allowed, only %s", where, plain[:end+1], remedy)
}

var cssAddress = regexp.MustCompile(`(?i)(?:url\(|@import)\s*["']?([^"')]*)`)

// checkStyle refuses CSS that runs something or loads from elsewhere than pictures may be.
func checkStyle(where, css string) error {
	if lower := strings.ToLower(css); strings.Contains(lower, "expression(") || strings.Contains(lower, "-moz-binding") || strings.Contains(lower, "behavior:") {
		return fmt.Errorf("%s is not allowed: it runs something", where)
	}
	for _, m := range cssAddress.FindAllStringSubmatch(css, -1) {
		if err := checkAddress(where, m[1], loaded); err != nil {
			return err
		}
	}
	return nil
}
