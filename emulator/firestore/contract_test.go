package firestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	fs "cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestContract runs what the product relies on, through the official client, against the embedded server and, where
// it is installed, against Google's emulator.
func TestContract(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		_, addr := start(t, Options{})
		contract(t, client(t, addr, testProject))
	})
	t.Run("embedded with indexes only", func(t *testing.T) {
		s, addr := start(t, Options{})
		s.store.scanBelow = 0
		contract(t, client(t, addr, testProject))
	})
	t.Run("google", func(t *testing.T) {
		contract(t, client(t, googleAddr(t), testProject))
	})
}

func contract(t *testing.T, c *fs.Client) {
	checks := []struct {
		name string
		run  func(*testing.T, context.Context, *fs.Client)
	}{
		{"set, get, create", contractBasics},
		{"transforms and nested mask", contractTransforms},
		{"stale precondition", contractPrecondition},
		{"queries", contractQueries},
		{"collection group", contractGroup},
		{"aggregation", contractAggregation},
		{"BulkWriter", contractBulkWriter},
		{"query listener", contractQueryListener},
		{"document listener", contractDocumentListener},
		{"no lost update", contractLostUpdate},
		{"one of two creates", contractTwoCreates},
		{"no phantom", contractPhantom},
		{"write during a transaction", contractOutsideWrite},
		{"lists", contractLists},
	}
	for _, check := range checks {
		t.Run(check.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			check.run(t, ctx, c)
		})
	}
}

func must(t testing.TB, _ any, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Fatalf("%s: got %v, want %v", what, err, want)
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: -want +got\n%s", what, diff)
	}
}

func ids(t testing.TB, it *fs.DocumentIterator) []string {
	t.Helper()
	docs, err := it.GetAll()
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, d := range docs {
		out = append(out, d.Ref.ID)
	}
	return out
}

// seed writes ten documents: n counts, owner alternates, due grows, tags and m.k repeat n.
func seed(t testing.TB, ctx context.Context, col *fs.CollectionRef) {
	t.Helper()
	for i := range 10 {
		_, err := col.Doc(fmt.Sprintf("d%02d", i)).Set(ctx, map[string]any{
			"n": i, "owner": []string{"a", "b"}[i%2], "due": time.Unix(int64(1000+i), 0),
			"tags": []string{"x", fmt.Sprint(i)}, "m": map[string]any{"k": i},
		})
		must(t, nil, err)
	}
}

func contractBasics(t *testing.T, ctx context.Context, c *fs.Client) {
	col := c.Collection("basics")
	seed(t, ctx, col)
	_, err := col.Doc("d01").Create(ctx, map[string]any{"n": 1})
	wantCode(t, "create existing", err, codes.AlreadyExists)
	_, err = col.Doc("nope").Get(ctx)
	wantCode(t, "get missing", err, codes.NotFound)
	_, err = col.Doc("nope").Update(ctx, []fs.Update{{Path: "x", Value: 1}})
	wantCode(t, "update missing", err, codes.NotFound)
	d, err := col.Doc("d03").Get(ctx)
	must(t, d, err)
	equal(t, "data", d.Data(), map[string]any{"n": int64(3), "owner": "b", "due": time.Unix(1003, 0).UTC(),
		"tags": []any{"x", "3"}, "m": map[string]any{"k": int64(3)}})
}

