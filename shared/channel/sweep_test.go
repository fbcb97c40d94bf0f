package channel_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/session"
)

// TestSweepGoesOnPastFailures holds that sessions which cannot be moved, more
// than a page, are told of and in nobody's way.
func TestSweepGoesOnPastFailures(t *testing.T) {
	b := newBacklog(t, 3_000, 1_000, 50)
	var left, agents []string
	for i := range b.sessions {
		if s := b.before(i); i%b.every == 0 && s.State == session.Active && s.Agent != "" && i%b.agents%4 > 0 {
			left = append(left, s.ID)
			agents = append(agents, s.Agent)
		}
	}
	slices.Sort(agents)
	agents = slices.Compact(agents)
	b.write(len(agents), func(tx channel.Tx, i int) { tx.Delete("agents/" + agents[i]) })
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

// TestSweepTwiceAtTheSameTime holds that of many sweeps at once each due
// session is moved by one.
func TestSweepTwiceAtTheSameTime(t *testing.T) {
	b := newBacklog(t, 1_500, 600, 20)
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
			b := emptyBacklog(t, 600, 200, 20)
			b.young = time.Hour
			b.fill()
			if _, died := kill(t.Context(), step, b.sweep(b.docs).Handle); !died {
				t.Fatalf("%s was not reached, or the sweep went on", step)
			}
			if n := b.bus.count(event.TopicFlush); n > 0 {
				t.Error("the sweep went on to its end")
			}
			b.now = b.now.Add(2 * time.Minute) // what was not announced is overdue
			var entries map[string]int
			left := 1
			for i := 0; left > 0 && i < 10; i++ { // a commit of the dead one may still be on its way to the database
				if err := b.sweep(b.docs).Handle(t.Context()); err != nil {
					t.Fatal(err)
				}
				entries, left = map[string]int{}, 0
				find(b, channel.Query{Collection: "history", Group: true}, func(h channel.History) {
					if entries[h.Session]++; !h.Due.IsZero() {
						left++
					}
				})
			}
			for id, n := range entries {
				if n != 1 {
					t.Errorf("session %s was moved %d times", id, n)
				}
			}
			if n := b.bus.count(event.TopicSession); left > 0 || len(entries) != b.due() || n < b.due() {
				t.Errorf("%d sessions were moved, %d events published and %d not, of %d", len(entries), n, left, b.due())
			}
		})
	}
}

// TestSweepFollowsTheSettingsOfToday changes what a sweep goes by from one run
// to the next, over the same sessions (SE-4, SE-7, CH-1).
func TestSweepFollowsTheSettingsOfToday(t *testing.T) {
	b := emptyBacklog(t, 0, 1, 0)
	b.fill()
	long := b.now.Add(-20 * day)
	states := []session.State{session.Active, session.Paused, session.Resolved}
	b.write(len(states), func(tx channel.Tx, i int) {
		st := states[i]
		tx.Set("sessions/"+string(st), channel.Session{ID: string(st), State: st, Since: long, EnteredAt: long, LastActivity: long})
	})
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
		b.write(1, func(tx channel.Tx, _ int) { tx.Set("settings/channel", set) })
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
