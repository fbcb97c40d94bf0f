package filetype

import "encoding/binary"

// isText takes any beginning: only a PDF can be told from text by one.
func isText(h []byte) bool { return !starts(h, "%PDF-") }

// text looks for what text does not have. In UTF-16, which it knows by its byte
// order mark, that is U+0000 and half a unit; else it is a binary data byte
// (https://mimesniff.spec.whatwg.org/#binary-data-byte), of which VT and SUB
// are let through: spreadsheets break lines within a cell by the one, and DOS
// ended its files with the other.
type text struct {
	kind   string
	begin  []byte // the first bytes
	order  binary.ByteOrder
	half   []byte // of a unit
	binary bool
}

func newText(kind string) func() scanner { return func() scanner { return &text{kind: kind} } }

func (t *text) write(p []byte) {
	if missing := 2 - len(t.begin); missing > 0 {
		n := min(len(p), missing)
		t.begin = append(t.begin, p[:n]...)
		if t.order = byteOrder(t.begin); t.order != nil {
			p = p[n:] // the mark itself is no text
		}
	}
	if t.order != nil {
		t.units(p)
	} else {
		t.bytes(p)
	}
}

// byteOrder is that of UTF-16, nil for anything else.
func byteOrder(begin []byte) binary.ByteOrder {
	switch string(begin) {
	case "\xff\xfe":
		return binary.LittleEndian
	case "\xfe\xff":
		return binary.BigEndian
	}
	return nil
}

func (t *text) bytes(p []byte) {
	for _, b := range p {
		if b < 0x20 && binaryData&(1<<b) != 0 {
			t.binary = true
			return
		}
	}
}

// binaryData has a bit for each byte below 0x20 that text does not have.
const binaryData uint32 = 0xffffffff &^ (1<<'\t' | 1<<'\n' | 1<<'\v' | 1<<'\f' | 1<<'\r' | 1<<0x1a | 1<<0x1b)

func (t *text) units(p []byte) {
	for _, b := range p {
		if t.half = append(t.half, b); len(t.half) == 2 {
			t.binary = t.binary || t.order.Uint16(t.half) == 0
			t.half = t.half[:0]
		}
	}
}

func (t *text) problem() string {
	if t.binary || len(t.half) > 0 {
		return "is no " + t.kind + ": it has bytes that text does not have"
	}
	return ""
}
