package firestore

import (
	"math"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Field numbers of google.firestore.v1.Value for the types that keys are made of without decoding the value: filters
// and indexes look at every candidate, and a decoded value costs several allocations.
const (
	numBoolean   protowire.Number = 1
	numInteger   protowire.Number = 2
	numDouble    protowire.Number = 3
	numReference protowire.Number = 5
	numNull      protowire.Number = 11
	numString    protowire.Number = 17
	numBytes     protowire.Number = 18
)

// appendWireKey appends the order key of an encoded Value.
func appendWireKey(b, raw []byte) ([]byte, bool) {
	num, typ, n := protowire.ConsumeTag(raw)
	if n < 0 {
		return b, false
	}
	content := raw[n:]
	switch typ {
	case protowire.VarintType:
		v, m := protowire.ConsumeVarint(content)
		if m == len(content) {
			switch num {
			case numBoolean:
				return append(b, tagBool, byte(v)), true
			case numInteger:
				return appendInteger(append(b, tagNumber), int64(v)), true
			case numNull:
				return append(b, tagNull), true
			}
		}
	case protowire.Fixed64Type:
		v, m := protowire.ConsumeFixed64(content)
		if m == len(content) && num == numDouble {
			return append(appendDouble(append(b, tagNumber), math.Float64frombits(v)), 0x80, 0), true
		}
	case protowire.BytesType:
		v, m := protowire.ConsumeBytes(content)
		if m == len(content) {
			switch num {
			case numString:
				return appendText(append(b, tagString), v), true
			case numBytes:
				return appendText(append(b, tagBytes), v), true
			case numReference:
				return appendPath(b, string(v)), true
			}
		}
	}
	var v pb.Value
	if proto.Unmarshal(raw, &v) != nil {
		return b, false
	}
	return appendKey(b, &v), true
}
