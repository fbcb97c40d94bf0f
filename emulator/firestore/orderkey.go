package firestore

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

// Order keys: every value has one byte string whose bytewise order is Firestore's order of values
// (https://cloud.google.com/firestore/docs/concepts/data-types#value_type_ordering). Equality, ranges,
// sorting and index entries all use it, so there is a single place that can get the order wrong.
//
// Keys are self-delimiting: no key is a proper prefix of another, hence concatenations compare field by
// field and the bytewise complement of a key sorts the other way round. Every key starts with a tag below
// 0x80, and no tag is 0xff, so prefix+afterAll lies behind everything that starts with prefix.
const (
	keyEnd       = 0x01 // closes arrays, maps and paths; sorts before any element
	keyNext      = 0x02 // opens a map entry or a path segment
	tagNull      = 0x10
	tagBool      = 0x14
	tagNumber    = 0x18
	tagTimestamp = 0x1c
	tagString    = 0x20
	tagBytes     = 0x24
	tagReference = 0x28
	tagGeoPoint  = 0x2c
	tagArray     = 0x30
	tagVector    = 0x34
	tagMap       = 0x38
	afterAll     = 0xff
)

// orderKey returns v's order key.
func orderKey(v *pb.Value) []byte { return appendKey(make([]byte, 0, 32), v) }

func appendKey(b []byte, v *pb.Value) []byte {
	switch x := v.GetValueType().(type) {
	case *pb.Value_BooleanValue:
		if x.BooleanValue {
			return append(b, tagBool, 1)
		}
		return append(b, tagBool, 0)
	case *pb.Value_IntegerValue:
		return appendInteger(append(b, tagNumber), x.IntegerValue)
	case *pb.Value_DoubleValue:
		return append(appendDouble(append(b, tagNumber), x.DoubleValue), 0x80, 0)
	case *pb.Value_TimestampValue:
		b = binary.BigEndian.AppendUint64(append(b, tagTimestamp), uint64(x.TimestampValue.GetSeconds())^1<<63)
		return binary.BigEndian.AppendUint32(b, uint32(x.TimestampValue.GetNanos()))
	case *pb.Value_StringValue:
		return appendText(append(b, tagString), x.StringValue)
	case *pb.Value_BytesValue:
		return appendText(append(b, tagBytes), x.BytesValue)
	case *pb.Value_ReferenceValue:
		return appendPath(b, x.ReferenceValue)
	case *pb.Value_GeoPointValue:
		b = appendDouble(append(b, tagGeoPoint), x.GeoPointValue.GetLatitude())
		return appendDouble(b, x.GeoPointValue.GetLongitude())
	case *pb.Value_ArrayValue:
		b = append(b, tagArray)
		for _, e := range x.ArrayValue.GetValues() {
			b = appendKey(b, e)
		}
		return append(b, keyEnd)
	case *pb.Value_MapValue:
		return appendMap(b, x.MapValue.GetFields())
	}
	return append(b, tagNull)
}

// appendPath encodes a resource name, or a part of one, segment by segment.
func appendPath(b []byte, name string) []byte {
	b = append(b, tagReference)
	for s := range strings.SplitSeq(name, "/") {
		b = appendText(append(b, keyNext), s)
	}
	return append(b, keyEnd)
}

func appendMap(b []byte, m map[string]*pb.Value) []byte {
	if elems, ok := vector(m); ok {
		b = binary.BigEndian.AppendUint32(append(b, tagVector), uint32(len(elems)))
		for _, e := range elems {
			b = appendKey(b, e)
		}
		return b
	}
	b = append(b, tagMap)
	for _, k := range sortedKeys(m) {
		b = appendText(append(b, keyNext), k)
		b = appendKey(b, m[k])
	}
	return append(b, keyEnd)
}

// vector recognises the map that stands for a vector; vectors sort by dimension first.
func vector(m map[string]*pb.Value) ([]*pb.Value, bool) {
	if len(m) != 2 || m["__type__"].GetStringValue() != "__vector__" {
		return nil, false
	}
	return m["value"].GetArrayValue().GetValues(), true
}

func sortedKeys(m map[string]*pb.Value) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// appendText escapes zero bytes so that the terminator sorts before any continuation.
func appendText[T string | []byte](b []byte, s T) []byte {
	for i := range len(s) {
		if b = append(b, s[i]); s[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0, 1)
}

func appendDouble(b []byte, f float64) []byte {
	if math.IsNaN(f) {
		return append(b, 0, 0, 0, 0, 0, 0, 0, 0) // NaN sorts before every number
	}
	if f == 0 {
		f = 0 // -0 equals 0
	}
	bits := math.Float64bits(f)
	if bits>>63 == 1 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(b, bits)
}

// appendInteger encodes i as the nearest double and what that double rounded away, so that integers and
// doubles share one order in which 2^53 and 2^53+1 still differ.
func appendInteger(b []byte, i int64) []byte {
	f := float64(i)
	var rest int64
	if f >= 1<<63 {
		rest = int64(uint64(i) - 1<<63)
	} else {
		rest = i - int64(f)
	}
	return binary.BigEndian.AppendUint16(appendDouble(b, f), uint16(rest+0x8000))
}

// complement turns key around in place, for descending order.
func complement(key []byte) {
	for i := range key {
		key[i] = ^key[i]
	}
}
