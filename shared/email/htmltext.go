package email

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// TextFromHTML renders HTML as plain text: blocks become lines, list items get a dash, quotes get "> ", a link keeps
// its target in angle brackets. It works on tokens, so its time is linear in the input however deep that nests.
func TextFromHTML(s string) string { return renderHTML(s, DefaultLimits().Links).text }

// rendered is a text made from HTML. cut means that link targets were left out.
type rendered struct {
	text      string
	linksLeft int
	cut       bool
}

func renderHTML(s string, links int) rendered {
	w := textWriter{links: links}
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case html.ErrorToken:
			w.closeLink()
			w.breakLine()
			return rendered{text: strings.Trim(w.out.String(), "\n"), linksLeft: w.links, cut: w.cut}
		case html.TextToken:
			w.words(string(z.Text()))
		case html.StartTagToken, html.SelfClosingTagToken:
			w.open(z)
		case html.EndTagToken:
			name, _ := z.TagName()
			w.close(atom.Lookup(name))
		}
	}
}

// textWriter builds the lines. The quote prefix of a line is that of its end.
type textWriter struct {
	out    strings.Builder
	line   strings.Builder
	space  bool // a space is due before the next word
	blank  int  // empty lines at the end of out
	quote  int  // depth of blockquote
	pre    int  // depth of pre
	hidden int  // depth of elements whose text is not shown
	href   string
	link   strings.Builder // text of the open link
	links  int
	cut    bool
}

// maxQuote bounds the prefix of deeply nested quotes, which would make the text quadratic.
const maxQuote = 10

// paragraphs are the elements with an empty line around them, blocks those that begin and end a line.
func isParagraph(a atom.Atom) bool {
	switch a {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Ul, atom.Ol, atom.Table, atom.Pre:
		return true
	}
	return false
}

func isBlock(a atom.Atom) bool {
	switch a {
	case atom.Div, atom.Tr, atom.Li, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Address, atom.Dt, atom.Dd,
		atom.Center, atom.Form, atom.Fieldset, atom.Caption, atom.Body, atom.Blockquote, atom.Hr:
		return true
	}
	return isParagraph(a)
}

func isHidden(a atom.Atom) bool {
	return a == atom.Script || a == atom.Style || a == atom.Head || a == atom.Title || a == atom.Template || a == atom.Noframes
}

func (w *textWriter) open(z *html.Tokenizer) {
	name, more := z.TagName()
	a := atom.Lookup(name)
	if isBlock(a) {
		w.block(isParagraph(a))
	}
	switch {
	case isHidden(a):
		w.hidden++
	case a == atom.Body:
		w.hidden = 0 // a head that was never closed
	case a == atom.Br:
		w.newLine()
	case a == atom.Blockquote:
		w.quote++
	case a == atom.Pre:
		w.pre++
	case a == atom.Li:
		w.words("- ")
	case a == atom.Hr:
		w.words("----------")
		w.breakLine()
	case a == atom.Td, a == atom.Th:
		w.space = w.line.Len() > 0
	case a == atom.A && more:
		w.closeLink()
		w.href = attribute(z, "href")
	case a == atom.Img && more:
		if alt := strings.TrimSpace(attribute(z, "alt")); alt != "" {
			w.words("[" + alt + "]")
		}
	}
}

func (w *textWriter) close(a atom.Atom) {
	switch {
	case isHidden(a):
		w.hidden = max(w.hidden-1, 0)
	case a == atom.A:
		w.closeLink()
	}
	if isBlock(a) {
		w.block(isParagraph(a))
	}
	switch a {
	case atom.Blockquote:
		w.quote = max(w.quote-1, 0)
	case atom.Pre:
		w.pre = max(w.pre-1, 0)
	}
}

func attribute(z *html.Tokenizer, name string) string {
	for {
		key, value, more := z.TagAttr()
		if string(key) == name {
			return string(value)
		}
		if !more {
			return ""
		}
	}
}

// words adds text; outside of pre, white space collapses.
func (w *textWriter) words(s string) {
	if w.hidden > 0 {
		return
	}
	if w.pre > 0 {
		for i, l := range strings.Split(strings.ReplaceAll(s, "\r", ""), "\n") {
			if i > 0 {
				w.newLine()
			}
			w.put(l)
		}
		return
	}
	s = strings.Map(collapseRune, s)
	for i, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }) {
		if (i > 0 || strings.HasPrefix(s, " ") || w.space) && w.line.Len() > 0 {
			w.put(" ")
		}
		w.put(f)
		w.space = false
	}
	w.space = w.space || strings.HasSuffix(s, " ")
}

// collapseRune makes every white space a space and drops what only web pages need: zero-width and soft characters
// pad the preview line of newsletters.
func collapseRune(r rune) rune {
	switch {
	case r > ' ' && r < 0x7f: // nearly every character
		return r
	case r == '\u00ad' || r == '\u200b' || r == '\u034f' || r == '\ufeff':
		return -1
	case unicode.IsSpace(r):
		return ' '
	}
	return r
}

func (w *textWriter) put(s string) {
	w.line.WriteString(s)
	if w.href != "" && w.link.Len() < 2048 {
		w.link.WriteString(s)
	}
}

// block ends the line before a block; a paragraph leaves an empty line too.
func (w *textWriter) block(paragraph bool) {
	w.breakLine()
	if paragraph && w.blank == 0 && w.out.Len() > 0 {
		w.newLine()
	}
}

func (w *textWriter) breakLine() {
	if strings.TrimSpace(w.line.String()) != "" {
		w.newLine()
	}
	w.line.Reset()
	w.space = false
}

// newLine writes the line. More than two empty lines in a row are layout, not text.
func (w *textWriter) newLine() {
	l := strings.TrimRight(w.line.String(), " ")
	w.line.Reset()
	w.space = false
	if w.hidden > 0 {
		return
	}
	if l == "" {
		if w.blank++; w.blank > 2 || w.out.Len() == 0 {
			return
		}
	} else {
		w.blank = 0
	}
	if w.quote > 0 {
		w.out.WriteString(strings.TrimRight(strings.Repeat("> ", min(w.quote, maxQuote))+l, " "))
	} else {
		w.out.WriteString(l)
	}
	w.out.WriteByte('\n')
}

// closeLink writes the target after the text, unless the text says it already.
func (w *textWriter) closeLink() {
	href, text := strings.TrimSpace(w.href), strings.TrimSpace(w.link.String())
	w.href = ""
	w.link.Reset()
	if text == "" || href == "" || strings.HasPrefix(href, "#") || len(href) > 2048 {
		return
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(href, "mailto:"), "/")
	if strings.Contains(href, text) || strings.Contains(text, bare) || strings.HasPrefix(strings.ToLower(href), "javascript:") {
		return
	}
	if w.links--; w.links < 0 {
		w.links, w.cut = 0, true
		return
	}
	w.words(" <" + href + ">")
}

var metaCharsetPattern = regexp.MustCompile(`(?i)<meta[^>]{0,200}charset\s{0,5}=\s{0,5}["']?([a-z0-9_:.-]{2,40})`)

// metaCharset finds the charset that an HTML text declares for itself.
func metaCharset(b []byte) string {
	if m := metaCharsetPattern.FindSubmatch(b[:min(len(b), 2048)]); m != nil {
		return string(bytes.ToLower(m[1]))
	}
	return ""
}
