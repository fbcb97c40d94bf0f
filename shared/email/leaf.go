package email

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// bodyReader reads the raw body of a leaf: up to, and without the line end before, the next boundary.
type bodyReader struct {
	p    *parser
	eol  string // of the last line; it belongs to a boundary that may follow
	pre  string // line end to be read before rest
	rest []byte // line to be read
	done bool
}

func (b *bodyReader) Read(buf []byte) (n int, err error) {
	for n < len(buf) {
		if b.pre == "" && len(b.rest) == 0 {
			if b.done {
				break
			}
			b.line()
		}
		m := copy(buf[n:], b.pre)
		b.pre = b.pre[m:]
		n += m
		if b.pre == "" {
			m = copy(buf[n:], b.rest)
			b.rest = b.rest[m:]
			n += m
		}
	}
	if n == 0 && b.done && len(buf) > 0 {
		if b.p.in.err != nil {
			return 0, b.p.in.err
		}
		return 0, io.EOF
	}
	return n, nil
}

// line makes the next stretch of content readable: the line end that was held back and the line after it.
func (b *bodyReader) line() {
	if b.p.level != noHit {
		b.done = true
		return
	}
	l, ok := b.p.in.next()
	if !ok {
		b.pre, b.eol, b.done = b.eol, "", true
		return
	}
	if b.p.boundary(l) {
		b.done = true
		return
	}
	b.pre, b.rest, b.eol = b.eol, l.text, l.eol
}

// leaf reads a part without parts: a text of the mail, or a file.
func (p *parser) leaf(h header, mediaType string, ps params, path []int) {
	raw := &bodyReader{p: p}
	if p.leaves++; p.leaves > p.lim.Parts {
		p.note("limit:parts")
		_, _ = io.Copy(io.Discard, raw)
		return
	}
	disposition, dps := parseParams(h.get("content-disposition"), p.charset)
	part := Part{
		Name:        fileName(firstNonEmpty(dps["filename"], ps["name"], dps["name"], ps["filename"], ps["file"], dps["file"])),
		Type:        p.leafType(mediaType, path),
		Disposition: disposition,
		ContentID:   contentID(h.get("content-id")),
		Index:       partIndex(path),
	}
	if other := fileName(ps["name"]); other != part.Name {
		part.OtherName = other
	}
	p.sealed(&part, ps)
	if part.Name == "" {
		part.Name = customaryName(part.Type)
	}
	content := transferReader(h.get("content-transfer-encoding"), raw, p.note)
	if p.isBody(part, path) {
		br := bufio.NewReaderSize(content, 512)
		if head, _ := br.Peek(512); !isBinary(head, ps["charset"]) {
			p.text(part.Type, ps, br)
			return
		}
		p.note("binary-text-part")
		part.Type, content = "application/octet-stream", br
	}
	p.file(part, path, content)
}

func firstNonEmpty(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}

// customaryName names what programs send without a name and what no one can open without one: RFC 8551 section 3.2.1
// for S/MIME, RFC 3156 for PGP, RFC 5545 and practice for the rest.
func customaryName(mediaType string) string {
	switch mediaType {
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return "smime.p7m"
	case "application/pkcs7-signature", "application/x-pkcs7-signature":
		return "smime.p7s"
	case "application/pgp-encrypted":
		return "version.asc"
	case "application/pgp-signature":
		return "signature.asc"
	case "application/pgp-keys":
		return "key.asc"
	case "text/calendar":
		return "invite.ics"
	case "text/vcard", "text/x-vcard", "text/directory":
		return "contact.vcf"
	case "application/ms-tnef", "application/vnd.ms-tnef":
		return "winmail.dat"
	}
	return ""
}

// sealed tells why a mail has no text that can be shown: its content is encrypted or wrapped in a signature, and is
// kept as it came.
func (p *parser) sealed(part *Part, ps params) {
	switch part.Type {
	case "application/pgp-encrypted":
		p.pgp = true
		p.note("encrypted:pgp")
	case "application/octet-stream":
		if p.pgp && part.Name == "" {
			part.Name = "encrypted.asc"
		}
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		if strings.EqualFold(ps["smime-type"], "signed-data") {
			p.note("opaque-signed:smime")
		} else if !strings.EqualFold(ps["smime-type"], "certs-only") {
			p.note("encrypted:smime")
		}
	}
}

