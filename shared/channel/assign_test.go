package channel_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/route"
	"emailchannel.dev/emailchannel/shared/session"
)

// assigner is the use case over the test's database.
func (d *desks) assigner() *channel.Assign {
	return &channel.Assign{Docs: d.docs, Bus: d.bus, Config: d.fresh(), Now: d.clock}
}

// put changes a queue of the demo.
func (d *desks) put(queue string, change func(*channel.Queue)) {
	d.Helper()
	q := doc[channel.Queue](d, "queues/"+queue)
	change(&q)
	if _, err := d.admin.PutQueue(d.Context(), q); err != nil {
		d.Fatal(err)
	}
}

// drain assigns what waits in a queue, or in all.
func (d *desks) drain(a *channel.Assign, queue string) {
	d.Helper()
	if err := a.Queue(d.Context(), event.Queue{Queue: queue}); err != nil {
		d.Fatal(err)
	}
}

// assignment is the entry of a session's last assignment.
func (d *desks) assignment(id string) channel.History {
	d.Helper()
	p, err := d.read.History(d.Context(), sam, id, channel.PageRequest{})
	if err != nil {
		d.Fatal(err)
	}
	slices.Reverse(p.Items)
	return p.Items[slices.IndexFunc(p.Items, func(h channel.History) bool { return h.Kind == session.KindAssigned })]
}

// hurdle lets something else happen before a transaction begins.
type hurdle struct {
	channel.Docs
	before func()
}

func (h *hurdle) Update(ctx context.Context, f func(context.Context, channel.Tx) error) error {
	if before := h.before; before != nil {
		h.before = nil
		before()
	}
	return h.Docs.Update(ctx, f)
}

// An agent who serves two queues is assigned something in one while a
// transaction of the other is held up: his last assignment is not set back.
func TestLastAssignedNeverGoesBack(t *testing.T) {
	d := newDesks(t)
	for _, id := range []string{"support", "billing"} {
		d.put(id, func(q *channel.Queue) {
			q.Teams, q.Agents, q.Assign = nil, []string{ana.ID}, route.Policy{On: true}
		})
	}
	slow, fast := d.inbound("support"), d.inbound("billing")
	a := d.assigner()
	a.Docs = &hurdle{Docs: d.docs, before: func() { d.drain(d.assigner(), "billing") }}
	d.drain(a, "support")
	first, second := d.assignment(fast), d.assignment(slow)
	if !second.At.After(first.At) {
		t.Errorf("assigned at %s, after one at %s", second.At, first.At)
	}
	if got := doc[channel.Agent](d, "agents/"+ana.ID).LastAssigned; !got.Equal(second.At) {
		t.Errorf("last assigned %s, not %s", got, second.At)
	}
	if want := "last_assigned:" + first.At.Format(time.RFC3339Nano); !slices.Contains(second.Inputs, want) {
		t.Errorf("inputs %v, want %s", second.Inputs, want)
	}
}

// Another instance's clock may be ahead.
func TestAssignedAfterAClockThatIsAhead(t *testing.T) {
	d := newDesks(t)
	ahead := d.clock().Add(time.Hour)
	for _, who := range []channel.Actor{ana, ben} {
		if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
			tx.Patch("agents/"+who.ID, map[string]any{"last_assigned": ahead})
		}); err != nil {
			t.Fatal(err)
		}
	}
	last := func(who channel.Actor) time.Time { return doc[channel.Agent](d, "agents/"+who.ID).LastAssigned }
	d.put("support", func(q *channel.Queue) { q.Assign.On = true })
	id := d.inbound("support")
	d.drain(d.assigner(), "support")
	if got := d.session(id).Agent; got != ana.ID || !last(ana).After(ahead) {
		t.Errorf("%s, last assigned %s", got, last(ana))
	}
	d.ok(d.desk.Assign(t.Context(), sam, id, ben.ID))
	if !last(ben).After(ahead) {
		t.Errorf("by hand: %s is not after %s", last(ben), ahead)
	}
}

// A transaction whose queue closes meanwhile assigns nothing.
func TestNothingIsAssignedAfterClosing(t *testing.T) {
	d := newDesks(t)
	closes := d.now.Truncate(24 * time.Hour).Add(10 * time.Hour)
	d.put("support", func(q *channel.Queue) {
		q.Assign = route.Policy{On: true, OnlyInHours: true}
		q.Hours = open(closes.Add(-2*time.Hour), closes)
	})
	id := d.inbound("support")
	a := d.assigner()
	a.Docs = &hurdle{Docs: d.docs, before: func() { d.pass(closes.Sub(d.clock())) }}
	d.drain(a, "support")
	if s := d.session(id); s.Agent != "" || !s.Waiting {
		t.Errorf("assigned to %s", s.Agent)
	}
}

