package firestore

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	fs "cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestRefusedRequests holds requests to the documented limits and syntax.
func TestRefusedRequests(t *testing.T) {
	_, addr := start(t, Options{})
	c := raw(t, addr)
	ctx := context.Background()
	deep := integerValue(1)
	for range 21 {
		deep = mapValue(map[string]*pb.Value{"x": deep})
	}
	fields := func(name string, v *pb.Value) map[string]*pb.Value { return map[string]*pb.Value{name: v} }
	writes := []struct {
		name   string
		doc    string
		fields map[string]*pb.Value
		mask   []string
	}{
		{name: "empty ID", doc: "c//s/x"},
		{name: "collection instead of document", doc: "c"},
		{name: "dot as ID", doc: "c/."},
		{name: "reserved ID", doc: "c/__x__"},
		{name: "long ID", doc: "c/" + strings.Repeat("x", 1501)},
		{name: "too deep", doc: strings.TrimSuffix(strings.Repeat("c/d/", 101), "/")},
		{name: "empty field name", doc: "c/d", fields: fields("", nullValue)},
		{name: "reserved field name", doc: "c/d", fields: fields("__x__", nullValue)},
		{name: "long field name", doc: "c/d", fields: fields(strings.Repeat("x", 1501), nullValue)},
		{name: "array in array", doc: "c/d", fields: fields("a", arrayValue([]*pb.Value{arrayValue(nil)}))},
		{name: "nesting", doc: "c/d", fields: fields("a", deep)},
		{name: "size", doc: "c/d", fields: fields("a", stringValue(strings.Repeat("x", 1<<20)))},
		{name: "no type", doc: "c/d", fields: fields("a", &pb.Value{})},
		{name: "bad mask", doc: "c/d", mask: []string{"a..b"}},
		{name: "bad reference", doc: "c/d", fields: fields("a", refValue("x/y"))},
	}
	for _, tt := range writes {
		w := &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: testRoot + "/" + tt.doc, Fields: tt.fields}}}
		if tt.mask != nil {
			w.UpdateMask = &pb.DocumentMask{FieldPaths: tt.mask}
		}
		_, err := c.Commit(ctx, &pb.CommitRequest{Database: testDatabase, Writes: []*pb.Write{w}})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
	elsewhere := &pb.Write{Operation: &pb.Write_Delete{Delete: "projects/other/databases/(default)/documents/c/d"}}
	_, err := c.Commit(ctx, &pb.CommitRequest{Database: testDatabase, Writes: []*pb.Write{elsewhere}})
	wantCode(t, "another database", err, codes.InvalidArgument)
	twice := []*pb.Write{setWrite("a", 1), setWrite("a", 2)}
	_, err = c.BatchWrite(ctx, &pb.BatchWriteRequest{Database: testDatabase, Writes: twice})
	wantCode(t, "one document twice in a batch", err, codes.InvalidArgument)
	_, err = c.BatchWrite(ctx, &pb.BatchWriteRequest{Database: testDatabase, Writes: make([]*pb.Write, 501)})
	wantCode(t, "501 writes in a batch", err, codes.InvalidArgument)

	big := func(n int) *pb.Value {
		var values []*pb.Value
		for i := range n {
			values = append(values, integerValue(int64(i)))
		}
		return arrayValue(values)
	}
	filter := func(f ...*pb.StructuredQuery_Filter) *pb.StructuredQuery { return ask("c", f) }
	limited := ask("c", nil)
	limited.Limit = wrapperspb.Int32(-1)
	queries := map[string]*pb.StructuredQuery{
		"no collection":     {},
		"31 values in in":   filter(fieldFilter("a", in, big(31))),
		"empty in":          filter(fieldFilter("a", in, big(0))),
		"11 values not in":  filter(fieldFilter("a", pb.StructuredQuery_FieldFilter_NOT_IN, big(11))),
		"36 disjunctions":   filter(fieldFilter("a", in, big(6)), fieldFilter("b", in, big(6))),
		"two arrays":        filter(fieldFilter("b", ac, integerValue(1)), fieldFilter("c", ac, integerValue(2))),
		"bad path":          filter(fieldFilter("a b", eq, nullValue)),
		"name of no string": filter(fieldFilter(nameField, eq, integerValue(1))),
		"negative limit":    limited,
		"order twice":       ask("c", nil, "a", "a"),
	}
	for name, q := range queries {
		if err := runRaw(c, q); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// 36 pairs, but 21 distinct sets of conditions.
	if err := runRaw(c, filter(fieldFilter("a", in, big(6)), fieldFilter("a", in, big(6)))); err != nil {
		t.Errorf("21 disjunctions: %v", err)
	}
}

