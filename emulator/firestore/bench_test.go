package firestore

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	fs "cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// increaseIn reads a document and writes it in one transaction, through the official client.
func increaseIn(c *fs.Client, ref *fs.DocumentRef) error {
	return c.RunTransaction(context.Background(), func(_ context.Context, tx *fs.Transaction) error {
		n := int64(0)
		if d, err := tx.Get(ref); err == nil {
			n = d.Data()["n"].(int64)
		} else if status.Code(err) != codes.NotFound {
			return err
		}
		return tx.Set(ref, map[string]any{"n": n + 1, "pad": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "t": time.Now()})
	})
}

// BenchmarkTransaction runs read+write transactions with 2 and 8 clients, on documents of their own and on one.
func BenchmarkTransaction(b *testing.B) {
	for _, clients := range []int{2, 8} {
		for _, hot := range []bool{false, true} {
			b.Run(fmt.Sprintf("clients=%d/hot=%v", clients, hot), func(b *testing.B) {
				_, addr := start(b, Options{Dir: b.TempDir()})
				c := client(b, addr, testProject)
				b.SetParallelism(max(1, clients/runtime.GOMAXPROCS(0))) // times GOMAXPROCS
				var next atomic.Int64
				b.ResetTimer()
				b.RunParallel(func(p *testing.PB) {
					id := next.Add(1)
					for i := 0; p.Next(); i++ {
						ref := c.Collection("t").Doc("hot")
						if !hot {
							ref = c.Collection("t").Doc(fmt.Sprintf("%d-%d", id, i%50))
						}
						if err := increaseIn(c, ref); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
			})
		}
	}
}

// fill stores n documents of the product's kind without the network.
func fill(b *testing.B, s *Server, n, body int) {
	b.Helper()
	var changes []change
	for i := range n {
		fields, err := encodeFields(map[string]*pb.Value{
			"queue":    stringValue(fmt.Sprintf("queue-%d", i%20)),
			"state":    stringValue([]string{"open", "waiting", "closed", "closed", "closed"}[i%5]),
			"due":      integerValue(int64(i*7919) % int64(n)),
			"queues":   arrayValue([]*pb.Value{stringValue(fmt.Sprintf("queue-%d", i%20)), stringValue(fmt.Sprintf("queue-%d", i%7))}),
			"role":     stringValue("agent"),
			"open":     integerValue(int64(i % 13)),
			"assigned": integerValue(int64(i)),
			"body":     stringValue(strings.Repeat("x", body)),
		})
		if err != nil {
			b.Fatal(err)
		}
		d := &document{collection: testRoot + "/sessions", id: fmt.Sprintf("s%08d", i), fields: fields}
		changes = append(changes, change{name: d.name(), after: d})
	}
	if _, err := s.store.commit(changes); err != nil {
		b.Fatal(err)
	}
	s.store.history = history{} // not what is measured
}

// BenchmarkQuery runs the product's queries over a million sessions, without the network.
func BenchmarkQuery(b *testing.B) {
	s, err := Open(Options{})
	if err != nil {
		b.Fatal(err)
	}
	const n = 1_000_000
	fill(b, s, n, 0)
	due := ask("sessions", []*pb.StructuredQuery_Filter{
		fieldFilter("state", eq, stringValue("waiting")),
		fieldFilter("due", pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, integerValue(n/2))}, "due")
	agents := ask("sessions", []*pb.StructuredQuery_Filter{
		fieldFilter("queues", ac, stringValue("queue-3")), fieldFilter("role", eq, stringValue("agent"))}, "open", "assigned")
	for name, sq := range map[string]*pb.StructuredQuery{"due": due, "agents": agents} {
		sq.Limit = wrapperspb.Int32(3)
		q, err := compileQuery(testRoot, sq)
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if r, err := s.store.run(q, latest); err != nil || len(r.docs) != 3 {
			b.Fatal(len(r.docs), err)
		}
		build := time.Since(began)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.store.run(q, latest); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(build.Seconds(), "s-first")
		})
	}
	b.Run("write", func(b *testing.B) { // keeps the two indexes up to date
		l := local{b, s}
		for i := 0; b.Loop(); i++ {
			w := &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: fmt.Sprintf("%s/sessions/s%08d", testRoot, i%n),
				Fields: map[string]*pb.Value{"state": stringValue("waiting"), "due": integerValue(int64(i))}}}}
			_, err := l.Commit(context.Background(), &pb.CommitRequest{Database: testDatabase, Writes: []*pb.Write{w}})
			l.ok(err)
		}
	})
}

// BenchmarkMemory reports what 30,000 documents of 2 KB and five indexes take.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s, err := Open(Options{})
		if err != nil {
			b.Fatal(err)
		}
		fill(b, s, 30_000, 1800)
		for _, path := range []string{"queue", "state", "due", "open", "assigned"} {
			q, err := compileQuery(testRoot, ask("sessions", nil, path))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.store.run(q, latest); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB")
		runtime.KeepAlive(s)
	}
}