// Many at their limit do not make a transaction of a thousand reads.
func TestTheFirstWhoQualifiesIsFoundBehindMany(t *testing.T) {
	d := newDesks(t)
	const busy = 700
	day := d.clock().Format(time.DateOnly)
	for from := 0; from < busy; from += 350 {
		if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
			for i := range 350 {
				ag := channel.Agent{ID: "busy-" + strings.Repeat("x", i%5) + time.Duration(from+i).String() + "@example.com", Role: "agent", Queues: []string{"support"}, Daily: map[string]channel.Daily{"support": {Day: day, N: 1}}}
				tx.Set("agents/"+ag.ID, ag)
			}
			tx.Patch("agents/"+ben.ID, map[string]any{"open": 5})
			tx.Patch("agents/"+ana.ID, map[string]any{"open": 6})
		}); err != nil {
			t.Fatal(err)
		}
	}
	d.put("support", func(q *channel.Queue) { q.Assign = route.Policy{On: true, DailyLimit: 1} })
	first, second, third := d.inbound("support"), d.inbound("support"), d.inbound("support")
	counted := &finds{Docs: d.docs}
	a := d.assigner()
	a.Docs = counted
	d.drain(a, "support")
	if got := []string{d.session(first).Agent, d.session(second).Agent, d.session(third).Agent}; !slices.Equal(got, []string{ben.ID, ana.ID, ""}) {
		t.Errorf("assigned to %v", got)
	}
	if counted.n > 30 { // two transactions, doubling pages
		t.Errorf("%d queries", counted.n)
	}
}

// finds counts the queries of transactions.
type finds struct {
	channel.Docs
	n int
}

func (f *finds) Update(ctx context.Context, do func(context.Context, channel.Tx) error) error {
	return f.Docs.Update(ctx, func(ctx context.Context, tx channel.Tx) error { return do(ctx, &findsTx{tx, f}) })
}

type findsTx struct {
	channel.Tx
	of *finds
}

func (t *findsTx) Find(ctx context.Context, q channel.Query, each func(string, func(any) error) error) error {
	t.of.n++
	return t.Tx.Find(ctx, q, each)
}

// The daily limit ends with the queue's calendar day, also where clocks skip
// midnight (Cairo, 24 April 2026) or pass it twice (29 October).
func TestTheDayEndsWithDaylightSaving(t *testing.T) {
	for name, ends := range map[string]time.Time{
		"midnight is skipped":          time.Date(2026, 4, 23, 22, 0, 0, 0, time.UTC),
		"the last hour is lived twice": time.Date(2026, 10, 29, 22, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesks(t)
			d.put("support", func(q *channel.Queue) {
				q.Teams, q.Agents = nil, []string{ana.ID}
				q.Assign, q.Hours.Zone = route.Policy{On: true, DailyLimit: 1}, "Africa/Cairo"
			})
			d.pass(ends.Add(-90 * time.Minute).Sub(d.now)) // before the first of two midnights
			a := d.assigner()
			first, second := d.inbound("support"), d.inbound("support")
			d.drain(a, "")
			if d.session(first).Agent != ana.ID || d.session(second).Agent != "" {
				t.Fatalf("the first has %q, the second %q", d.session(first).Agent, d.session(second).Agent)
			}
			d.pass(ends.Add(-30 * time.Second).Sub(d.now))
			d.drain(a, "")
			if got := d.session(second).Agent; got != "" {
				t.Errorf("assigned to %s before the day ended", got)
			}
			d.pass(ends.Sub(d.now))
			d.drain(a, "")
			if d.session(second).Agent != ana.ID {
				t.Error("not assigned on the next day")
			}
		})
	}
}

// open are the hours of one day of each week, in UTC.
func open(from, to time.Time) hours.Hours {
	at := func(t time.Time) hours.TimeOfDay { return hours.TimeOfDay(t.Hour()*60 + t.Minute()) }
	return hours.Hours{Zone: "UTC", Week: []hours.Interval{{Day: from.Weekday(), From: at(from), To: at(to)}}}
}

// Two instances whose clocks differ a little do not begin the day twice at midnight (AS-5).
func TestMidnightOfTwoClocks(t *testing.T) {
	d := newDesks(t)
	d.put("billing", func(q *channel.Queue) { q.Assign = route.Policy{On: true, DailyLimit: 2} })
	var ids []string
	for range 4 {
		ids = append(ids, d.inbound("billing"))
		d.pass(time.Second)
	}
	midnight := time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
	for i, at := range []time.Duration{20 * time.Millisecond, -20 * time.Millisecond, 40 * time.Millisecond, 60 * time.Millisecond} {
		a := d.assigner()
		a.Now = func() time.Time { return midnight.Add(at) }
		others := ids[i+1:]
		d.waiting(others, false)
		d.drain(a, "billing")
		d.waiting(others, true)
	}
	for i, id := range ids {
		if got := d.session(id).Agent != ""; got != (i < 2) {
			t.Errorf("session %d is assigned: %v", i, got)
		}
	}
}

// waiting has sessions wait, or not.
func (d *desks) waiting(ids []string, yes bool) {
	d.Helper()
	for _, id := range ids {
		d.set("sessions/"+id, map[string]any{"waiting": yes})
	}
}
