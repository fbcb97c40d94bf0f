package firestore

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/genproto/googleapis/type/latlng"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	testDatabase = "projects/" + testProject + "/databases/(default)"
	testRoot     = testDatabase + "/documents"
)

// random generates requests that are mostly valid and often hit the same few documents.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 1))} }

func pick[T any](r random, from ...T) T { return from[r.IntN(len(from))] }

func (r random) chance(percent int) bool { return r.IntN(100) < percent }

func stringValue(s string) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_StringValue{StringValue: s}}
}

func boolValue(b bool) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_BooleanValue{BooleanValue: b}}
}

func refValue(name string) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: name}}
}

func timeValue(t time.Time) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_TimestampValue{TimestampValue: timestamppb.New(t)}}
}

func mapValue(m map[string]*pb.Value) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_MapValue{MapValue: &pb.MapValue{Fields: m}}}
}

func (r random) docName() string {
	name := fmt.Sprintf("%s/c/d%d", testRoot, r.IntN(12))
	if r.chance(25) {
		name += fmt.Sprintf("/s/e%d", r.IntN(3))
	}
	return name
}

func (r random) scalar() *pb.Value {
	switch r.IntN(12) {
	case 0:
		return nullValue
	case 1:
		return boolValue(r.chance(50))
	case 2, 3, 4:
		return integerValue(int64(r.IntN(5)))
	case 5:
		return doubleValue(pick(r, 0.5, 1, 2, 2.5, -1, 1<<53, math.Inf(1), math.Inf(-1)))
	case 6:
		return integerValue(pick(r, 1<<53, 1<<53+1, math.MaxInt64, math.MinInt64, int64(-1)))
	case 7:
		return timeValue(time.Unix(int64(r.IntN(3)), int64(r.IntN(2))*1000))
	case 8:
		return &pb.Value{ValueType: &pb.Value_BytesValue{BytesValue: pick(r, []byte{}, []byte{0}, []byte{0, 255}, []byte("a"))}}
	case 9:
		return pick(r, refValue(r.docName()), &pb.Value{ValueType: &pb.Value_GeoPointValue{
			GeoPointValue: &latlng.LatLng{Latitude: float64(r.IntN(3)), Longitude: float64(r.IntN(3))}}})
	default:
		return stringValue(pick(r, "", "a", "b", "ab", "a\x00", "a\x00b", "é", "z", "\U0001f600"))
	}
}

func (r random) array() *pb.Value {
	var values []*pb.Value
	for range r.IntN(4) {
		values = append(values, r.scalar())
	}
	return arrayValue(values)
}

func (r random) value() *pb.Value {
	switch r.IntN(10) {
	case 0:
		return r.array()
	case 1:
		m := map[string]*pb.Value{}
		for range r.IntN(3) {
			m[pick(r, "x", "y", "z w")] = r.scalar()
		}
		return mapValue(m)
	}
	return r.scalar()
}

func (r random) fields() map[string]*pb.Value {
	f := map[string]*pb.Value{}
	for _, name := range [...]string{"a", "b", "n"} {
		if r.chance(75) {
			f[name] = r.value()
		}
	}
	if r.chance(60) {
		f["n"] = integerValue(int64(r.IntN(4)))
	}
	if r.chance(70) {
		f["t"] = r.array()
	}
	if r.chance(50) {
		f["m"] = mapValue(map[string]*pb.Value{"x": r.scalar(), "y": integerValue(int64(r.IntN(3)))})
	}
	return f
}

func (r random) path() string { return pick(r, "a", "b", "n", "t", "m", "m.x", "m.y", "m.`z w`") }

func (r random) write() *pb.Write {
	w := &pb.Write{}
	name := r.docName()
	if r.chance(15) {
		w.Operation = &pb.Write_Delete{Delete: name}
	} else {
		w.Operation = &pb.Write_Update{Update: &pb.Document{Name: name, Fields: r.fields()}}
		if r.chance(40) {
			w.UpdateMask = &pb.DocumentMask{}
			for range r.IntN(3) {
				w.UpdateMask.FieldPaths = append(w.UpdateMask.FieldPaths, r.path())
			}
		}
		if r.chance(30) {
			for _, p := range [...]string{"n", "t", "u.v"} {
				if r.chance(50) {
					w.UpdateTransforms = append(w.UpdateTransforms, r.transform(p))
				}
			}
		}
	}
	if r.chance(20) {
		w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: r.chance(60)}}
	}
	return w
}

