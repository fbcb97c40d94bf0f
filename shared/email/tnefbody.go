package email

import "strings"

// tnefBody is the text of an envelope in the forms in which Outlook writes it. It counts only in a mail that has no
// other text: most have the same text as a part of their own.
type tnefBody struct {
	plain, html string
	rtf         []byte // compressed, [MS-OXRTFCP]
	charset     string // of HTML, where it is stated
}

func (b *tnefBody) blank() bool {
	return strings.TrimSpace(b.plain) == "" && strings.TrimSpace(b.html) == "" && len(b.rtf) == 0
}

// setHTML reads the HTML property: as text, or as bytes in a charset of their own.
func (b *tnefBody) setHTML(t *tnef, p property) {
	if p.kind != typeBinary {
		b.html = t.string(p, t.p.lim.TextBytes)
		return
	}
	raw := t.read(p.data, t.p.lim.TextBytes)
	if len(raw) == t.p.lim.TextBytes {
		t.p.note("limit:text")
		raw = trimPartialRune(raw)
	}
	s, _ := toUTF8(raw, firstNonEmpty(metaCharset(raw), b.charset, t.charset))
	b.html = unixLines(s)
}

// texts is the text as plain text and as HTML; RTF is read where there is neither.
func (b *tnefBody) texts(p *parser) (plain, htmlText string) {
	plain, htmlText = b.plain, b.html
	if strings.TrimSpace(plain) == "" && strings.TrimSpace(htmlText) == "" && len(b.rtf) > 0 {
		raw, ok := decompressRTF(b.rtf, 4*p.lim.TextBytes)
		if !ok {
			p.note("tnef-rtf-damaged")
		}
		plain = textFromRTF(raw, p.lim.TextBytes)
	}
	return plain, htmlText
}

// addTNEFBody makes the text of an envelope the text of a mail that has none.
func (p *parser) addTNEFBody() {
	if p.tnefBody.blank() || !p.bodies.blank() {
		return
	}
	plain, htmlText := p.tnefBody.texts(p)
	leave := p.bodies.enter("multipart/alternative")
	defer leave()
	if strings.TrimSpace(plain) != "" {
		p.bodies.add("text/plain", plain)
	}
	if strings.TrimSpace(htmlText) != "" {
		p.bodies.add("text/html", htmlText)
	}
}