// contentID drops the brackets. One that is longer than a header line is none.
func contentID(s string) string {
	if s = strings.Trim(s, "<> \t"); len(s) > maxMessageID {
		return ""
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// partIndex is the position in IMAP's counting: the single body of a mail is part 1.
func partIndex(path []int) string {
	if len(path) == 0 {
		return "1"
	}
	s := make([]string, len(path))
	for i, n := range path {
		s[i] = strconv.Itoa(n)
	}
	return strings.Join(s, ".")
}

// leafType gives a media type where the sender gave none that can be read (RFC 2045 section 5.2).
func (p *parser) leafType(mediaType string, path []int) string {
	switch {
	case mediaType == "" && path != nil && p.bodies.digest > 0:
		return "message/rfc822" // RFC 2046 section 5.1.5
	case mediaType == "html":
		return "text/html"
	case !strings.Contains(mediaType, "/") || strings.HasSuffix(mediaType, "/") || strings.ContainsAny(mediaType, " <>\"'"):
		if mediaType != "" {
			p.note("bad-content-type")
		}
		return "text/plain"
	case strings.HasPrefix(mediaType, "multipart/"):
		return "application/octet-stream" // beyond the depth bound
	}
	return mediaType
}

// isBody tells the texts of the mail from text files. A name makes a file of it, unless it is the only part: mail
// programs name bodies too.
func (p *parser) isBody(part Part, path []int) bool {
	if part.Type != "text/plain" && part.Type != "text/html" || part.Disposition == "attachment" {
		return false
	}
	return part.Name == "" || path == nil || p.leaves == 1 && part.Disposition == ""
}

// isBinary: what is called text begins like a picture, an archive or a document, or has bytes that no text has. Shown
// as text it would be lost; as a file it can be opened.
func isBinary(head []byte, charset string) bool {
	for _, magic := range []string{"GIF8", "\x89PNG\r\n", "\xff\xd8\xff", "%PDF-", "PK\x03\x04", "\xd0\xcf\x11\xe0", "\x1f\x8b\x08", "Rar!\x1a\x07", "7z\xbc\xaf"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	if isWide(cleanCharset(charset)) || bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return false
	}
	return bytes.Count(head, []byte{0})*10 > len(head)
}

// text reads a body text up to the bound; what is over it is digested and left out.
func (p *parser) text(mediaType string, ps params, content io.Reader) {
	p.digest.part("text")
	tee := io.TeeReader(content, textDigest{p.digest})
	room := p.bodies.room(mediaType, p.lim.TextBytes)
	b, err := io.ReadAll(io.LimitReader(tee, int64(room)))
	rest, drainErr := io.Copy(io.Discard, tee)
	if err != nil || drainErr != nil {
		return // the reader keeps the error; Parse returns it
	}
	if rest > 0 {
		p.note("limit:text")
		b = trimPartialRune(b)
	}
	p.bodyText(mediaType, b, ps)
}

// bodyText decodes a text and files it among the bodies.
func (p *parser) bodyText(mediaType string, b []byte, ps params) {
	charset := ps["charset"]
	if charset == "" && mediaType == "text/html" {
		charset = metaCharset(b)
	}
	if p.charset == "" {
		p.charset = charset // raw 8-bit headers are in the charset of the first text
	}
	text, flaw := decodeCharset(b, charset)
	if flaw != "" {
		p.note(flaw + ":" + shortName(cleanCharset(charset)))
	}
	if strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN PGP MESSAGE-----") {
		p.note("encrypted:pgp")
	}
	text = unixLines(text)
	if flowed, delSp := ps.flowed(mediaType); flowed {
		text = unflow(text, delSp)
	}
	p.bodies.add(mediaType, text)
}

// unixLines makes every line end LF and drops NUL, which databases refuse.
func unixLines(s string) string {
	if !strings.ContainsAny(s, "\r\x00") {
		return s
	}
	for _, end := range []string{"\r\r\n", "\r\n", "\r"} {
		s = strings.ReplaceAll(s, end, "\n")
	}
	return strings.ReplaceAll(s, "\x00", "")
}

// maxReports bounds how many reports and returned mails of one mail the classification reads.
const maxReports = 50

// file digests a part and saves it, an envelope of Outlook in its pieces; of reports it keeps the beginning for the
// classification.
func (p *parser) file(part Part, path []int, content io.Reader) {
	p.digest.part("file")
	c := &fileReader{src: content, digest: p.digest}
	if isTNEF(part) {
		p.tnef(part, path, c)
		_, _ = io.Copy(io.Discard, c) // the reader keeps the error; Parse returns it
		return
	}
	if isReport(part.Type) && p.reports < maxReports {
		p.reports++
		c.head = &bytes.Buffer{}
	}
	if p.saveFile(part, c) && c.head != nil {
		p.facts.report(part.Type, c.head.String())
	}
}

// sized is content that knows how much of it was read.
type sized interface {
	io.Reader
	size() int64
}

// saveFile hands a part to save and lists it. False means that reading or saving failed.
func (p *parser) saveFile(part Part, content sized) bool {
	if part.Disposition != "inline" {
		part.Disposition = "attachment"
	}
	if p.save != nil {
		if err := p.save(part, content); err != nil {
			p.err = fmt.Errorf("save part %s: %w", part.Index, err)
			return false
		}
	}
	if _, err := io.Copy(io.Discard, content); err != nil {
		return false // the reader keeps the error; Parse returns it
	}
	part.Size = content.size()
	p.m.Parts = append(p.m.Parts, part)
	return true
}

// reportHead bounds what is read of a delivery status or of a returned mail.
const reportHead = 64 << 10

type fileReader struct {
	src    io.Reader
	digest *digest
	head   *bytes.Buffer
	n      int64
}

func (r *fileReader) Read(b []byte) (int, error) {
	n, err := r.src.Read(b)
	r.n += int64(n)
	r.digest.write(b[:n])
	if r.head != nil && r.head.Len() < reportHead {
		r.head.Write(b[:min(n, reportHead-r.head.Len())])
	}
	return n, err
}

func (r *fileReader) size() int64 { return r.n }
