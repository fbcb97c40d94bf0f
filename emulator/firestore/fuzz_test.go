package firestore

import (
	"slices"
	"testing"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"
)

// FuzzFieldPath checks that an accepted path's canonical form is accepted and means the same.
func FuzzFieldPath(f *testing.F) {
	for _, s := range []string{"a", "a.b", "`a.b`.c", "`\\``", "`\\\\`", "__name__", "a..b", "`", "`a", "0", "é", "a.`b`c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parseFieldPath(s)
		if err != nil {
			return
		}
		again, err := parseFieldPath(p.text)
		if len(p.text) > maxFieldPath {
			return // escaping may lengthen it
		}
		if err != nil || again.text != p.text || !slices.Equal(again.segments, p.segments) {
			t.Fatalf("%q: %q is read back as %q, %v", s, p.text, again.segments, err)
		}
	})
}

// FuzzQuery compiles and plans whatever decodes as a query: it must not panic, and every plan has a range.
func FuzzQuery(f *testing.F) {
	r := newRandom(1)
	for range 50 {
		_, q := r.query()
		b, err := proto.Marshal(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var sq pb.StructuredQuery
		if proto.Unmarshal(b, &sq) != nil {
			return
		}
		q, err := compileQuery(testRoot, &sq)
		if err != nil {
			return
		}
		for _, c := range q.disjuncts {
			if _, ok := namedBy(c); ok {
				continue
			}
			if sh, _ := q.plan(c); sh.signature() == "" {
				t.Fatal("a plan without an index")
			}
		}
	})
}

// FuzzLog replays arbitrary bytes as a record: damaged data is an error, never a panic.
func FuzzLog(f *testing.F) {
	f.Add(appendChange(appendHead(nil, recordCommit, 1), change{name: testRoot + "/c/d"}))
	f.Add(appendPut(appendHead(nil, recordSnapshot, 1), &document{collection: testRoot + "/c", id: "d", fields: []byte("x")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &disk{store: newStore()}
		if err := deliver(b, d.put); err == nil && len(b) == 0 {
			t.Fatal("an empty record was accepted")
		}
	})
}
