package email

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Parse reads one mail from r to its end or to lim.Bytes, in one pass. envelopeSender is the SMTP reverse path where
// it is known: an address, "<>" for the null path, "" for unknown; then a leading mbox "From " line and Return-Path
// are asked. Each attachment is given to save, decoded, in the order of the mail; a nil save discards the content.
// What save leaves unread is skipped. Zero fields of lim mean the defaults.
//
// Errors are ErrEmpty, or what r and save returned, wrapped. Everything else is a Mail, with its flaws in Degraded.
func Parse(r io.Reader, envelopeSender string, lim Limits, save func(Part, io.Reader) error) (*Mail, error) {
	lim = lim.withDefaults()
	p := &parser{in: newLineReader(r, lim.Bytes), lim: lim, save: save, m: &Mail{}, digest: newDigest(), level: noHit}
	top := p.topHeader()
	if p.in.n == 0 || p.blank && len(top) == 0 {
		if p.in.err != nil {
			return nil, fmt.Errorf("read mail: %w", p.in.err)
		}
		return nil, ErrEmpty
	}
	p.charset = charsetOf(top)
	p.entity(top, nil, 1)
	if p.err != nil {
		return nil, p.err
	}
	if p.drain(); p.in.err != nil {
		return nil, fmt.Errorf("read mail: %w", p.in.err)
	}
	p.finish(top, envelopeSender)
	return p.m, nil
}

// parser is the state of one Parse.
type parser struct {
	in   *lineReader
	lim  Limits
	save func(Part, io.Reader) error
	m    *Mail
	err  error // of save; ends the walk

	bounds []string // boundaries of the open multiparts, the outermost first
	level  int      // index in bounds of the boundary that was just read, or noHit
	final  bool     // it was a closing one

	charset  string // the mail's own, for raw 8-bit headers
	mboxFrom string
	blank    bool // the input has nothing but white space so far
	leaves   int
	pgp      bool // a part announced PGP encryption
	bodies   bodies
	facts    facts
	digest   *digest
	reports  int // parts whose beginning the classification reads
	tnefBody tnefBody
	held     int64 // bytes of files in Outlook envelopes that wait for their names
}

const noHit = -1

func (p *parser) note(what string) {
	for _, d := range p.m.Degraded {
		if d == what {
			return
		}
	}
	if len(p.m.Degraded) < 50 {
		p.m.Degraded = append(p.m.Degraded, what)
	}
}

// topHeader reads the mail's header and repairs what stands before it: blank lines, a byte order mark, an mbox line.
func (p *parser) topHeader() header {
	p.blank = true
	for {
		l, ok := p.in.next()
		if !ok {
			return nil
		}
		text := bytes.TrimPrefix(l.text, []byte("\ufeff"))
		if len(bytes.TrimSpace(text)) == 0 {
			p.note("leading-blank-line")
			continue
		}
		p.blank = false
		if from, ok := mboxLine(text); ok {
			p.note("mbox-from-line")
			p.mboxFrom, p.blank = from, true
			continue
		}
		l.text = text
		p.in.unread(l)
		return p.header()
	}
}

// mboxLine reads "From addr date" or ">From addr date". The address of a bounce is MAILER-DAEMON or "<>".
func mboxLine(text []byte) (from string, ok bool) {
	rest, ok := bytes.CutPrefix(bytes.TrimPrefix(text, []byte(">")), []byte("From "))
	if !ok {
		return "", false
	}
	f := strings.Fields(string(rest))
	if len(f) == 0 {
		return "", true
	}
	return f[0], true
}

// header reads one header block. A boundary ends it like a blank line would.
func (p *parser) header() header {
	hr := headerReader{limit: p.lim.HeaderBytes, note: p.note}
	for {
		l, ok := p.in.next()
		if !ok || p.boundary(l) {
			return hr.fields
		}
		if !l.start {
			hr.rest(l.text)
			continue
		}
		var ahead []byte
		if !isFieldOrFold(l.text) {
			l.text = bytes.Clone(l.text) // peeking may move the buffer
			ahead = p.in.peek()
		}
		if done, keep := hr.add(l.text, ahead); done {
			if keep {
				p.in.unread(l)
			}
			return hr.fields
		}
	}
}

// boundary recognises a delimiter of any open multipart, the innermost first, and records it. The closing
// delimiter of an outer multipart ends the inner ones too.
func (p *parser) boundary(l line) bool {
	if !l.start || len(l.text) < 3 || l.text[0] != '-' || l.text[1] != '-' {
		return false
	}
	for i := len(p.bounds) - 1; i >= 0; i-- {
		rest, ok := bytes.CutPrefix(l.text[2:], []byte(p.bounds[i]))
		if !ok {
			continue
		}
		after, closing := bytes.CutPrefix(rest, []byte("--"))
		if closing && endsDelimiter(after) || endsDelimiter(rest) {
			p.level, p.final = i, closing
			return true
		}
	}
	return false
}

