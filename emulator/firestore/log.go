package firestore

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// The log and the snapshot are sequences of records:
//
//	length of the payload   4 bytes, little endian
//	CRC-32C of the length   4 bytes: a damaged length must not pass for a torn end
//	CRC-32C of the payload  4 bytes
//	payload                 kind, time, documents
//
// A commit is one record, so it is in the log as a whole or not at all.
const recordHeader = 12

type recordKind byte

const (
	recordCommit   recordKind = 'c' // one commit; a document without fields bytes is a delete
	recordSnapshot recordKind = 's' // some documents of a snapshot
	recordEnd      recordKind = 'e' // end of a snapshot; without it the snapshot is incomplete
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord frames what fill appends.
func appendRecord(b []byte, fill func([]byte) []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, recordHeader)...)
	b = fill(b)
	payload := b[start+recordHeader:]
	head := b[start : start+recordHeader]
	binary.LittleEndian.PutUint32(head, uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(head[:4], castagnoli))
	binary.LittleEndian.PutUint32(head[8:], crc32.Checksum(payload, castagnoli))
	return b
}

func appendHead(b []byte, kind recordKind, time int64) []byte {
	return binary.AppendVarint(append(b, byte(kind)), time)
}

func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendPut(b []byte, d *document) []byte {
	b = appendString(append(b, 1), d.name())
	b = binary.AppendVarint(b, d.created)
	b = binary.AppendVarint(b, d.updated)
	return appendString(b, d.fields)
}

func appendChange(b []byte, c change) []byte {
	if c.after == nil {
		return appendString(append(b, 0), c.name)
	}
	return appendPut(b, c.after)
}

// record is a decoded payload; documents are read one by one with next.
type record struct {
	kind recordKind
	time int64
	rest []byte
}

var errPayload = errors.New("malformed record")

func parseRecord(payload []byte) (record, error) {
	if len(payload) == 0 {
		return record{}, errPayload
	}
	time, n := binary.Varint(payload[1:])
	if n <= 0 {
		return record{}, errPayload
	}
	return record{recordKind(payload[0]), time, payload[1+n:]}, nil
}

func (r *record) string() ([]byte, error) {
	size, n := binary.Uvarint(r.rest)
	if n <= 0 || uint64(len(r.rest)-n) < size {
		return nil, errPayload
	}
	s := r.rest[n : n+int(size)]
	r.rest = r.rest[n+int(size):]
	return s, nil
}

func (r *record) varint() (int64, error) {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		return 0, errPayload
	}
	r.rest = r.rest[n:]
	return v, nil
}

// next returns the next document's name and version, nil for a deletion.
func (r *record) next() (name string, d *document, err error) {
	put := r.rest[0] == 1
	r.rest = r.rest[1:]
	raw, err := r.string()
	if err != nil {
		return "", nil, err
	}
	name = string(raw)
	if err := checkDocumentName(name); err != nil || !put {
		return name, nil, err
	}
	collection, id := cutLast(name)
	d = &document{collection: interned(collection), id: strings.Clone(id)}
	if d.created, err = r.varint(); err != nil {
		return "", nil, err
	}
	if d.updated, err = r.varint(); err != nil {
		return "", nil, err
	}
	if raw, err = r.string(); err != nil {
		return "", nil, err
	}
	d.fields = append(make([]byte, 0, len(raw)), raw...) // do not keep the whole record in memory
	return name, d, nil
}

// errTorn marks an incomplete last record.
var errTorn = errors.New("torn record")

// readRecords calls each with every payload. It returns the offset behind the last good record, errTorn when what
// follows can only be the beginning of an unfinished write, and an error with the offset for any other damage.
func readRecords(f io.Reader, size int64, each func(record) error) (int64, error) {
	in := bufio.NewReaderSize(f, 1<<20)
	var offset int64
	var head [recordHeader]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err == io.EOF {
			return offset, nil
		} else if err == io.ErrUnexpectedEOF {
			return offset, errTorn
		} else if err != nil {
			return offset, err
		}
		if crc32.Checksum(head[:4], castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return offset, fmt.Errorf("offset %d: damaged record header", offset)
		}
		n := int64(binary.LittleEndian.Uint32(head[:]))
		end := offset + recordHeader + n
		if end > size {
			return offset, errTorn
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(in, payload); err != nil {
			return offset, err
		}
		if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(head[8:]) {
			if end == size {
				return offset, errTorn
			}
			return offset, fmt.Errorf("offset %d: damaged record", offset)
		}
		if err := deliver(payload, each); err != nil {
			return offset, fmt.Errorf("offset %d: %w", offset, err)
		}
		offset = end
	}
}

func deliver(payload []byte, each func(record) error) error {
	r, err := parseRecord(payload)
	if err != nil {
		return err
	}
	return each(r)
}
