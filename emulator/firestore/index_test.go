package firestore

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const testIndexes = `{
  "indexes": [
    {"collectionGroup":"c","queryScope":"COLLECTION","fields":[{"fieldPath":"a","order":"ASCENDING"},{"fieldPath":"n","order":"ASCENDING"}]},
    {"collectionGroup":"c","queryScope":"COLLECTION","fields":[{"fieldPath":"b","order":"ASCENDING"},{"fieldPath":"n","order":"ASCENDING"}]},
    {"collectionGroup":"c","queryScope":"COLLECTION","fields":[{"fieldPath":"a","order":"ASCENDING"},{"fieldPath":"n","order":"DESCENDING"}]},
    {"collectionGroup":"c","queryScope":"COLLECTION","fields":[{"fieldPath":"t","arrayConfig":"CONTAINS"},{"fieldPath":"a","order":"ASCENDING"},{"fieldPath":"n","order":"ASCENDING"},{"fieldPath":"b","order":"ASCENDING"}]},
    {"collectionGroup":"s","queryScope":"COLLECTION_GROUP","fields":[{"fieldPath":"a","order":"ASCENDING"},{"fieldPath":"n","order":"ASCENDING"}]}
  ],
  "fieldOverrides": [
    {"collectionGroup":"s","fieldPath":"g","indexes":[{"order":"ASCENDING","queryScope":"COLLECTION_GROUP"}]},
    {"collectionGroup":"c","fieldPath":"body","indexes":[]},
    {"collectionGroup":"c","fieldPath":"expires","ttl":true}
  ]
}`

const (
	eq = pb.StructuredQuery_FieldFilter_EQUAL
	lt = pb.StructuredQuery_FieldFilter_LESS_THAN
	ac = pb.StructuredQuery_FieldFilter_ARRAY_CONTAINS
	in = pb.StructuredQuery_FieldFilter_IN
)

// ask builds a query on c, or on the group s when the name starts with "*".
func ask(collection string, filters []*pb.StructuredQuery_Filter, orders ...string) *pb.StructuredQuery {
	id, group := strings.CutPrefix(collection, "*")
	q := &pb.StructuredQuery{From: []*pb.StructuredQuery_CollectionSelector{{CollectionId: id, AllDescendants: group}}}
	if len(filters) > 0 {
		q.Where = compositeFilter(pb.StructuredQuery_CompositeFilter_AND, filters...)
	}
	for _, o := range orders {
		path, desc := strings.CutPrefix(o, "-")
		so := &pb.StructuredQuery_Order{Field: field(path), Direction: pb.StructuredQuery_ASCENDING}
		if desc {
			so.Direction = pb.StructuredQuery_DESCENDING
		}
		q.OrderBy = append(q.OrderBy, so)
	}
	return q
}

