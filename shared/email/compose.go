package email

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-msgauth/dkim"
)

// Draft is a mail to be written. Message-IDs have no brackets. A blind copy is a matter of the envelope and has no
// field here.
type Draft struct {
	From, ReplyTo        Address // ReplyTo is left out when its Addr is empty
	To, Cc               []Address
	Subject              string
	MessageID, InReplyTo string
	References           []string // oldest first; bounded to the first and the latest ones
	Date                 time.Time
	Text, HTML           string // Text is made from HTML where it is empty
	Inline               []File // shown within HTML by "cid:" and ContentID
	Attachments          []File
	Headers              map[string]string // further fields, e.g. Auto-Submitted
	DKIM                 *DKIM             // nil leaves the mail unsigned
}

// File is an attachment or an inline picture. Open may be called more than once: a signed mail is written twice.
type File struct {
	Name      string
	Type      string // media type; empty means application/octet-stream
	ContentID string // without brackets
	Open      func() (io.ReadCloser, error)
}

// DKIM is the key that signs for a domain (RFC 6376). Key is an RSA or Ed25519 key.
type DKIM struct {
	Domain, Selector string
	Key              crypto.Signer
}

// maxReferences keeps the References field of a long thread within reason; the root and the latest IDs remain.
const maxReferences = 20

// Compose writes d to w as an RFC 5322 message with CRLF line ends: the texts as multipart/alternative, with inline
// files as multipart/related, with attachments as multipart/mixed, and only as deep as needed. Files are streamed.
// The same draft gives the same bytes. A field value with a line end or another control character is refused with a
// *FieldError; other errors are those of w, of a file, or of signing.
func Compose(w io.Writer, d Draft) error {
	h, err := d.header()
	if err != nil {
		return err
	}
	root, err := d.tree()
	if err != nil {
		return err
	}
	if d.DKIM == nil {
		return root.write(w, h)
	}
	return d.sign(w, root, h)
}

// signedFields are those of RFC 6376 section 5.4.1 that Compose writes.
var signedFields = []string{"From", "Reply-To", "Subject", "Date", "To", "Cc", "Message-ID", "In-Reply-To", "References",
	"Mime-Version", "Content-Type", "Auto-Submitted"}

// sign writes the mail into the signer first and then, with the signature before it, to w. Nothing is held.
func (d Draft) sign(w io.Writer, root *node, h message.Header) error {
	keys := make([]string, 0, len(signedFields))
	for _, k := range signedFields {
		if h.Has(k) || k == "Mime-Version" || k == "Content-Type" {
			keys = append(keys, k)
		}
	}
	signer, err := dkim.NewSigner(&dkim.SignOptions{Domain: d.DKIM.Domain, Selector: d.DKIM.Selector, Signer: d.DKIM.Key,
		Hash: crypto.SHA256, HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: keys})
	if err != nil {
		return fmt.Errorf("sign mail %s: %w", d.MessageID, err)
	}
	if err := root.write(signer, h); err != nil {
		_ = signer.Close() // the first error tells why
		return err
	}
	if err := signer.Close(); err != nil {
		return fmt.Errorf("sign mail %s: %w", d.MessageID, err)
	}
	if _, err := io.WriteString(w, signer.Signature()); err != nil {
		return fmt.Errorf("write mail %s: %w", d.MessageID, err)
	}
	return root.write(w, h)
}

// node is a part of the mail: a multipart with children, or a leaf.
type node struct {
	header   message.Header
	children []*node
	open     func() (io.ReadCloser, error)
}

// tree arranges texts and files: mixed{related{alternative{text, html}, inline...}, attachments...}.
func (d Draft) tree() (*node, error) {
	text := d.Text
	if text == "" {
		text = TextFromHTML(d.HTML)
	}
	root := textNode("text/plain", text)
	if d.HTML != "" {
		root = d.multipart("alternative", nil, root, textNode("text/html", d.HTML))
	}
	inline, err := fileNodes("inline", d.Inline)
	if err != nil {
		return nil, err
	}
	attached, err := fileNodes("attachment", d.Attachments)
	if err != nil {
		return nil, err
	}
	if len(inline) > 0 {
		kind := "text/plain"
		if d.HTML != "" {
			kind = "multipart/alternative"
		}
		root = d.multipart("related", map[string]string{"type": kind}, append([]*node{root}, inline...)...)
	}
	if len(attached) > 0 {
		root = d.multipart("mixed", nil, append([]*node{root}, attached...)...)
	}
	return root, nil
}

