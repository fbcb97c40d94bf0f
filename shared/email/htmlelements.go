package email

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxOpen bounds the elements that are open at once. Mail that nests deeper is not folded.
const maxOpen = 500

// elements is the stack of open elements, with the end tags that HTML lets authors leave out.
type elements struct {
	open  []element
	count map[string]int
	quote int // open elements that are quotes
	pre   int
	sign  int
	over  bool
}

func (s *elements) push(e element) {
	s.implied(e.atom)
	if isVoid(e.atom) {
		return
	}
	if len(s.open) == maxOpen {
		s.over = true
		return
	}
	s.open = append(s.open, e)
	s.tally(e, 1)
}

func (s *elements) tally(e element, by int) {
	s.count[e.name] += by
	s.quote += by * boolInt(e.quote)
	s.pre += by * boolInt(e.pre)
	s.sign += by * boolInt(e.signature)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// pop ends the innermost element of this name and what is open within it; an end tag without one ends nothing.
func (s *elements) pop(name string) {
	for s.count[name] > 0 {
		last := s.open[len(s.open)-1]
		s.open = s.open[:len(s.open)-1]
		s.tally(last, -1)
		if last.name == name {
			return
		}
	}
}

// implied ends what a start tag ends by itself.
func (s *elements) implied(a atom.Atom) {
	if len(s.open) == 0 {
		return
	}
	top := s.open[len(s.open)-1].atom
	switch {
	case top == atom.P && isBlock(a), a == atom.Li && top == atom.Li, a == atom.Tr && top == atom.Tr, isCell(a) && isCell(top),
		(a == atom.Dt || a == atom.Dd) && (top == atom.Dt || top == atom.Dd):
		s.pop(s.open[len(s.open)-1].name)
	case a == atom.Tr && isCell(top):
		s.pop(s.open[len(s.open)-1].name)
		s.implied(a)
	}
}

func isCell(a atom.Atom) bool { return a == atom.Td || a == atom.Th }

func isVoid(a atom.Atom) bool {
	switch a {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta, atom.Param,
		atom.Source, atom.Track, atom.Wbr:
		return true
	}
	return false
}

// htmlWalk reads tokens, keeps the open elements and counts the bytes.
type htmlWalk struct {
	elements
	z  *html.Tokenizer
	at int // offset of the current token
	to int // offset behind it
}

func newHTMLWalk(s string) *htmlWalk {
	return &htmlWalk{elements: elements{count: map[string]int{}}, z: html.NewTokenizer(strings.NewReader(s))}
}

// next reads one token; a start tag's element is returned with it. An address in brackets that nobody escaped is text.
func (w *htmlWalk) next() (html.TokenType, element) {
	kind := w.z.Next()
	raw := string(w.z.Raw())
	w.at, w.to = w.to, w.to+len(raw)
	switch kind {
	case html.StartTagToken, html.SelfClosingTagToken:
		b, more := w.z.TagName()
		name := string(b)
		if strings.Contains(name, "@") {
			return html.TextToken, element{raw: raw}
		}
		e := newElement(atom.Lookup(b), name, func(f func(key, value string)) {
			for n := 0; more && n < 50; n++ {
				var k, v []byte
				k, v, more = w.z.TagAttr()
				f(string(k), string(v))
			}
		})
		e.raw = raw
		w.push(e)
		return html.StartTagToken, e
	case html.EndTagToken:
		b, _ := w.z.TagName()
		e := element{name: string(b), atom: atom.Lookup(b), raw: raw}
		return kind, e
	}
	return kind, element{raw: raw}
}

// openElements are those that are open before the token at offset at.
func openElements(s string, at int) ([]element, bool) {
	w := newHTMLWalk(s[:at])
	for {
		switch kind, e := w.next(); kind {
		case html.ErrorToken:
			return w.open, !w.over
		case html.EndTagToken:
			w.pop(e.name)
		}
	}
}