func TestMissingIndex(t *testing.T) {
	d, err := parseIndexes([]byte(testIndexes))
	must(t, nil, err)
	type filters = []*pb.StructuredQuery_Filter
	one := integerValue(1)
	f := func(path string, op pb.StructuredQuery_FieldFilter_Operator) *pb.StructuredQuery_Filter {
		if op == in {
			return fieldFilter(path, op, arrayValue([]*pb.Value{one, integerValue(2)}))
		}
		return fieldFilter(path, op, one)
	}
	tests := []struct {
		name   string
		q      *pb.StructuredQuery
		served bool
	}{
		{"everything", ask("c", nil), true},
		{"one equality", ask("c", filters{f("x", eq)}), true},
		{"equalities are merged", ask("c", filters{f("x", eq), f("y", eq), f("t", ac)}), true},
		{"in is an equality", ask("c", filters{f("x", in), f("y", eq)}), true},
		{"one range", ask("c", filters{f("x", lt)}), true},
		{"one order", ask("c", nil, "-x"), true},
		{"range and order on the same field", ask("c", filters{f("x", lt)}, "-x"), true},
		{"order on the compared field", ask("c", filters{f("x", eq)}, "x"), true},
		{"equality and range, declared", ask("c", filters{f("a", eq), f("n", lt)}), true},
		{"equality and order, declared", ask("c", filters{f("a", eq)}, "n"), true},
		{"the other direction, declared", ask("c", filters{f("a", eq)}, "-n"), true},
		{"composites are merged", ask("c", filters{f("a", eq), f("b", eq)}, "n"), true},
		{"array, equality, two orders", ask("c", filters{f("t", ac), f("a", eq)}, "n", "b"), true},
		{"group with override", ask("*s", filters{f("g", eq)}), true},
		{"group composite", ask("*s", filters{f("a", eq)}, "n"), true},
		{"group without conditions", ask("*s", nil), true},
		{"equality by name", ask("c", filters{f("a", eq)}, "__name__"), true},

		{"equality and range", ask("c", filters{f("x", eq), f("n", lt)}), false},
		{"the other direction", ask("c", filters{f("b", eq)}, "-n"), false},
		{"two orders", ask("c", nil, "a", "n"), true}, // an index's whole content in its order
		{"two orders, one reversed", ask("c", nil, "-a", "n"), false},
		{"two ranges", ask("c", filters{f("x", lt), f("y", lt)}), false},
		{"merge lacks one", ask("c", filters{f("a", eq), f("x", eq)}, "n"), false},
		{"group equality", ask("*s", filters{f("x", eq)}), false},
		{"group order against the override", ask("*s", nil, "-g"), false},
		{"exempted field", ask("c", filters{f("body", eq)}), false},
		{"collection query on a group index", ask("s", filters{f("a", eq)}, "n"), false},
		{"overridden without collection scope", ask("s", filters{f("g", eq)}), false},
		{"array and order", ask("c", filters{f("t", ac)}, "n"), false},
		{"name the other way", ask("c", filters{f("a", eq)}, "n", "-__name__"), false},
	}
	for _, tt := range tests {
		q, err := compileQuery(testRoot, tt.q)
		must(t, nil, err)
		err = d.check(q)
		if tt.served && err != nil || !tt.served && status.Code(err) != codes.FailedPrecondition {
			t.Errorf("%s: served should be %v: %v", tt.name, tt.served, err)
		}
		if err == nil || q.group {
			continue
		}
		suggested, err := parseIndexes([]byte(`{"indexes":[` + err.Error()[strings.Index(err.Error(), "{"):] + `]}`))
		if err != nil {
			continue // a single field, which needs an override instead
		}
		if err := suggested.check(q); err != nil {
			t.Errorf("%s: the suggested index does not serve the query: %v", tt.name, err)
		}
	}
}

func TestMissingIndexOverTheWire(t *testing.T) {
	_, addr := start(t, Options{Indexes: []byte(testIndexes)})
	c := client(t, addr, testProject)
	_, err := c.Collection("c").Where("x", "==", 1).OrderBy("n", 1).Documents(context.Background()).GetAll()
	wantCode(t, "query", err, codes.FailedPrecondition)
	if !strings.Contains(err.Error(), `{"collectionGroup":"c","queryScope":"COLLECTION","fields":[{"fieldPath":"x","order":"ASCENDING"},{"fieldPath":"n","order":"ASCENDING"}]}`) {
		t.Errorf("the error does not say which index to add: %v", err)
	}
	undeclared, declared := c.Collection("c").Where("x", "==", 1), c.Collection("c").Where("a", "==", 1)
	_, err = undeclared.NewAggregationQuery().WithSum("n", "s").Get(context.Background())
	wantCode(t, "sum with an equality", err, codes.FailedPrecondition)
	_, err = declared.NewAggregationQuery().WithSum("n", "s").Get(context.Background())
	must(t, nil, err)
}

