package email

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// TNEF is the envelope of Outlook: one part, "winmail.dat", that holds the files and the text of the mail
// ([MS-OXTNEF]). It is read as a stream of attributes; each file in it becomes a part of the mail, at the index of the
// envelope plus one level. What is damaged ends the reading, and the rest stays a file.

const (
	tnefSignature = 0x223e9f78
	// heldTNEF is how much of files is held in memory until their names are known, which stand behind the data. What is
	// larger goes to save under the name that is known by then; Mail.Parts has the final one.
	heldTNEF = 4 << 20
)

// The attributes that matter, [MS-OXTNEF] section 2.1.3.3; the others are skipped.
const (
	attOemCodepage    = 0x00069007
	attSubject        = 0x00018004
	attBody           = 0x0002800c
	attMsgProps       = 0x00069003
	attAttachRenddata = 0x00069002
	attAttachTitle    = 0x00018010
	attAttachData     = 0x0006800f
	attAttachFilename = 0x00069001
	attAttachment     = 0x00069005
)

func isTNEF(part Part) bool {
	switch part.Type {
	case "application/ms-tnef", "application/vnd.ms-tnef":
		return true
	}
	name := strings.ToLower(part.Name)
	return name == "winmail.dat" || name == "win.dat"
}

// tnef reads the attributes of one envelope, or of a message within it.
type tnef struct {
	p       *parser
	in      *bufio.Reader
	path    []int // of the envelope
	depth   int   // of messages within messages
	parts   int   // so far, for their index
	saved   int   // of these, with content
	charset string
	file    *tnefFile // the file whose attributes are read
	body    tnefBody
	subject string
}

// tnef opens an envelope. What is none, and one that holds neither a file nor a text, stays the file that it is.
func (p *parser) tnef(part Part, path []int, content io.Reader) {
	whole := &kept{r: content}
	t := &tnef{p: p, in: bufio.NewReaderSize(whole, 4096), path: path, charset: "windows-1252"}
	if len(path) == 0 {
		t.path = []int{1}
	}
	if whole.envelope = t; !t.begins() {
		p.note("tnef-unreadable")
		p.saveFile(part, &counted{r: t.in})
		return
	}
	err := t.attributes()
	if errors.Is(err, errTNEFDamaged) {
		p.note("tnef-damaged")
	} else if err != nil {
		p.note("truncated-tnef")
	}
	switch {
	case p.err != nil:
	case t.saved == 0 && t.body.blank():
		t.storeWhole(part, whole)
	case errors.Is(err, errTNEFDamaged):
		t.parts++
		t.store(Part{Name: "winmail.dat", Type: "application/ms-tnef", Index: t.index()}, t.in)
	}
	if p.tnefBody.blank() {
		p.tnefBody = t.body
	}
}

// storeWhole saves the envelope as it came, because nothing was in it.
func (t *tnef) storeWhole(part Part, whole *kept) {
	if whole.dropped {
		t.p.note("limit:tnef")
		return
	}
	t.p.note("tnef-empty")
	_, _ = io.Copy(io.Discard, t.in) // what follows the attributes belongs to the file
	t.p.saveFile(part, &counted{r: bytes.NewReader(whole.b)})
}

// kept is a reader that remembers what was read as long as nothing came out of the envelope.
type kept struct {
	r        io.Reader
	b        []byte
	dropped  bool
	envelope *tnef
}

func (k *kept) Read(b []byte) (int, error) {
	n, err := k.r.Read(b)
	if t := k.envelope; t != nil && (t.saved > 0 || !t.body.blank()) || len(k.b)+n > heldTNEF {
		k.b, k.dropped = nil, true
	}
	if !k.dropped {
		k.b = append(k.b, b[:n]...)
	}
	return n, err
}

// begins checks the signature and skips it with the key after it.
func (t *tnef) begins() bool {
	head, _ := t.in.Peek(6)
	if len(head) < 6 || binary.LittleEndian.Uint32(head) != tnefSignature {
		return false
	}
	_, _ = t.in.Discard(6)
	return true
}

var errTNEFDamaged = errors.New("no attribute where one must begin")

// attributes reads to the end. A checksum that is wrong is only noted: old programs write none.
func (t *tnef) attributes() error {
	for t.p.err == nil {
		head, err := t.in.Peek(9)
		if len(head) == 0 {
			break
		}
		if level := head[0]; level != 1 && level != 2 {
			if len(bytes.Trim(head, "\x00\r\n")) == 0 {
				break // padding
			}
			t.flush()
			return errTNEFDamaged
		}
		if len(head) < 9 {
			t.flush()
			return err
		}
		id, size := binary.LittleEndian.Uint32(head[1:]), int64(binary.LittleEndian.Uint32(head[5:]))
		_, _ = t.in.Discard(9)
		data := &summed{r: io.LimitReader(t.in, size)}
		t.attribute(id, size, data)
		if t.p.err != nil {
			break
		}
		_, _ = io.Copy(io.Discard, data)
		sum, err := t.in.Peek(2)
		if data.n < size || len(sum) < 2 {
			t.flush()
			return firstError(err, io.ErrUnexpectedEOF)
		}
		if binary.LittleEndian.Uint16(sum) != data.sum {
			t.p.note("tnef-checksum")
		}
		_, _ = t.in.Discard(2)
	}
	t.flush()
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// summed counts and adds up the bytes of an attribute.
type summed struct {
	r   io.Reader
	n   int64
	sum uint16
}

func (s *summed) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	for _, c := range b[:n] {
		s.sum += uint16(c)
	}
	s.n += int64(n)
	return n, err
}

func (t *tnef) attribute(id uint32, size int64, data io.Reader) {
	switch id {
	case attOemCodepage:
		if b := t.read(data, 4); len(b) == 4 {
			t.charset = codepageCharset(binary.LittleEndian.Uint32(b))
		}
	case attSubject:
		t.subject = t.text(data, maxMessageID)
	case attBody:
		t.body.plain = t.text(data, t.p.lim.TextBytes)
	case attMsgProps:
		t.properties(data, t.message)
	case attAttachRenddata:
		t.flush()
		t.parts++
		t.file = &tnefFile{}
	case attAttachTitle:
		t.current().title = t.text(data, maxMessageID)
	case attAttachFilename:
		t.current().short = t.text(data, maxMessageID)
	case attAttachData:
		t.content(data, size)
	case attAttachment:
		t.properties(data, t.attachment)
	}
}

// read takes at most limit bytes; errors show in how much of the attribute was there.
func (t *tnef) read(r io.Reader, limit int) []byte {
	b, _ := io.ReadAll(io.LimitReader(r, int64(limit)))
	return b
}

// text reads a string of the message's code page, which ends with its first zero byte.
func (t *tnef) text(r io.Reader, limit int) string {
	b := t.read(r, limit)
	if len(b) == limit {
		t.p.note("limit:text")
		b = trimPartialRune(b)
	}
	b, _, _ = bytes.Cut(b, []byte{0})
	s, _ := toUTF8(b, t.charset)
	return unixLines(s)
}
