package channel_test

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"strings"
	"sync"
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

// TestSweepGoesOnPastFailures holds that sessions which cannot be moved, more
// than a page, are told of and in nobody's way.
func TestSweepGoesOnPastFailures(t *testing.T) {
	b := newBacklog(t, 3_000, 1_000, 50)
	var left []string
	var writes []func(channel.Tx)
	for i := range b.sessions {
		if s := b.before(i); i%b.every == 0 && s.State == session.Active && s.Agent != "" && i%b.agents%4 > 0 {
			left = append(left, s.ID)
			writes = append(writes, func(tx channel.Tx) { tx.Delete("agents/" + s.Agent) })
		}
	}
	b.write(writes)
	if len(left) <= 200 {
		t.Fatalf("only %d sessions fail", len(left))
	}
	b.ops()
	err := b.sweep(b.docs).Handle(t.Context())
	if err == nil || strings.Count(err.Error(), "timer_pause of session ") != 10 || !strings.Contains(err.Error(), "errors more") {
		t.Errorf("%d sessions without an agent's document: %v", len(left), err)
	}
	if ops := b.ops(); float64(ops.Reads) > readsPerDue*float64(b.due()) {
		t.Errorf("%d reads for %d sessions", ops.Reads, b.due())
	}
	b.moved(left...)
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

// TestSweepTwiceAtTheSameTime holds that of many sweeps at once each due
// session is moved by one.
func TestSweepTwiceAtTheSameTime(t *testing.T) {
	b := newBacklog(t, 3_000, 1_000, 20)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 2 {
				if err := b.sweep(b.docs).Handle(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.moved()
	b.announced()
}

// TestSweepResumesAfterACrash ends a sweep, with all that it does at the same
// time, at its first move or announcement; the next does the rest.
func TestSweepResumesAfterACrash(t *testing.T) {
	for _, step := range []string{"sweep.moved", "sweep.committed", "sweep.published"} {
		t.Run(step, func(t *testing.T) {
			b := newBacklog(t, 1_500, 500, 20)
			b.young = time.Hour
			b.fill()
			if _, died := kill(t.Context(), step, b.sweep(b.docs).Handle); !died {
				t.Fatalf("%s was not reached, or the sweep went on", step)
			}
			if n := b.bus.count(event.TopicFlush); n > 0 {
				t.Error("the sweep went on to its end")
			}
			b.now = b.now.Add(2 * time.Minute) // what was not announced is overdue
			if err := b.sweep(b.docs).Handle(t.Context()); err != nil {
				t.Fatal(err)
			}
			entries := map[string]int{}
			find(b, channel.Query{Collection: "history", Group: true}, func(h channel.History) {
				if entries[h.Session]++; !h.Due.IsZero() {
					t.Errorf("not announced: %+v", h)
				}
			})
			for id, n := range entries {
				if n != 1 {
					t.Errorf("session %s was moved %d times", id, n)
				}
			}
			if n := b.bus.count(event.TopicSession); len(entries) != b.due() || n < b.due() {
				t.Errorf("%d sessions were moved, and %d events published, of %d", len(entries), n, b.due())
			}
		})
	}
}

// TestSweepFollowsTheSettingsOfToday changes what a sweep goes by from one run
// to the next, over the same sessions (SE-4, SE-7, CH-1).
func TestSweepFollowsTheSettingsOfToday(t *testing.T) {
	b := newBacklog(t, 0, 1, 0) // an empty one
	long := b.now.Add(-20 * day)
	states := []session.State{session.Active, session.Paused, session.Resolved}
	for _, st := range states {
		b.write([]func(channel.Tx){func(tx channel.Tx) {
			tx.Set("sessions/"+string(st), channel.Session{ID: string(st), State: st, Since: long, EnteredAt: long, LastActivity: long})
		}})
	}
	on := func(days int) session.Threshold { return session.Threshold{On: true, Days: days} }
	off := session.Threshold{Days: 1}
	for _, step := range []struct {
		name    string
		on      bool
		set     session.Settings
		moved   session.State // the one that this sweep moves
		becomes session.State
	}{
		{"longer than they are old", true, session.Settings{PausedClose: on(21), ResolvedClose: on(1000), ActivePause: on(21), ClosedReopen: on(30)}, "", ""},
		{"all timers off", true, session.Settings{PausedClose: off, ResolvedClose: off, ActivePause: off, ClosedReopen: off}, "", ""},
		{"the channel OFF", false, session.Settings{PausedClose: on(1), ResolvedClose: on(1), ActivePause: on(1), ClosedReopen: on(1)}, "", ""},
		{"one shorter", true, session.Settings{PausedClose: on(21), ResolvedClose: on(20), ActivePause: on(21), ClosedReopen: on(30)}, session.Resolved, session.Closed},
		{"one switched on", true, session.Settings{PausedClose: on(1), ResolvedClose: off, ActivePause: off, ClosedReopen: off}, session.Paused, session.Closed},
		{"the last one", true, session.Settings{PausedClose: on(1), ResolvedClose: on(1), ActivePause: on(20), ClosedReopen: on(1)}, session.Active, session.Paused},
		{"nothing left", true, session.Settings{PausedClose: on(1), ResolvedClose: on(1), ActivePause: on(1), ClosedReopen: on(1)}, "", ""},
	} {
		look := func() map[session.State]session.State {
			now := map[session.State]session.State{}
			find(b, channel.Query{Collection: "sessions"}, func(s channel.Session) { now[session.State(s.ID)] = s.State })
			return now
		}
		before := look()
		set := channel.Defaults()
		set.Email, set.Session = step.on, step.set
		b.write([]func(channel.Tx){func(tx channel.Tx) { tx.Set("settings/channel", set) }})
		if err := b.sweep(b.docs).Handle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if step.moved != "" {
			before[step.moved] = step.becomes
		}
		if after := look(); !maps.Equal(before, after) {
			t.Errorf("%s: %v, want %v", step.name, after, before)
		}
	}
}
