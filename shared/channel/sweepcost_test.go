package channel_test

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/heap"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/session"
)

// readsPerDue is what a due session may cost, with all queries that find none.
const readsPerDue = 1.1

// sweeps has one sweep move what is due, and tells what it took.
func (b *backlog) sweeps() (cost struct{ reads, writes, seconds float64 }) {
	b.Helper()
	b.ops()
	start := time.Now()
	err := b.sweep(pagewise{b.docs}).Handle(b.Context())
	cost.seconds = time.Since(start).Seconds()
	if err != nil {
		b.Error(err)
	}
	ops := b.ops()
	cost.reads, cost.writes = float64(ops.Reads)/float64(b.due()), float64(ops.Writes)/float64(b.due())
	if cost.reads > readsPerDue {
		b.Errorf("%.3f reads for each session that was due", cost.reads)
	}
	return cost
}

// announced holds that each session that was moved was told of once.
func (b *backlog) announced() {
	b.Helper()
	if n := b.bus.count(event.TopicSession); n != b.due() {
		b.Errorf("%d events of %d sessions", n, b.due())
	}
}

func TestSweepReadsWhatIsDue(t *testing.T) {
	b := newBacklog(t, 10_000, 500, 50)
	b.sweeps()
	b.moved()
	b.announced()
	b.ops()
	if err := b.sweep(b.docs).Handle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ops := b.ops(); ops.Reads > 20 || ops.Writes > 0 {
		t.Errorf("a sweep that finds nothing: %+v", ops)
	}
}

// BenchmarkSweep has 20,000 of a million sessions fall due at once. The heap is
// that of the database and its client as well; TestSweepInFlatMemory is about
// the sweep's own.
//
//	go test ./shared/channel -run '^$' -bench Sweep -benchtime 1x -timeout 30m
func BenchmarkSweep(b *testing.B) {
	for range b.N {
		b.StopTimer()
		w := newBacklog(b, 1_000_000, 20_000, 500)
		if n, err := w.docs.Count(b.Context(), channel.Query{Collection: "sessions", Where: []channel.Where{{Field: "state", Op: "==", Value: session.Active}, {Field: "since", Op: "<=", Value: w.now.Add(-300 * day)}}, Order: []channel.Order{{Field: "since"}}}, 1); n != 0 || err != nil { // makes the embedded database's index
			b.Fatal(n, err)
		}
		var cost struct{ reads, writes, seconds float64 }
		peak := heap.Peak(func() {
			b.StartTimer()
			cost = w.sweeps()
			b.StopTimer()
		})
		w.moved()
		w.announced()
		b.ReportMetric(cost.reads, "reads/due")
		b.ReportMetric(cost.writes, "writes/due")
		b.ReportMetric(cost.seconds, "s/sweep")
		b.ReportMetric(float64(peak)/(1<<20), "MB-peak")
	}
}

// endless is a database in which n sessions are due, each made when it is read.
type endless struct {
	channel.Docs
	n      int
	now    time.Time
	writes *atomic.Int64
}

func (e endless) Get(_ context.Context, refs ...*channel.Ref) error {
	set := channel.Defaults()
	set.Email = true
	*refs[0].Into.(*channel.Settings), refs[0].Found = set, true
	return nil
}

func (e endless) Find(_ context.Context, q channel.Query, each func(string, func(any) error) error) error {
	if q.Collection != "sessions" || q.Where[0].Value != session.Active {
		return nil
	}
	from := 0
	if len(q.After) > 0 {
		from = q.After[0].(int)
	}
	for i := from; i < min(from+q.Limit, e.n); i++ {
		err := each(fmt.Sprintf("%011d", i), func(into any) error {
			ref := into.(*channel.Ref)
			long := e.now.Add(-40 * day)
			*ref.Into.(*channel.Session) = channel.Session{ID: fmt.Sprintf("%011d", i), State: session.Active, Agent: agentName(i % 500), Since: long, EnteredAt: long, LastActivity: long, Subject: strings.Repeat("x", 1000+i%10)}
			ref.Found, ref.Cursor = true, []any{i + 1}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// counts is a transaction that keeps nothing.
type counts struct {
	channel.Tx
	n *atomic.Int64
}

func (c counts) PatchAt(string, time.Time, map[string]any) { c.n.Add(1) }
func (c counts) Patch(string, map[string]any)              {}
func (c counts) Set(string, any)                           {}

func (e endless) Write(_ context.Context, f func(channel.Tx)) error {
	f(counts{n: e.writes})
	return nil
}

// deaf is a bus that keeps nothing.
type deaf struct{}

func (deaf) Publish(context.Context, string, ...event.Message) error { return nil }

// TestSweepInFlatMemory holds that what a sweep needs does not grow with what
// is due: pages, not lists.
func TestSweepInFlatMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	peak := func(n int) uint64 {
		docs := endless{n: n, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), writes: &atomic.Int64{}}
		s := channel.Sweep{Docs: docs, Bus: deaf{}, Config: channel.NewConfiguration(docs), Now: func() time.Time { return docs.now }}
		grown := heap.Peak(func() {
			if err := s.Handle(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if moved := docs.writes.Load(); moved != int64(n) {
			t.Errorf("%d sessions moved of %d", moved, n)
		}
		return grown
	}
	peak(1000)
	few, many := peak(1000), peak(50_000) // which are 50 MB
	t.Logf("1,000 due: %d KB, 50,000 due: %d KB", few>>10, many>>10)
	if many > few+8<<20 {
		t.Errorf("the heap grows by %d KB for 1,000 sessions, and by %d KB for 50,000", few>>10, many>>10)
	}
}
