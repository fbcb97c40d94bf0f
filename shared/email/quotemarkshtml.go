package email

import (
	"strings"

	"golang.org/x/net/html/atom"
)

// mark is what an element says about the text from it on.
type mark int

const (
	markNone   mark = iota
	markQuote       // a quote or its attribution begins; answers may stand between or below
	markRest        // everything from here on is older
	markBorder      // the line above Outlook's header block, if such a block follows
)

// element is one start tag as far as quoting is concerned.
type element struct {
	name      string
	raw       string // the tag as it was written
	atom      atom.Atom
	mark      mark
	quote     bool // its whole content is quoted
	signature bool
	pre       bool
}

// quoteContainers are parts of class names and ids of elements that hold a quote and nothing else. Programs put a
// prefix of their own before those of others (Yahoo "ydp1", Outlook "x_").
var quoteContainers = []string{"yahoo_quoted", "protonmail_quote", "tutanota_quote", "zmail_extra", "skiff_quote", "isreplycontent",
	"isforwardcontent", "origbody", "reply139content", "orimsghtmlseperator", "mail-quote-collapse", "front-blockquote", "missive_quote"}

// quoteBeginnings stand before a quote, or hold it together with answers.
var quoteBeginnings = []string{"gmail_quote", "gmail_attr", "moz-cite-prefix", "moz-forward-container", "moz-email-headers-table",
	"qtdseparate", "reply-intro"}

// restBeginnings are ids and classes that only stand before older mail: Outlook's, Hotmail's and Zimbra's.
var restBeginnings = []string{"divrplyfwdmsg", "appendonsend", "olk_src_body_section", "mail-editor-reference-message-container",
	"ms-outlook-mobile-reference-message", "replysplit", "stopspelling", "zwchr"}

var signatureNames = []string{"gmail_signature", "moz-signature", "ms-outlook-mobile-signature", "protonmail_signature"}

// newElement reads a start tag. attr calls its argument for each attribute, keys in lower case.
func newElement(a atom.Atom, name string, attr func(func(key, value string))) element {
	e := element{name: name, atom: a, quote: a == atom.Blockquote, pre: a == atom.Pre}
	attr(func(key, value string) {
		value = strings.ToLower(value[:min(len(value), 1000)])
		switch key {
		case "class", "id":
			e.named(value)
		case "name":
			if value == "quote" && a == atom.Div { // GMX and Web.de
				e.quote, e.mark = true, markQuote
			}
		case "style":
			style := strings.ReplaceAll(value, " ", "")
			e.pre = e.pre || strings.Contains(style, "white-space:pre")
			if e.mark == markNone && a == atom.Div && (strings.Contains(style, "border-top:solid#") || strings.Contains(style, "border-top:1pxsolid")) {
				e.mark = markBorder
			}
		}
	})
	return e
}

// named reads a class or an id.
func (e *element) named(value string) {
	switch {
	case contains(value, restBeginnings) != "":
		e.mark = markRest
	case contains(value, quoteContainers) != "":
		e.quote, e.mark = true, markQuote
	case contains(value, quoteBeginnings) != "":
		e.mark = markQuote
	case contains(value, signatureNames) != "":
		e.signature = true
	}
}
