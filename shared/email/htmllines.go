package email

import (
	"html"
	"strings"

	xhtml "golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlLine is a line of text as a reader sees it; "> " stands before one that is quoted.
type htmlLine struct {
	text  string
	at    int // offset of the first tag or text that belongs to it
	mark  mark
	image bool
}

// lineWriter gathers the lines.
type lineWriter struct {
	*htmlWalk
	lines  []htmlLine
	line   htmlLine
	begun  bool // line.at is known
	space  bool
	hidden int
	quoted bool // some line was
	was    bool // the line has text within a quote
}

// htmlLines reads the text of HTML line by line; nil for HTML that nests too deep.
func htmlLines(s string) []htmlLine {
	w := &lineWriter{htmlWalk: newHTMLWalk(s)}
	for {
		kind, e := w.next()
		switch kind {
		case xhtml.ErrorToken:
			w.breakLine()
			if w.over {
				return nil
			}
			return w.lines
		case xhtml.TextToken:
			w.text(e.raw)
		case xhtml.StartTagToken:
			w.start(e)
		case xhtml.EndTagToken:
			w.end(e)
		}
	}
}

func (w *lineWriter) begin(at int) {
	if !w.begun {
		w.line.at, w.begun = at, true
	}
}

func (w *lineWriter) start(e element) {
	if isBlock(e.atom) {
		w.block(isParagraph(e.atom) || e.quote, w.at)
	}
	switch {
	case isHidden(e.atom):
		w.hidden++
	case e.atom == atom.Body:
		w.hidden = 0
	}
	w.begin(w.at)
	if e.mark > w.line.mark && strings.TrimSpace(w.line.text) == "" {
		w.line.mark = e.mark
	}
	switch e.atom {
	case atom.Br:
		w.newLine()
	case atom.Hr:
		w.put("----------")
		w.breakLine()
	case atom.Td, atom.Th:
		w.space = true
	case atom.Img:
		w.line.image = true
	}
}

func (w *lineWriter) end(e element) {
	if isHidden(e.atom) {
		w.hidden = max(w.hidden-1, 0)
	}
	quote := w.quote
	if isBlock(e.atom) {
		w.block(isParagraph(e.atom), w.to)
	}
	if w.pop(e.name); w.quote < quote {
		w.block(true, w.to) // what follows a quote is no wrapped rest of it
	}
	if strings.TrimSpace(w.line.text) == "" && !w.line.image {
		w.begun = false // an end tag belongs to what is before it
	}
}

func (w *lineWriter) text(raw string) {
	if w.hidden > 0 {
		return
	}
	if w.pre == 0 {
		w.words(raw, w.at)
		return
	}
	at := w.at
	for i, l := range strings.Split(raw, "\n") {
		if i > 0 {
			w.newLine()
		}
		w.begin(at)
		w.put(html.UnescapeString(strings.TrimSuffix(l, "\r")))
		at += len(l) + 1
	}
}

// words adds text whose white space collapses.
func (w *lineWriter) words(raw string, at int) {
	s := strings.Map(collapseRune, html.UnescapeString(raw))
	fields := strings.Fields(s)
	if len(fields) == 0 {
		w.space = w.space || s != ""
		return
	}
	w.begin(at)
	if (w.space || s[0] == ' ') && w.line.text != "" {
		w.put(" ")
	}
	w.put(strings.Join(fields, " "))
	w.space = strings.HasSuffix(s, " ")
}

func (w *lineWriter) put(s string) {
	if w.hidden > 0 {
		return
	}
	w.was = w.was || w.quote > 0 || w.sign > 0 && w.quoted // a signature below a quote is no answer to it
	if len(w.line.text) < 4096 {                           // longer lines are nobody's attribution
		w.line.text += s
	}
}

// block ends the line before a block; a paragraph leaves an empty line, which begins at offset at.
func (w *lineWriter) block(paragraph bool, at int) {
	w.breakLine()
	if n := len(w.lines); paragraph && n > 0 && strings.TrimSpace(w.lines[n-1].text) != "" {
		w.lines = append(w.lines, htmlLine{at: at})
	}
}

// breakLine ends a line that has content; a mark without content waits for the next one.
func (w *lineWriter) breakLine() {
	if strings.TrimSpace(w.line.text) != "" || w.line.image {
		w.newLine()
	}
	w.space = false
}

func (w *lineWriter) newLine() {
	w.begin(w.at)
	l := w.line
	w.line, w.begun, w.space = htmlLine{}, false, false
	if strings.TrimSpace(l.text) == "" && l.mark != markNone && !l.image {
		w.line.mark, l.mark = l.mark, markNone // a blank line: the mark is for what follows
	}
	if w.was && strings.TrimSpace(l.text) != "" {
		l.text, w.quoted = "> "+l.text, true
	}
	w.was = false
	w.lines = append(w.lines, l)
}
