package email

import (
	"html"
	"strings"
	"unicode/utf8"
)

// bodies gathers the texts of a mail. The parts of one multipart/alternative are versions of one text; texts
// elsewhere follow each other, so nothing a sender put between two pictures is lost.
type bodies struct {
	groups      []body
	alternative int // depth of open multipart/alternative
	digest      int // depth of open multipart/digest
	plain, html int // bytes so far
}

type body struct{ plain, html string }

// enter notes that a multipart begins; the function that it returns notes its end.
func (b *bodies) enter(mediaType string) (leave func()) {
	switch mediaType {
	case "multipart/alternative":
		if b.alternative++; b.alternative == 1 {
			b.groups = append(b.groups, body{})
		}
		return func() { b.alternative-- }
	case "multipart/digest":
		b.digest++
		return func() { b.digest-- }
	}
	return func() {}
}

// blank: no text has anything to read.
func (b *bodies) blank() bool {
	for _, g := range b.groups {
		if strings.TrimSpace(g.plain) != "" || strings.TrimSpace(g.html) != "" {
			return false
		}
	}
	return true
}

// room is what is left of limit for a text of this type.
func (b *bodies) room(mediaType string, limit int) int {
	if mediaType == "text/html" {
		return max(limit-b.html, 0)
	}
	return max(limit-b.plain, 0)
}

func (b *bodies) add(mediaType, text string) {
	if b.alternative == 0 {
		b.groups = append(b.groups, body{})
	}
	g := &b.groups[len(b.groups)-1]
	if mediaType == "text/html" {
		g.html = joinTexts(g.html, text)
		b.html += len(text)
	} else {
		g.plain = joinTexts(g.plain, text)
		b.plain += len(text)
	}
}

func joinTexts(a, b string) string {
	if a == "" || b == "" || strings.HasSuffix(a, "\n") {
		return a + b
	}
	return a + "\n" + b
}

// result is the whole plain text and the whole HTML. A text without plain version is made from its HTML; in a mail
// that has any HTML, a text without HTML version is quoted into it, so that both are complete.
func (b *bodies) result(links int) (plain, htmlText string, cut bool) {
	hasHTML := false
	for _, g := range b.groups {
		hasHTML = hasHTML || strings.TrimSpace(g.html) != ""
	}
	for _, g := range b.groups {
		text := g.plain
		if strings.TrimSpace(text) == "" && g.html != "" {
			w := renderHTML(g.html, links)
			text, links, cut = w.text, w.linksLeft, cut || w.cut
		}
		plain = joinTexts(plain, text)
		switch {
		case !hasHTML:
		case g.html != "":
			htmlText = joinTexts(htmlText, g.html)
		case strings.TrimSpace(g.plain) != "":
			htmlText = joinTexts(htmlText, `<div style="white-space:pre-wrap">`+html.EscapeString(g.plain)+"</div>")
		}
	}
	return plain, htmlText, cut
}

// trimPartialRune drops a UTF-8 character that a bound has cut.
func trimPartialRune(b []byte) []byte {
	for i := 1; i <= utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}