func TestIndexFileErrors(t *testing.T) {
	for _, bad := range []string{
		`{`, `{"indexes":[{"collectionGroup":"c","queryScope":"COLLECTION","fields":[{"fieldPath":"a","order":"ASCENDING"}]}]}`,
		`{"indexes":[{"collectionGroup":"c","queryScope":"X","fields":[{"fieldPath":"a","order":"ASCENDING"},{"fieldPath":"b","order":"ASCENDING"}]}]}`,
		`{"indexes":[{"collectionGroup":"c","fields":[{"fieldPath":"a","order":"UP"},{"fieldPath":"b","order":"ASCENDING"}]}]}`,
		`{"fieldOverrides":[{"collectionGroup":"c","fieldPath":"a..b","indexes":[]}]}`,
	} {
		if _, err := Open(Options{Indexes: []byte(bad)}); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func TestSweep(t *testing.T) {
	now := time.Unix(2_000_000, 0)
	l := newLocal(t, Options{Indexes: []byte(testIndexes), Now: func() time.Time { return now }})
	put := func(path string, v *pb.Value) {
		w := &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: testRoot + "/" + path, Fields: map[string]*pb.Value{"expires": v}}}}
		_, err := l.Commit(context.Background(), &pb.CommitRequest{Database: testDatabase, Writes: []*pb.Write{w}})
		l.ok(err)
	}
	put("c/due", timeValue(now))
	put("c/due/c/nested", timeValue(now.Add(-time.Hour)))
	put("c/held", timeValue(now))
	put("c/later", timeValue(now.Add(time.Second)))
	put("c/text", stringValue("2000-01-01"))
	put("other/x", timeValue(now))
	tx := l.begin(nil)
	_, err := l.get(tx, "held")
	l.ok(err)
	l.ResetStats()
	l.Sweep(now)
	equal(t, "billed", l.Stats(), map[string]Ops{"other": {Deletes: 2}})
	docs, _ := l.store.all()
	equal(t, "documents left", len(docs), 4)
	l.ok(l.set(tx, "z", 1))
	l.Sweep(now)
	_, err = l.get(nil, "held")
	wantCode(t, "what was locked before", err, codes.NotFound)
}

func TestNullMatchesOnlyIsNull(t *testing.T) {
	_, addr := start(t, Options{})
	c := client(t, addr, testProject)
	ctx := context.Background()
	_, err := c.Collection("c").Doc("a").Set(ctx, map[string]any{"n": nil, "t": []any{nil}})
	must(t, nil, err)
	equal(t, "IS_NULL", ids(t, c.Collection("c").Where("n", "==", nil).Documents(ctx)), []string{"a"})
	stream, err := raw(t, addr).RunQuery(ctx, &pb.RunQueryRequest{Parent: testRoot, QueryType: &pb.RunQueryRequest_StructuredQuery{
		StructuredQuery: ask("c", []*pb.StructuredQuery_Filter{fieldFilter("n", eq, nullValue)})}})
	must(t, nil, err)
	m, err := stream.Recv()
	must(t, nil, err)
	if m.Document != nil {
		t.Errorf("EQUAL null found %v", m.Document.Name)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("after the only message: %v", err)
	}
}

// TestQueriesDoNotScan checks the promise behind the benchmarks without a clock: the index that a query gets has all
// its results in one range of keys, with nothing else in it.
func TestQueriesDoNotScan(t *testing.T) {
	tests := []struct {
		name string
		q    *pb.StructuredQuery
	}{
		{"equality, range, order", ask("c", []*pb.StructuredQuery_Filter{fieldFilter("a", eq, integerValue(1)), fieldFilter("b", lt, integerValue(5))}, "b")},
		{"descending", ask("c", []*pb.StructuredQuery_Filter{fieldFilter("a", eq, integerValue(1)), fieldFilter("b", lt, integerValue(5))}, "-b")},
		{"array, equality, two orders", ask("c", []*pb.StructuredQuery_Filter{fieldFilter("t", ac, integerValue(1)), fieldFilter("a", eq, integerValue(1))}, "b", "-n")},
		{"cursor", func() *pb.StructuredQuery {
			q := ask("c", []*pb.StructuredQuery_Filter{fieldFilter("a", eq, integerValue(1))}, "b", "-n")
			q.StartAt = &pb.Cursor{Values: []*pb.Value{integerValue(1), integerValue(1)}}
			q.Limit = wrapperspb.Int32(3)
			return q
		}()},
	}
	for _, tt := range tests {
		q, err := compileQuery(testRoot, tt.q)
		must(t, nil, err)
		if _, b := q.plan(q.disjuncts[0]); !b.exact || b.lo >= b.hi {
			t.Errorf("%s: bounds %+v are not exactly the results", tt.name, b)
		}
	}
}