// writes returns up to three writes to different documents: Google's emulator refuses to set and delete one at once.
func (r random) writes() []*pb.Write {
	var out []*pb.Write
	seen := map[string]bool{}
	for range 1 + r.IntN(3) {
		w := r.write()
		if !seen[writeTarget(w)] {
			out = append(out, w)
		}
		seen[writeTarget(w)] = true
	}
	return out
}

func (r random) number() *pb.Value {
	return pick(r, integerValue(int64(r.IntN(9)-4)), doubleValue(1.5), doubleValue(2), integerValue(math.MaxInt64), integerValue(math.MinInt64))
}

func (r random) transform(path string) *pb.DocumentTransform_FieldTransform {
	t := &pb.DocumentTransform_FieldTransform{FieldPath: path}
	switch r.IntN(5) {
	case 0:
		t.TransformType = &pb.DocumentTransform_FieldTransform_Increment{Increment: r.number()}
	case 1:
		t.TransformType = &pb.DocumentTransform_FieldTransform_Maximum{Maximum: r.number()}
	case 2:
		t.TransformType = &pb.DocumentTransform_FieldTransform_Minimum{Minimum: r.number()}
	case 3:
		t.TransformType = &pb.DocumentTransform_FieldTransform_AppendMissingElements{AppendMissingElements: r.array().GetArrayValue()}
	default:
		t.TransformType = &pb.DocumentTransform_FieldTransform_RemoveAllFromArray{RemoveAllFromArray: r.array().GetArrayValue()}
	}
	return t
}

func field(path string) *pb.StructuredQuery_FieldReference {
	return &pb.StructuredQuery_FieldReference{FieldPath: path}
}

func fieldFilter(path string, op pb.StructuredQuery_FieldFilter_Operator, v *pb.Value) *pb.StructuredQuery_Filter {
	return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_FieldFilter{
		FieldFilter: &pb.StructuredQuery_FieldFilter{Field: field(path), Op: op, Value: v}}}
}

func compositeFilter(op pb.StructuredQuery_CompositeFilter_Operator, fs ...*pb.StructuredQuery_Filter) *pb.StructuredQuery_Filter {
	return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_CompositeFilter{
		CompositeFilter: &pb.StructuredQuery_CompositeFilter{Op: op, Filters: fs}}}
}

func (r random) condition() *pb.StructuredQuery_Filter {
	path := r.path()
	switch r.IntN(14) {
	case 0:
		return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_UnaryFilter{UnaryFilter: &pb.StructuredQuery_UnaryFilter{
			OperandType: &pb.StructuredQuery_UnaryFilter_Field{Field: field(path)},
			Op:          pick(r, pb.StructuredQuery_UnaryFilter_IS_NULL, pb.StructuredQuery_UnaryFilter_IS_NOT_NULL)}}}
	case 1:
		return fieldFilter("t", pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS, r.operand())
	case 2:
		return fieldFilter("t", pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY, r.list())
	case 3:
		return fieldFilter(path, pb.StructuredQuery_FieldFilter_IN, r.list())
	case 4:
		return fieldFilter(path, pb.StructuredQuery_FieldFilter_NOT_IN, r.list())
	case 5:
		return fieldFilter(path, pb.StructuredQuery_FieldFilter_NOT_EQUAL, r.operand())
	case 6, 7, 8, 9:
		op := pick(r, pb.StructuredQuery_FieldFilter_LESS_THAN, pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL,
			pb.StructuredQuery_FieldFilter_GREATER_THAN, pb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL)
		return fieldFilter(path, op, r.operand())
	default:
		return fieldFilter(pick(r, path, "n"), pb.StructuredQuery_FieldFilter_EQUAL, r.operand())
	}
}

// operand is anything but null, which Google's emulator drops from filters before it validates them.
func (r random) operand() *pb.Value {
	for {
		v := r.value()
		if _, null := v.ValueType.(*pb.Value_NullValue); !null {
			return v
		}
	}
}