func contractTransforms(t *testing.T, ctx context.Context, c *fs.Client) {
	ref := c.Collection("transforms").Doc("d")
	_, err := ref.Set(ctx, map[string]any{"n": 0, "owner": "a", "tags": []string{"x"}, "m": map[string]any{"k": 0}})
	must(t, nil, err)
	_, err = ref.Update(ctx, []fs.Update{{Path: "n", Value: fs.Increment(5)}, {Path: "m.z", Value: 9},
		{Path: "ts", Value: fs.ServerTimestamp}, {Path: "tags", Value: fs.ArrayUnion("y", "x")}, {Path: "owner", Value: fs.Delete}})
	must(t, nil, err)
	d, err := ref.Get(ctx)
	must(t, nil, err)
	got := d.Data()
	if at, ok := got["ts"].(time.Time); !ok || at.IsZero() {
		t.Fatalf("server timestamp: %v", got["ts"])
	}
	delete(got, "ts")
	equal(t, "data", got, map[string]any{"n": int64(5), "tags": []any{"x", "y"}, "m": map[string]any{"k": int64(0), "z": int64(9)}})
}

func contractPrecondition(t *testing.T, ctx context.Context, c *fs.Client) {
	ref := c.Collection("precondition").Doc("d")
	_, err := ref.Set(ctx, map[string]any{"v": 0})
	must(t, nil, err)
	d, err := ref.Get(ctx)
	must(t, nil, err)
	_, err = ref.Update(ctx, []fs.Update{{Path: "v", Value: 1}}, fs.LastUpdateTime(d.UpdateTime))
	must(t, nil, err)
	_, err = ref.Update(ctx, []fs.Update{{Path: "v", Value: 2}}, fs.LastUpdateTime(d.UpdateTime))
	wantCode(t, "stale update", err, codes.FailedPrecondition)
}

func contractQueries(t *testing.T, ctx context.Context, c *fs.Client) {
	col := c.Collection("queries")
	seed(t, ctx, col)
	either := fs.OrFilter{Filters: []fs.EntityFilter{
		fs.PropertyFilter{Path: "n", Operator: "==", Value: 3},
		fs.AndFilter{Filters: []fs.EntityFilter{
			fs.PropertyFilter{Path: "owner", Operator: "==", Value: "a"},
			fs.PropertyFilter{Path: "n", Operator: ">", Value: 6}}}}}
	tests := []struct {
		name string
		q    fs.Query
		want []string
	}{
		{"equality and range, descending, limit", col.Where("owner", "==", "b").Where("n", ">=", 3).OrderBy("n", fs.Desc).Limit(2), []string{"d09", "d07"}},
		{"or", col.WhereEntity(either), []string{"d03", "d08"}},
		{"array-contains", col.Where("tags", "array-contains", "4"), []string{"d04"}},
		{"in", col.Where("n", "in", []int{3, 5}), []string{"d03", "d05"}},
		{"start after", col.OrderBy("due", fs.Asc).StartAfter(time.Unix(1004, 0)).Limit(2), []string{"d05", "d06"}},
		{"two inequalities", col.Where("due", "<=", time.Unix(1003, 0)).Where("n", ">", 1), []string{"d02", "d03"}},
		{"by name", col.Where(fs.DocumentID, ">", col.Doc("d07")), []string{"d08", "d09"}},
		{"array-contains-any and not equal", col.Where("tags", "array-contains-any", []string{"4", "5"}).Where("owner", "!=", "z"), []string{"d04", "d05"}},
		{"nested", col.Where("m.k", "==", 6), []string{"d06"}},
		{"limit to last", col.OrderBy("n", fs.Asc).LimitToLast(2), []string{"d08", "d09"}},
		{"offset", col.OrderBy("n", fs.Asc).Offset(8), []string{"d08", "d09"}},
	}
	for _, tt := range tests {
		equal(t, tt.name, ids(t, tt.q.Documents(ctx)), tt.want)
	}
	docs, err := col.Where("n", "==", 2).Select("owner", "m.k").Documents(ctx).GetAll()
	must(t, nil, err)
	equal(t, "projection", docs[0].Data(), map[string]any{"owner": "a", "m": map[string]any{"k": int64(2)}})
}

