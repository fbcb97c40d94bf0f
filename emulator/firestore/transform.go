package firestore

import (
	"bytes"
	"math"
	"slices"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

var nullValue = &pb.Value{ValueType: &pb.Value_NullValue{}}

// transform computes a field's new value from the old one (nil when missing) as described at
// DocumentTransform.FieldTransform, and what the WriteResult reports. now is the request time.
func transform(t *pb.DocumentTransform_FieldTransform, old *pb.Value, now int64) (stored, reported *pb.Value, err error) {
	var v *pb.Value
	switch x := t.TransformType.(type) {
	case *pb.DocumentTransform_FieldTransform_SetToServerValue:
		if x.SetToServerValue != pb.DocumentTransform_FieldTransform_REQUEST_TIME {
			return nil, nil, invalid("unknown server value")
		}
		v = &pb.Value{ValueType: &pb.Value_TimestampValue{TimestampValue: timestamp(now)}}
	case *pb.DocumentTransform_FieldTransform_Increment:
		v, err = numeric(old, x.Increment, increment)
	case *pb.DocumentTransform_FieldTransform_Maximum:
		v, err = numeric(old, x.Maximum, func(a, b *pb.Value) *pb.Value { return extreme(a, b, 1) })
	case *pb.DocumentTransform_FieldTransform_Minimum:
		v, err = numeric(old, x.Minimum, func(a, b *pb.Value) *pb.Value { return extreme(a, b, -1) })
	case *pb.DocumentTransform_FieldTransform_AppendMissingElements:
		return appendMissing(old, x.AppendMissingElements.GetValues()), nullValue, nil
	case *pb.DocumentTransform_FieldTransform_RemoveAllFromArray:
		return removeAll(old, x.RemoveAllFromArray.GetValues()), nullValue, nil
	default:
		return nil, nil, invalid("a field transform has no operation")
	}
	return v, v, err
}

func isNumber(v *pb.Value) bool {
	switch v.GetValueType().(type) {
	case *pb.Value_IntegerValue, *pb.Value_DoubleValue:
		return true
	}
	return false
}

// numeric applies f when both sides are numbers; anything else in the field is replaced by the operand.
func numeric(old, operand *pb.Value, f func(a, b *pb.Value) *pb.Value) (*pb.Value, error) {
	if !isNumber(operand) {
		return nil, invalid("increment, maximum and minimum need a number")
	}
	if !isNumber(old) {
		return operand, nil
	}
	return f(old, operand), nil
}

func asDouble(v *pb.Value) float64 {
	if i, ok := v.GetValueType().(*pb.Value_IntegerValue); ok {
		return float64(i.IntegerValue)
	}
	return v.GetDoubleValue()
}

func integerValue(i int64) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: i}}
}

func doubleValue(f float64) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_DoubleValue{DoubleValue: f}}
}

// increment adds; integers saturate instead of overflowing.
func increment(a, b *pb.Value) *pb.Value {
	x, ok1 := a.GetValueType().(*pb.Value_IntegerValue)
	y, ok2 := b.GetValueType().(*pb.Value_IntegerValue)
	if !ok1 || !ok2 {
		return doubleValue(asDouble(a) + asDouble(b))
	}
	sum := x.IntegerValue + y.IntegerValue
	switch {
	case x.IntegerValue > 0 && y.IntegerValue > 0 && sum < 0:
		sum = math.MaxInt64
	case x.IntegerValue < 0 && y.IntegerValue < 0 && sum >= 0:
		sum = math.MinInt64
	}
	return integerValue(sum)
}

// extreme returns the larger (sign 1) or smaller (sign -1) value with its type; equal values keep the stored
// one, and NaN wins either way.
func extreme(stored, operand *pb.Value, sign int) *pb.Value {
	a, b := orderKey(stored), orderKey(operand)
	switch {
	case bytes.Equal(a, keyNaN):
		return stored
	case bytes.Equal(b, keyNaN) || sign*bytes.Compare(b, a) > 0:
		return operand
	}
	return stored
}

func arrayValue(values []*pb.Value) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{Values: values}}}
}

func containsValue(values []*pb.Value, v *pb.Value) bool {
	key := orderKey(v)
	return slices.ContainsFunc(values, func(x *pb.Value) bool { return bytes.Equal(orderKey(x), key) })
}

func appendMissing(old *pb.Value, elements []*pb.Value) *pb.Value {
	values := slices.Clone(old.GetArrayValue().GetValues())
	for _, e := range elements {
		if !containsValue(values, e) {
			values = append(values, e)
		}
	}
	return arrayValue(values)
}

func removeAll(old *pb.Value, elements []*pb.Value) *pb.Value {
	var values []*pb.Value
	for _, v := range old.GetArrayValue().GetValues() {
		if !containsValue(elements, v) {
			values = append(values, v)
		}
	}
	return arrayValue(values)
}