// multipart derives the boundary from the Message-ID. "=_" occurs neither in quoted-printable nor in base64, the
// only encodings written here, so no content can contain it (RFC 2045 section 6.7).
func (d Draft) multipart(subtype string, ps map[string]string, children ...*node) *node {
	sum := sha256.Sum256([]byte(subtype + "\x00" + d.MessageID + "\x00" + d.Subject))
	all := []param{{"boundary", "=_" + hex.EncodeToString(sum[:15])}}
	for k, v := range ps {
		all = append(all, param{k, v})
	}
	n := &node{children: children}
	n.header.Set("Content-Type", formatParams("multipart/"+subtype, all...))
	return n
}

// textNode is a text in UTF-8. Quoted-printable keeps any line within RFC 5322's bound; base64 is shorter for
// scripts outside of Latin.
func textNode(mediaType, text string) *node {
	text = strings.ToValidUTF8(strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(text), "\ufffd")
	n := &node{open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
	n.header.Set("Content-Type", mediaType+"; charset=utf-8")
	n.header.Set("Content-Transfer-Encoding", "quoted-printable")
	if highBytes(text)*3 > len(text) {
		n.header.Set("Content-Transfer-Encoding", "base64")
	}
	return n
}

func highBytes(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			n++
		}
	}
	return n
}

func fileNodes(disposition string, files []File) ([]*node, error) {
	var nodes []*node
	for i, f := range files {
		field := fmt.Sprintf("%s file %d", disposition, i+1)
		mediaType := strings.ToLower(firstNonEmpty(f.Type, "application/octet-stream"))
		if err := checkValues(field, f.Name, mediaType, f.ContentID); err != nil {
			return nil, err
		}
		if strings.HasPrefix(mediaType, "multipart/") || !strings.Contains(mediaType, "/") || f.Open == nil {
			return nil, &FieldError{Field: field, Problem: "has no usable type or content"}
		}
		n := &node{open: f.Open}
		n.header.Set("Content-Type", fileType(mediaType, f.Name))
		n.header.Set("Content-Transfer-Encoding", "base64")
		n.header.Set("Content-Disposition", formatParams(disposition, param{"filename", f.Name}))
		if f.ContentID != "" {
			n.header.Set("Content-Id", "<"+f.ContentID+">")
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// fileType repeats the name for programs that know no Content-Disposition, where it is plain.
func fileType(mediaType, name string) string {
	base, _, _ := strings.Cut(mediaType, ";")
	base = strings.TrimSpace(base)
	if name == "" || !isPlain(name) || len(name) > 60 {
		return base
	}
	return formatParams(base, param{"name", name})
}

// write streams the mail: the fields of h, the structure's, and the parts.
func (n *node) write(w io.Writer, h message.Header) error {
	all := n.header.Copy() // h is written twice when the mail is signed
	var keys, values []string
	for fields := h.Fields(); fields.Next(); {
		keys, values = append(keys, fields.Key()), append(values, fields.Value())
	}
	for i := len(keys) - 1; i >= 0; i-- { // the field that is added last is written first
		all.Add(keys[i], values[i])
	}
	mw, err := message.CreateWriter(w, all)
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	if err := n.fill(mw); err != nil {
		return err
	}
	if err := mw.Close(); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	if n.open != nil {
		_, err = io.WriteString(w, "\r\n") // a mail ends with a line end, whatever its text ends with
	}
	return err
}

func (n *node) fill(w *message.Writer) error {
	if n.open != nil {
		return n.copyContent(w)
	}
	for _, c := range n.children {
		pw, err := w.CreatePart(c.header)
		if err != nil {
			return fmt.Errorf("write part: %w", err)
		}
		if err := c.fill(pw); err != nil {
			return err
		}
		if err := pw.Close(); err != nil {
			return fmt.Errorf("write part: %w", err)
		}
	}
	return nil
}

func (n *node) copyContent(w io.Writer) (err error) {
	r, err := n.open()
	if err != nil {
		return fmt.Errorf("open part: %w", err)
	}
	defer func() {
		if cerr := r.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close part: %w", cerr)
		}
	}()
	if _, err := io.Copy(w, r); err != nil {
		return fmt.Errorf("write part: %w", err)
	}
	return nil
}