func contractGroup(t *testing.T, ctx context.Context, c *fs.Client) {
	for i, parent := range []string{"p1", "p2"} {
		_, err := c.Collection("parents").Doc(parent).Collection("events").Doc("e"+parent).Set(ctx, map[string]any{"a": i + 1})
		must(t, nil, err)
	}
	equal(t, "group", ids(t, c.CollectionGroup("events").Where("a", ">", 0).Documents(ctx)), []string{"ep1", "ep2"})
	equal(t, "collection", ids(t, c.Collection("parents").Doc("p2").Collection("events").Documents(ctx)), []string{"ep2"})
}

func contractAggregation(t *testing.T, ctx context.Context, c *fs.Client) {
	col := c.Collection("aggregation")
	seed(t, ctx, col)
	q := col.Where("owner", "==", "b")
	r, err := q.NewAggregationQuery().WithCount("c").WithSum("n", "s").WithAvg("n", "a").Get(ctx)
	must(t, nil, err)
	got := []any{r["c"].(*pb.Value).GetIntegerValue(), r["s"].(*pb.Value).GetIntegerValue(), r["a"].(*pb.Value).GetDoubleValue()}
	equal(t, "count, sum, average", got, []any{int64(5), int64(25), 5.0})
}

func contractBulkWriter(t *testing.T, ctx context.Context, c *fs.Client) {
	taken := c.Collection("bulk").Doc("taken")
	_, err := taken.Set(ctx, map[string]any{"i": 0})
	must(t, nil, err)
	bw := c.BulkWriter(ctx)
	var jobs []*fs.BulkWriterJob
	for i := range 100 {
		j, err := bw.Set(c.Collection("bulk").Doc(fmt.Sprint(i)), map[string]any{"i": i})
		must(t, nil, err)
		jobs = append(jobs, j)
	}
	failing, err := bw.Create(taken, map[string]any{"i": 1})
	must(t, nil, err)
	bw.End()
	for _, j := range jobs {
		_, err := j.Results()
		must(t, nil, err)
	}
	if _, err := failing.Results(); err == nil {
		t.Fatal("creating an existing document in bulk succeeded")
	}
	if n := len(ids(t, c.Collection("bulk").Documents(ctx))); n != 101 {
		t.Fatalf("%d documents, want 101", n)
	}
}

func contractQueryListener(t *testing.T, ctx context.Context, c *fs.Client) {
	col := c.Collection("live")
	it := col.Where("owner", "==", "live").Snapshots(ctx)
	defer it.Stop()
	sizes := []int{}
	next := func() {
		s, err := it.Next()
		must(t, nil, err)
		sizes = append(sizes, s.Size)
	}
	next()
	_, err := col.Doc("other").Set(ctx, map[string]any{"owner": "someone"})
	must(t, nil, err)
	_, err = col.Doc("L").Set(ctx, map[string]any{"owner": "live"})
	must(t, nil, err)
	next()
	_, err = col.Doc("L").Set(ctx, map[string]any{"owner": "gone"})
	must(t, nil, err)
	next()
	equal(t, "sizes", sizes, []int{0, 1, 0})
}

func contractDocumentListener(t *testing.T, ctx context.Context, c *fs.Client) {
	ref := c.Collection("watched").Doc("W")
	it := ref.Snapshots(ctx)
	defer it.Stop()
	seen := []bool{}
	for i := range 3 {
		d, err := it.Next()
		must(t, nil, err)
		seen = append(seen, d.Exists())
		switch i {
		case 0:
			_, err = ref.Set(ctx, map[string]any{"a": 1})
		case 1:
			_, err = ref.Delete(ctx)
		}
		must(t, nil, err)
	}
	equal(t, "exists", seen, []bool{false, true, false})
}

