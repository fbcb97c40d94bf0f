package email

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"strings"
)

// tnefFile gathers what the attributes say about one file.
type tnefFile struct {
	title, short, long, display string
	mediaType, contentID        string
	data                        []byte
	held                        bool // data is the content
	stored                      int  // position in Mail.Parts plus one, once it went to save
	message                     *tnef
}

// current is the file whose attributes are read; old programs leave its beginning out.
func (t *tnef) current() *tnefFile {
	if t.file == nil {
		t.parts++
		t.file = &tnefFile{}
	}
	return t.file
}

func (t *tnef) index() string { return partIndex(append(t.path[:len(t.path):len(t.path)], t.parts)) }

// content takes the bytes of a file: held until its name is known, or saved at once when there are too many.
func (t *tnef) content(data io.Reader, size int64) {
	f := t.current()
	if f.held || f.stored > 0 {
		return
	}
	if size <= heldTNEF-t.p.held {
		f.data, f.held = t.read(data, int(size)), true
		t.p.held += int64(len(f.data))
		return
	}
	f.stored = t.store(t.part(f), data)
}

// messageIID is the interface of a message within a message, IID_IMessage.
const messageIID = "0703020000000000c000000000000046"

// object takes an embedded object: a message, which is an envelope of its own, or whatever a program put there.
func (t *tnef) object(p property) {
	iid := t.read(p.data, 16)
	in := &tnef{p: t.p, in: bufio.NewReaderSize(p.data, 4096), path: append(t.path[:len(t.path):len(t.path)], t.parts), depth: t.depth + 1,
		charset: t.charset}
	if hex.EncodeToString(iid) != messageIID || t.depth >= t.p.lim.Depth || !in.begins() {
		if t.depth >= t.p.lim.Depth {
			t.p.note("limit:depth")
		}
		t.content(in.in, p.size-16)
		return
	}
	if in.attributes() != nil {
		t.p.note("truncated-tnef")
	}
	t.current().message = in
	t.saved += in.saved
}

// part describes the file with what is known by now.
func (t *tnef) part(f *tnefFile) Part {
	part := Part{
		Name:      fileName(firstNonEmpty(f.long, f.title, f.short, f.display)),
		Type:      "application/octet-stream",
		ContentID: contentID(f.contentID),
		Index:     t.index(),
	}
	if isToken(strings.NewReplacer("/", "", ".", "", "+", "").Replace(f.mediaType)) && strings.Count(f.mediaType, "/") == 1 {
		part.Type = f.mediaType
	}
	if part.ContentID != "" {
		part.Disposition = "inline"
	}
	return part
}

// flush ends the attributes of a file: now its name is known.
func (t *tnef) flush() {
	f := t.file
	if t.file = nil; f == nil || t.p.err != nil {
		return
	}
	t.p.held -= int64(len(f.data))
	switch {
	case f.stored > 0:
		saved := &t.p.m.Parts[f.stored-1]
		saved.Name, saved.ContentID = t.part(f).Name, t.part(f).ContentID
	case f.message != nil:
		t.storeMessage(f)
	case f.held:
		t.store(t.part(f), bytes.NewReader(f.data))
	}
}

// storeMessage saves the text of an embedded message; its files are parts already.
func (t *tnef) storeMessage(f *tnefFile) {
	part := t.part(f)
	part.Name = fileName(firstNonEmpty(f.display, f.message.subject, f.long, "message"))
	plain, htmlText := f.message.body.texts(t.p)
	if strings.TrimSpace(plain) == "" && htmlText != "" {
		part.Name, part.Type = part.Name+".html", "text/html"
		t.store(part, strings.NewReader(htmlText))
		return
	}
	part.Name, part.Type = part.Name+".txt", "text/plain"
	t.store(part, strings.NewReader(plain))
}

// store hands a file to save like any other part and returns its position in Mail.Parts plus one, 0 if it was left out.
func (t *tnef) store(part Part, content io.Reader) int {
	p := t.p
	if p.leaves++; p.leaves > p.lim.Parts {
		p.note("limit:parts")
		return 0
	}
	if !p.saveFile(part, &counted{r: content}) {
		return 0
	}
	t.saved++
	return len(p.m.Parts)
}

// counted is a reader that knows how much was read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

func (c *counted) size() int64 { return c.n }