// list is a non-empty array without nulls, which the clients refuse in such filters.
func (r random) list() *pb.Value {
	out := []*pb.Value{integerValue(int64(r.IntN(3)))}
	for _, v := range r.array().GetArrayValue().Values {
		if _, null := v.ValueType.(*pb.Value_NullValue); !null {
			out = append(out, v)
		}
	}
	return arrayValue(out)
}

func (r random) filter(depth int) *pb.StructuredQuery_Filter {
	if depth == 0 || r.chance(45) {
		return r.condition()
	}
	op := pb.StructuredQuery_CompositeFilter_AND
	if r.chance(30) {
		op = pb.StructuredQuery_CompositeFilter_OR
	}
	f := []*pb.StructuredQuery_Filter{r.filter(depth - 1), r.filter(depth - 1)}
	return compositeFilter(op, f...)
}

func (r random) query() (parent string, q *pb.StructuredQuery) {
	parent = testRoot
	from := &pb.StructuredQuery_CollectionSelector{CollectionId: "c"}
	switch r.IntN(6) {
	case 0:
		from = &pb.StructuredQuery_CollectionSelector{CollectionId: "s", AllDescendants: true}
	case 1:
		parent = fmt.Sprintf("%s/c/d%d", testRoot, r.IntN(12))
		from = &pb.StructuredQuery_CollectionSelector{CollectionId: "s"}
	}
	q = &pb.StructuredQuery{From: []*pb.StructuredQuery_CollectionSelector{from}}
	if r.chance(75) {
		// Google's emulator accepts some pairs of array filters that it simplifies away, and refuses others.
		for q.Where = r.filter(2); strings.Count(q.Where.String(), "ARRAY_CONTAINS") > 1; {
			q.Where = r.filter(2)
		}
	}
	used := map[string]bool{}
	for range r.IntN(3) {
		p := pick(r, "a", "b", "n", "m.x", nameField)
		if used[p] || used[nameField] {
			continue
		}
		used[p] = true
		q.OrderBy = append(q.OrderBy, &pb.StructuredQuery_Order{Field: field(p),
			Direction: pick(r, pb.StructuredQuery_ASCENDING, pb.StructuredQuery_DESCENDING)})
	}
	if r.chance(30) {
		q.StartAt = r.cursor(q)
	}
	if r.chance(20) {
		q.EndAt = r.cursor(q)
	}
	if r.chance(40) {
		q.Limit = wrapperspb.Int32(int32(1 + r.IntN(5)))
	}
	if r.chance(10) {
		q.Offset = int32(r.IntN(4))
	}
	if r.chance(10) {
		q.Select = &pb.StructuredQuery_Projection{Fields: []*pb.StructuredQuery_FieldReference{field("n"), field("m.x")}}
	}
	return parent, q
}

func (r random) cursor(q *pb.StructuredQuery) *pb.Cursor {
	if len(q.OrderBy) == 0 {
		return nil
	}
	c := &pb.Cursor{Before: r.chance(50)}
	for _, o := range q.OrderBy[:1+r.IntN(len(q.OrderBy))] {
		if o.Field.FieldPath == nameField {
			if q.From[0].AllDescendants || q.From[0].CollectionId == "s" {
				break // names of another collection are refused
			}
			c.Values = append(c.Values, refValue(fmt.Sprintf("%s/c/d%d", testRoot, r.IntN(12))))
			continue
		}
		c.Values = append(c.Values, r.value())
	}
	if len(c.Values) == 0 {
		return nil
	}
	return c
}

func (r random) aggregations() []*pb.StructuredAggregationQuery_Aggregation {
	out := []*pb.StructuredAggregationQuery_Aggregation{{Alias: "count",
		Operator: &pb.StructuredAggregationQuery_Aggregation_Count_{Count: &pb.StructuredAggregationQuery_Aggregation_Count{}}}}
	if r.chance(60) {
		out = append(out, &pb.StructuredAggregationQuery_Aggregation{Alias: "sum",
			Operator: &pb.StructuredAggregationQuery_Aggregation_Sum_{Sum: &pb.StructuredAggregationQuery_Aggregation_Sum{Field: field("n")}}})
	}
	if r.chance(60) {
		out = append(out, &pb.StructuredAggregationQuery_Aggregation{Alias: "avg",
			Operator: &pb.StructuredAggregationQuery_Aggregation_Avg_{Avg: &pb.StructuredAggregationQuery_Aggregation_Avg{Field: field("n")}}})
	}
	return out
}