// endsDelimiter: anything may follow a delimiter (RFC 2046 section 5.1.1), but not the rest of a longer one, so not a
// character that boundaries have.
func endsDelimiter(rest []byte) bool {
	return len(rest) == 0 || rest[0] < '!' || rest[0] > '~' || strings.IndexByte("<>[]{};!\"#$%&*@\\^`|~", rest[0]) >= 0
}

// entity reads the body that belongs to h. path is its position, depth the nesting of multiparts.
func (p *parser) entity(h header, path []int, depth int) {
	if p.level != noHit {
		return // the part ended within its header
	}
	mediaType, ps := parseParams(h.get("content-type"), p.charset)
	if path == nil {
		p.facts.top(mediaType, ps)
	}
	if strings.HasPrefix(mediaType, "multipart/") {
		if depth <= p.lim.Depth {
			p.multipart(mediaType, ps, path, depth)
			return
		}
		p.note("limit:depth")
	}
	p.leaf(h, mediaType, ps, path)
}

// multipart walks the parts between the boundaries. Without a usable boundary the body is text.
func (p *parser) multipart(mediaType string, ps params, path []int, depth int) {
	mine := len(p.bounds)
	leave := p.bodies.enter(mediaType)
	defer leave()
	preamble, found := p.preamble(ps["boundary"])
	defer func() { p.bounds = p.bounds[:mine] }()
	if !found {
		p.note("no-boundary")
		p.digest.part("text")
		_, _ = textDigest{p.digest}.Write(preamble) // a hash never fails
		p.bodyText("text/plain", preamble, ps)
		return
	}
	for n := 1; p.level == mine && !p.final && p.err == nil; n++ {
		p.level = noHit
		p.entity(p.header(), append(path[:len(path):len(path)], n), depth+1)
		if p.level == noHit && p.err == nil {
			p.note("missing-closing-boundary")
			return
		}
	}
	if p.level == mine && p.final {
		p.epilogue(mine)
	} else if p.level != noHit {
		p.note("missing-closing-boundary") // an outer boundary ended this multipart
	}
}

// preamble skips to the first boundary and keeps what it skips, in case there is none. The boundary is pushed; an
// undeclared one is taken from the first line that looks like it. White space at its end is against RFC 2046 section
// 5.1.1 and counts only if it is there in the first delimiter too: transports strip it from the lines.
func (p *parser) preamble(declared string) (skipped []byte, found bool) {
	mine := len(p.bounds)
	boundary := strings.TrimRight(declared, " \t")
	p.bounds = append(p.bounds, boundary)
	if boundary == "" {
		p.note("no-boundary-parameter")
		p.bounds = p.bounds[:mine]
	}
	for {
		l, ok := p.in.next()
		if !ok {
			return skipped, false
		}
		if boundary == "" && l.start && looksLikeBoundary(l.text) && !p.boundary(l) {
			p.bounds = append(p.bounds, string(bytes.TrimRight(l.text[2:], " \t\r")))
			boundary = p.bounds[mine]
		}
		if p.boundary(l) {
			if p.level == mine && len(declared) > len(boundary) && bytes.HasPrefix(l.text[2:], []byte(declared)) {
				p.bounds[mine] = declared
			}
			return skipped, p.level == mine
		}
		if room := p.lim.TextBytes - len(skipped); room > 0 {
			skipped = append(append(skipped, l.text[:min(len(l.text), room)]...), l.eol...)
		}
	}
}

func looksLikeBoundary(text []byte) bool {
	text = bytes.TrimRight(text, " \t\r")
	return len(text) > 8 && len(text) <= 72 && bytes.HasPrefix(text, []byte("--")) && bytes.IndexByte(text, ' ') < 0 &&
		bytes.ContainsAny(text, "0123456789")
}

// epilogue skips what follows the closing boundary of multipart number mine, up to a boundary further out.
func (p *parser) epilogue(mine int) {
	p.bounds = p.bounds[:mine]
	p.level = noHit
	for {
		l, ok := p.in.next()
		if !ok || p.boundary(l) {
			return
		}
	}
}

// drain counts the bytes after the end of the walk.
func (p *parser) drain() {
	for {
		if _, ok := p.in.next(); !ok {
			break
		}
	}
	if p.in.limited {
		p.note("limit:bytes")
	}
	if p.in.doubled {
		p.note("crcrlf-line-ends")
	}
	if p.in.eol == '\r' {
		p.note("bare-cr-line-ends")
	}
}