func contractLostUpdate(t *testing.T, ctx context.Context, c *fs.Client) {
	ref := c.Collection("counter").Doc("x")
	_, err := ref.Set(ctx, map[string]any{"n": 0})
	must(t, nil, err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 4 {
				err := c.RunTransaction(ctx, func(_ context.Context, tx *fs.Transaction) error {
					d, err := tx.Get(ref)
					if err != nil {
						return err
					}
					return tx.Update(ref, []fs.Update{{Path: "n", Value: d.Data()["n"].(int64) + 1}})
				}, fs.MaxAttempts(20))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	d, err := ref.Get(ctx)
	must(t, nil, err)
	equal(t, "counter", d.Data()["n"], any(int64(16)))
}

func contractTwoCreates(t *testing.T, ctx context.Context, c *fs.Client) {
	ref := c.Collection("unique").Doc("x")
	duplicate := errors.New("duplicate")
	results := make(chan error, 2)
	for g := range 2 {
		go func() {
			results <- c.RunTransaction(ctx, func(_ context.Context, tx *fs.Transaction) error {
				if _, err := tx.Get(ref); err == nil {
					return duplicate
				} else if status.Code(err) != codes.NotFound {
					return err
				}
				return tx.Create(ref, map[string]any{"g": g})
			})
		}()
	}
	got := []error{<-results, <-results}
	if n := slices.IndexFunc(got, func(err error) bool { return err == nil }); n < 0 || !errors.Is(got[1-n], duplicate) {
		t.Fatalf("got %v, want one success and one duplicate", got)
	}
}

func contractPhantom(t *testing.T, ctx context.Context, c *fs.Client) {
	slots := c.Collection("slots")
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			err := c.RunTransaction(ctx, func(_ context.Context, tx *fs.Transaction) error {
				docs, err := tx.Documents(slots.Where("k", "==", "s")).GetAll()
				if err != nil || len(docs) > 0 {
					return err
				}
				return tx.Create(slots.NewDoc(), map[string]any{"k": "s"})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(ids(t, slots.Documents(ctx))); n != 1 {
		t.Fatalf("%d documents, want 1", n)
	}
}

func contractOutsideWrite(t *testing.T, ctx context.Context, c *fs.Client) {
	ref := c.Collection("mix").Doc("x")
	_, err := ref.Set(ctx, map[string]any{"n": 0})
	must(t, nil, err)
	outside := make(chan error, 1)
	attempts := 0
	err = c.RunTransaction(ctx, func(_ context.Context, tx *fs.Transaction) error {
		attempts++
		d, err := tx.Get(ref)
		if err != nil {
			return err
		}
		if attempts == 1 {
			go func() {
				_, err := ref.Set(ctx, map[string]any{"n": 100})
				outside <- err
			}()
		}
		return tx.Update(ref, []fs.Update{{Path: "n", Value: d.Data()["n"].(int64) + 1}})
	})
	must(t, nil, err)
	must(t, nil, <-outside)
	d, err := ref.Get(ctx)
	must(t, nil, err)
	if n := d.Data()["n"]; n != int64(100) && n != int64(101) {
		t.Fatalf("n = %v, which no serial order explains", n)
	}
}

func contractLists(t *testing.T, ctx context.Context, c *fs.Client) {
	col := c.Collection("lists")
	seed(t, ctx, col)
	_, err := col.Doc("ghost").Collection("inner").Doc("x").Set(ctx, map[string]any{"a": 1})
	must(t, nil, err)
	refs, err := col.DocumentRefs(ctx).GetAll()
	must(t, nil, err)
	if len(refs) != 11 {
		t.Errorf("%d document references, want 10 and the missing one", len(refs))
	}
	var names []string
	for it := c.Collections(ctx); ; {
		x, err := it.Next()
		if err == iterator.Done {
			break
		}
		must(t, nil, err)
		names = append(names, x.ID)
	}
	if !slices.Contains(names, "lists") || slices.Contains(names, "inner") {
		t.Errorf("root collections: %v", names)
	}
	inner, err := col.Doc("ghost").Collections(ctx).GetAll()
	must(t, nil, err)
	if len(inner) != 1 || inner[0].ID != "inner" {
		t.Errorf("collections of the missing document: %v", inner)
	}
}
