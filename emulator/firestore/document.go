package firestore

import (
	"time"
	"unique"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// document is one immutable version of a document. The fields stay in wire format: a tree of Go values takes
// about five times the memory, and most reads hand the bytes on without looking into them.
type document struct {
	collection string // path of the collection, shared by its documents
	id         string
	created    int64 // microseconds since 1970
	updated    int64
	fields     []byte // google.firestore.v1.Document with nothing but its fields
}

// Field numbers of google.firestore.v1: Document.fields, MapValue.fields, Value.map_value, map entries' key and value.
const (
	numDocumentFields protowire.Number = 2
	numMapFields      protowire.Number = 1
	numMapValue       protowire.Number = 6
	numEntryKey       protowire.Number = 1
	numEntryValue     protowire.Number = 2
)

// interned returns one copy of a collection's path for all of its documents, and does not keep the request's memory.
func interned(collection string) string { return unique.Make(collection).Value() }

func (d *document) name() string { return d.collection + "/" + d.id }

func timestamp(micros int64) *timestamppb.Timestamp {
	return timestamppb.New(time.UnixMicro(micros))
}

// message returns the document for sending. Its fields travel as "unknown" bytes, which protobuf appends
// verbatim: the receiver sees an ordinary Document and nothing is decoded or copied here. The price is
// that Fields is empty on this side; use decode to look inside.
func (d *document) message() *pb.Document {
	m := &pb.Document{Name: d.name(), CreateTime: timestamp(d.created), UpdateTime: timestamp(d.updated)}
	m.ProtoReflect().SetUnknown(d.fields)
	return m
}

// project returns the document with the masked fields only; a nil mask means all of them.
func (d *document) project(mask []fieldPath) *pb.Document {
	if mask == nil {
		return d.message()
	}
	m := &pb.Document{Name: d.name(), CreateTime: timestamp(d.created), UpdateTime: timestamp(d.updated)}
	for _, p := range mask {
		if v := d.field(p); v != nil {
			m.Fields = setField(m.Fields, p.segments, v)
		}
	}
	return m
}

// decode returns the fields as values the caller may change.
func (d *document) decode() map[string]*pb.Value {
	var m pb.Document
	if d == nil || proto.Unmarshal(d.fields, &m) != nil {
		return nil // never malformed: the bytes come from encodeFields or passed the log's checksum
	}
	return m.Fields
}

func encodeFields(fields map[string]*pb.Value) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(&pb.Document{Fields: fields})
}

// raw returns one stored value in wire format, decoding nothing.
func (d *document) raw(p fieldPath) ([]byte, bool) {
	raw, ok := findEntry(d.fields, numDocumentFields, p.segments[0])
	for _, s := range p.segments[1:] {
		if !ok {
			return nil, false
		}
		if raw, ok = findMessage(raw, numMapValue); ok {
			raw, ok = findEntry(raw, numMapFields, s)
		}
	}
	return raw, ok
}

// field returns one stored value; nil when the document does not have it.
func (d *document) field(p fieldPath) *pb.Value {
	raw, ok := d.raw(p)
	if !ok {
		return nil
	}
	v := new(pb.Value)
	if proto.Unmarshal(raw, v) != nil {
		return nil
	}
	return v
}

// appendKey appends the order key of one field, or reports that d does not have it. Names are keyed relative to
// the database, which all documents compared with each other share.
func (d *document) appendKey(b []byte, p fieldPath) ([]byte, bool) {
	if p.isName() {
		b = appendPath(b, relativePath(d.collection))
		b = appendText(append(b[:len(b)-1], keyNext), d.id) // in the place of the path's end
		return append(b, keyEnd), true
	}
	raw, ok := d.raw(p)
	if !ok {
		return b, false
	}
	return appendWireKey(b, raw)
}

// findEntry looks key up in a protobuf map without decoding its other values.
func findEntry(msg []byte, field protowire.Number, key string) ([]byte, bool) {
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 || typ != protowire.BytesType {
			return nil, false
		}
		entry, m := protowire.ConsumeBytes(msg[n:])
		if m < 0 {
			return nil, false
		}
		msg = msg[n+m:]
		if num != field {
			continue
		}
		if k, _ := findMessage(entry, numEntryKey); string(k) == key {
			v, _ := findMessage(entry, numEntryValue)
			return v, true
		}
	}
	return nil, false
}

// findMessage returns the content of the first length-delimited field with this number.
func findMessage(msg []byte, field protowire.Number) ([]byte, bool) {
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return nil, false
		}
		if num == field && typ == protowire.BytesType {
			v, m := protowire.ConsumeBytes(msg[n:])
			return v, m >= 0
		}
		m := protowire.ConsumeFieldValue(num, typ, msg[n:])
		if m < 0 {
			return nil, false
		}
		msg = msg[n+m:]
	}
	return nil, false
}