func runRaw(c pb.FirestoreClient, q *pb.StructuredQuery) error {
	_, err := queryAnswer(c, &pb.RunQueryRequest{Parent: testRoot, QueryType: &pb.RunQueryRequest_StructuredQuery{StructuredQuery: q}})
	return err
}

func TestDocumentOfMaximumSize(t *testing.T) {
	_, addr := start(t, Options{})
	ref := client(t, addr, testProject).Collection("c").Doc("d")
	_, err := ref.Set(context.Background(), map[string]any{"a": strings.Repeat("x", 1<<20-100)})
	must(t, nil, err)
	d, err := ref.Get(context.Background())
	must(t, nil, err)
	equal(t, "length", len(d.Data()["a"].(string)), 1<<20-100)
}

func TestStats(t *testing.T) {
	s, addr := start(t, Options{})
	ctx := context.Background()
	c, err := fs.NewClient(ctx, testProject, option.WithEndpoint(addr), option.WithoutAuthentication(),
		option.WithUserAgent("emailchannel-ingest/1.0"),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	must(t, nil, err)
	t.Cleanup(func() { c.Close() })
	col := c.Collection("c")
	seed(t, ctx, col)                                                        // 10 writes
	_ = ids(t, col.Where("owner", "==", "a").Documents(ctx))                 // 5 reads
	_ = ids(t, col.Where("owner", "==", "x").Documents(ctx))                 // 1 for nothing
	_ = ids(t, col.OrderBy("n", fs.Asc).Offset(3).Limit(2).Documents(ctx))   // 5: skipped ones count
	_, err = c.GetAll(ctx, []*fs.DocumentRef{col.Doc("d00"), col.Doc("no")}) // 2
	must(t, nil, err)
	_, err = col.NewAggregationQuery().WithCount("n").Get(ctx) // 1
	must(t, nil, err)
	_, err = col.Doc("d00").Create(ctx, map[string]any{}) // fails: nothing
	wantCode(t, "create", err, codes.AlreadyExists)
	_, err = col.Doc("d00").Delete(ctx) // 1 delete
	must(t, nil, err)
	_, err = client(t, addr, testProject).Collection("c").Doc("z").Set(ctx, map[string]any{})
	must(t, nil, err)
	equal(t, "stats", s.Stats(), map[string]Ops{"ingest": {Reads: 14, Writes: 10, Deletes: 1}, "other": {Writes: 1}})
	s.ResetStats()
	equal(t, "stats after reset", s.Stats(), map[string]Ops{})
}

func TestAggregationIsBilledByThousands(t *testing.T) {
	s, addr := start(t, Options{})
	ctx := context.Background()
	c := client(t, addr, testProject)
	bw := c.BulkWriter(ctx)
	for i := range 1001 {
		_, err := bw.Set(c.Collection("c").Doc(fmt.Sprint(i)), map[string]any{"n": i})
		must(t, nil, err)
	}
	bw.End()
	s.ResetStats()
	_, err := c.Collection("c").NewAggregationQuery().WithCount("n").Get(ctx)
	must(t, nil, err)
	equal(t, "stats", s.Stats(), map[string]Ops{"other": {Reads: 2}})
}

func TestPages(t *testing.T) {
	_, addr := start(t, Options{})
	ctx := context.Background()
	c := raw(t, addr)
	var writes []*pb.Write
	for i := range 7 {
		writes = append(writes, setWrite(fmt.Sprintf("d%d", i), 1), setWrite(fmt.Sprintf("d%d/s%d/x", i, i), 1))
	}
	writes = append(writes, setWrite("d6/s/x", 1), setWrite("d6/s-1/x", 1), setWrite("ghost/s/x", 1))
	_, err := c.Commit(ctx, &pb.CommitRequest{Database: testDatabase, Writes: writes})
	must(t, nil, err)

	list := func(r *pb.ListDocumentsRequest) (names []string) {
		r.Parent, r.CollectionId, r.PageSize = testRoot, "c", 3
		for {
			page, err := c.ListDocuments(ctx, r)
			must(t, nil, err)
			for _, d := range page.Documents {
				_, id := cutLast(d.Name)
				names = append(names, id)
			}
			if r.PageToken = page.NextPageToken; r.PageToken == "" {
				return names
			}
		}
	}
	equal(t, "list", list(&pb.ListDocumentsRequest{}), strings.Fields("d0 d1 d2 d3 d4 d5 d6"))
	equal(t, "descending", list(&pb.ListDocumentsRequest{OrderBy: "__name__ desc"}), strings.Fields("d6 d5 d4 d3 d2 d1 d0"))
	equal(t, "with missing", list(&pb.ListDocumentsRequest{ShowMissing: true}), strings.Fields("d0 d1 d2 d3 d4 d5 d6 ghost"))

	var collections []string
	for r := (&pb.ListCollectionIdsRequest{Parent: testRoot + "/c/d6", PageSize: 2}); ; {
		page, err := c.ListCollectionIds(ctx, r)
		must(t, nil, err)
		collections = append(collections, page.CollectionIds...)
		if r.PageToken = page.NextPageToken; r.PageToken == "" {
			break
		}
	}
	equal(t, "collections", collections, []string{"s", "s-1", "s6"})
}

func TestPartitions(t *testing.T) {
	_, addr := start(t, Options{})
	ctx := context.Background()
	c := client(t, addr, testProject)
	for i := range 50 {
		_, err := c.Collection("p").Doc(fmt.Sprint(i%5)).Collection("c").Doc(fmt.Sprint(i)).Set(ctx, map[string]any{"n": i})
		must(t, nil, err)
	}
	parts, err := c.CollectionGroup("c").GetPartitionedQueries(ctx, 4)
	must(t, nil, err)
	seen := map[string]bool{}
	for _, q := range parts {
		for _, id := range ids(t, q.Documents(ctx)) {
			if seen[id] {
				t.Errorf("document %s is in two partitions", id)
			}
			seen[id] = true
		}
	}
	if len(parts) < 3 || len(seen) != 50 {
		t.Errorf("%d partitions with %d documents", len(parts), len(seen))
	}
}

// TestListenTargets covers what the Go client does not do in one stream: several targets, removal, a resume token.
func TestListenTargets(t *testing.T) {
	_, addr := start(t, Options{})
	c := raw(t, addr)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	stream, err := c.Listen(ctx)
	must(t, nil, err)
	add := func(id int32, doc string, token []byte) {
		target := &pb.Target{TargetId: id, TargetType: &pb.Target_Documents{Documents: &pb.Target_DocumentsTarget{Documents: []string{testRoot + "/c/" + doc}}}}
		if token != nil {
			target.ResumeType = &pb.Target_ResumeToken{ResumeToken: token}
		}
		must(t, nil, stream.Send(&pb.ListenRequest{Database: testDatabase, TargetChange: &pb.ListenRequest_AddTarget{AddTarget: target}}))
	}
	next := func() string {
		m, err := stream.Recv()
		must(t, nil, err)
		switch x := m.ResponseType.(type) {
		case *pb.ListenResponse_TargetChange:
			return fmt.Sprintf("%v%v", x.TargetChange.TargetChangeType, x.TargetChange.TargetIds)
		case *pb.ListenResponse_DocumentChange:
			_, id := cutLast(x.DocumentChange.Document.Name)
			return fmt.Sprintf("%v%v", id, x.DocumentChange.TargetIds)
		}
		return fmt.Sprintf("%T", m.ResponseType)
	}
	expect := func(what string, want ...string) {
		t.Helper()
		var got []string
		for range want {
			got = append(got, next())
		}
		equal(t, what, got, want)
	}
	write := func(id string) {
		_, err := c.Commit(ctx, &pb.CommitRequest{Database: testDatabase, Writes: []*pb.Write{setWrite(id, 1)}})
		must(t, nil, err)
	}
	add(2, "a", nil)
	expect("first target", "ADD[2]", "CURRENT[2]", "NO_CHANGE[]")
	add(4, "b", []byte("anything"))
	expect("resumed target", "ADD[4]", "RESET[4]", "CURRENT[4]", "NO_CHANGE[]")
	write("a")
	expect("a change", "a[2]", "NO_CHANGE[]")
	must(t, nil, stream.Send(&pb.ListenRequest{Database: testDatabase, TargetChange: &pb.ListenRequest_RemoveTarget{RemoveTarget: 2}}))
	expect("removal", "REMOVE[2]")
	write("a2")
	write("b")
	expect("the other target's change", "b[4]", "NO_CHANGE[]")
}

func TestSingleDocumentCalls(t *testing.T) {
	_, addr := start(t, Options{})
	c := raw(t, addr)
	ctx := context.Background()
	d, err := c.CreateDocument(ctx, &pb.CreateDocumentRequest{Parent: testRoot, CollectionId: "c", Document: &pb.Document{Fields: map[string]*pb.Value{"n": integerValue(1)}}})
	must(t, nil, err)
	if _, id := cutLast(d.Name); len(id) != 20 {
		t.Errorf("automatic ID %q", id)
	}
	equal(t, "created", d.Fields["n"].GetIntegerValue(), int64(1))
	_, err = c.CreateDocument(ctx, &pb.CreateDocumentRequest{Parent: testRoot, CollectionId: "c", DocumentId: d.Name[strings.LastIndexByte(d.Name, '/')+1:]})
	wantCode(t, "create again", err, codes.AlreadyExists)
	d.Fields["m"] = stringValue("x")
	d, err = c.UpdateDocument(ctx, &pb.UpdateDocumentRequest{Document: d, UpdateMask: &pb.DocumentMask{FieldPaths: []string{"m"}}, Mask: &pb.DocumentMask{FieldPaths: []string{"m"}}})
	must(t, nil, err)
	if len(d.Fields) != 1 || d.Fields["m"].GetStringValue() != "x" {
		t.Errorf("updated: %v", d.Fields)
	}
	_, err = c.DeleteDocument(ctx, &pb.DeleteDocumentRequest{Name: d.Name})
	must(t, nil, err)
	_, err = c.GetDocument(ctx, &pb.GetDocumentRequest{Name: d.Name})
	wantCode(t, "get deleted", err, codes.NotFound)
}

func TestSumsOfIntegersAreExact(t *testing.T) {
	tests := []struct {
		values []*pb.Value
		sum    *pb.Value
	}{
		{nil, integerValue(0)},
		{[]*pb.Value{integerValue(math.MaxInt64), integerValue(math.MaxInt64), integerValue(-math.MaxInt64)}, integerValue(math.MaxInt64)},
		{[]*pb.Value{integerValue(-5), integerValue(2), stringValue("x")}, integerValue(-3)},
		{[]*pb.Value{integerValue(math.MaxInt64), integerValue(1)}, doubleValue(1 << 63)},
		{[]*pb.Value{integerValue(math.MinInt64), integerValue(math.MinInt64)}, doubleValue(-(1 << 64))},
		{[]*pb.Value{integerValue(1), doubleValue(0.5)}, doubleValue(1.5)},
	}
	for _, tt := range tests {
		var s total
		for _, v := range tt.values {
			s.add(v)
		}
		equal(t, fmt.Sprint(tt.values), canonical(s.sum()), canonical(tt.sum))
	}
}
