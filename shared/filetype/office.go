package filetype

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unicode/utf16"
)

const compoundMagic = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

func isCompound(h []byte) bool { return starts(h, compoundMagic) }

// compound notes the streams of an OLE2 file that it is asked for. Entries of
// the directory have 128 bytes, and sectors a multiple of that, so they are
// found in passing, wherever the directory is ([MS-CFB] 2.6.1). Without a
// directory nothing says that it is another program's.
type compound struct {
	wanted  []string
	program string
	found   bool
	root    bool // the directory's first entry was seen
	block   [entrySize]byte
	n       int
}

const entrySize = 128

// Types of entries.
const (
	stream = 2
	root   = 5
)

func program(name string, streams ...string) func() scanner {
	return func() scanner { return &compound{wanted: streams, program: name} }
}

func (c *compound) write(p []byte) {
	for len(p) > 0 {
		if c.n == 0 && len(p) >= entrySize {
			c.look(p[:entrySize])
			p = p[entrySize:]
			continue
		}
		k := copy(c.block[c.n:], p)
		if c.n += k; c.n == entrySize {
			c.look(c.block[:])
			c.n = 0
		}
		p = p[k:]
	}
}

// look reads an entry: the name in UTF-16, its length in bytes with the zero at
// its end, and the type.
func (c *compound) look(b []byte) {
	size := int(binary.LittleEndian.Uint16(b[64:]))
	if c.found || b[66] != stream && b[66] != root || size < 4 || size > 64 || size%2 != 0 {
		return
	}
	name := make([]uint16, size/2-1)
	for i := range name {
		name[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	if b[66] == root {
		c.root = c.root || string(utf16.Decode(name)) == "Root Entry"
		return
	}
	c.found = slices.Contains(c.wanted, string(utf16.Decode(name)))
}

func (c *compound) problem() string {
	if c.found || !c.root {
		return ""
	}
	return "is no file of " + c.program + ": it is an OLE2 compound file of another program"
}

func isPackage(h []byte) bool { return starts(h, "PK\x03\x04") || isCompound(h) }

// opc looks at an Office Open XML file (ECMA-376 part 2). Its directory is at
// the end, of which it keeps as much as a directory of some 3,000 parts has.
type opc struct {
	kind, folder string
	size         int64
	tail         []byte
	encrypted    compound // what a document with a password is kept in ([MS-OFFCRYPTO] 2.3)
}

const tailSize = 256 << 10

func newPackage(kind, folder string) func() scanner {
	return func() scanner {
		return &opc{kind: kind, folder: folder, encrypted: compound{wanted: []string{"EncryptedPackage"}}}
	}
}

func (o *opc) write(p []byte) {
	o.encrypted.write(p)
	o.size += int64(len(p))
	if len(p) > tailSize {
		p = p[len(p)-tailSize:]
		o.tail = o.tail[:0]
	}
	o.tail = append(o.tail, p...)
	if over := len(o.tail) - tailSize; over > tailSize {
		o.tail = append(o.tail[:0], o.tail[over:]...)
	}
}

var errCut = errors.New("that part of the file was not kept")

// ReadAt reads from what was kept of the file.
func (o *opc) ReadAt(p []byte, off int64) (int, error) {
	at := off - (o.size - int64(len(o.tail)))
	if at < 0 || at+int64(len(p)) > int64(len(o.tail)) {
		return 0, errCut
	}
	return copy(p, o.tail[at:]), nil
}

func (o *opc) problem() string {
	if o.encrypted.found {
		return ""
	}
	r, err := zip.NewReader(o, o.size)
	if err != nil {
		return "is no " + o.kind + ": it has no directory that can be read, or is damaged"
	}
	var types, folder bool
	for _, f := range r.File {
		types = types || f.Name == "[Content_Types].xml"
		folder = folder || strings.HasPrefix(f.Name, o.folder)
		if strings.EqualFold(f.Name[strings.LastIndexByte(f.Name, '/')+1:], "vbaProject.bin") {
			return "is no " + o.kind + ": it looks like a document with macros"
		}
	}
	if !types || !folder {
		return "is no " + o.kind + ": it looks like a ZIP archive"
	}
	return ""
}
