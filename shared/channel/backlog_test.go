package channel_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/firestore"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/session"
	"emailchannel.dev/emailchannel/shared/store"
)

// backlog is a database with many sessions, of which some fall due at once.
// Between them are others in the same states that are too young.
type backlog struct {
	testing.TB
	srv      *firestore.Server
	docs     *store.Store
	bus      *deskBus
	now      time.Time
	sessions int
	agents   int
	every    int           // each of these many is due
	young    time.Duration // that what is not due yet lacks
}

// newBacklog makes one in which what is too young is so by a second.
func newBacklog(t testing.TB, sessions, due, agents int) *backlog {
	t.Helper()
	b := emptyBacklog(t, sessions, due, agents)
	b.fill()
	return b
}

func emptyBacklog(t testing.TB, sessions, due, agents int) *backlog {
	t.Helper()
	b := &backlog{TB: t, young: time.Second, bus: &deskBus{sent: map[string][]event.Message{}}, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), sessions: sessions, agents: agents, every: sessions / due}
	b.srv, _, b.docs = database(t)
	b.fill()
	return b
}

// fill writes what there is before the sweep.
func (b *backlog) fill() {
	b.Helper()
	settings := channel.Defaults()
	settings.Email = true
	b.write(1, func(tx channel.Tx, _ int) { tx.Set("settings/channel", settings) })
	open := make([]atomic.Int64, b.agents)
	b.write(b.sessions, func(tx channel.Tx, i int) {
		s := b.before(i)
		if s.Agent != "" && session.Counted(s.State) {
			open[i%b.agents].Add(1)
		}
		tx.Set("sessions/"+s.ID, s)
	})
	b.write(b.agents, func(tx channel.Tx, i int) {
		a := channel.Agent{ID: agentName(i), Role: "agent", Open: int(open[i].Load())}
		tx.Set("agents/"+a.ID, a)
	})
}

func agentName(i int) string { return fmt.Sprintf("agent-%d@example.com", i) }

func (b *backlog) due() int { return b.sessions / b.every }

// before is session i as the sweep finds it.
func (b *backlog) before(i int) channel.Session {
	s := channel.Session{ID: fmt.Sprintf("%011d", i), Queue: fmt.Sprintf("queue-%d", i%5), Subject: "Broken lamp", Messages: 3, CreatedAt: b.now.Add(-400 * day)}
	if i%7 > 0 {
		s.Agent = agentName(i % b.agents)
	}
	threshold := map[session.State]time.Duration{session.Active: 30 * day, session.Paused: 60 * day, session.Resolved: 30 * day, session.Unopened: 300 * day, session.Reopened: 300 * day, session.Closed: 300 * day}
	timed := []session.State{session.Active, session.Paused, session.Resolved}
	n := i / b.every
	if i%b.every == 0 && n < b.due() {
		s.State = timed[n%3]
		s.Since = b.now.Add(-threshold[s.State] - time.Duration(n%4)*day) // many at the same instant, more than a page
	} else {
		s.State = append(session.States(), session.Closed, session.Closed, session.Closed)[i%9]
		s.Since = b.now.Add(b.young - threshold[s.State])
	}
	s.EnteredAt, s.LastActivity, s.UpdatedAt = s.Since, s.Since, s.Since
	return s
}

// write makes n writes as fast as it goes, several in a commit.
func (b *backlog) write(n int, one func(tx channel.Tx, i int)) {
	b.Helper()
	const batch, writers = 400, 4
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for from := int(next.Add(batch)) - batch; from < n; from = int(next.Add(batch)) - batch {
				err := b.docs.Write(context.Background(), func(tx channel.Tx) {
					for i := range min(batch, n-from) {
						one(tx, from+i)
					}
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// sweep is one over the documents as a test lets it see them.
func (b *backlog) sweep(docs channel.Docs) *channel.Sweep {
	return &channel.Sweep{Docs: docs, Bus: b.bus, Config: channel.NewConfiguration(docs), Now: func() time.Time { return b.now }}
}

// ops are the database's operations since the last call.
func (b *backlog) ops() firestore.Ops {
	var sum firestore.Ops
	for _, o := range b.srv.Stats() {
		sum.Reads += o.Reads
		sum.Writes += o.Writes
		sum.Deletes += o.Deletes
	}
	b.srv.ResetStats()
	return sum
}

// moved holds that each due session was moved once, with all that belongs to
// it, and no other; left names those that could not be.
func (b *backlog) moved(left ...string) {
	b.Helper()
	to := map[session.State]session.State{session.Active: session.Paused, session.Paused: session.Closed, session.Resolved: session.Closed}
	want := map[string]channel.Session{}
	open := map[string]int{}
	for i := range b.sessions {
		s := b.before(i)
		if s.Agent != "" && session.Counted(s.State) {
			open[s.Agent]++
		}
		if i%b.every == 0 && i/b.every < b.due() {
			want[s.ID] = s
		}
	}
	for _, id := range left {
		delete(want, id)
	}
	entries := map[string]int{}
	find(b, channel.Query{Collection: "history", Group: true}, func(h channel.History) {
		before := want[h.Session]
		if h.From != string(before.State) || h.To != string(to[before.State]) || h.Agent != before.Agent || h.Actor != channel.ActorChannel || !h.At.Equal(b.now) || !h.Due.IsZero() {
			b.Errorf("an entry of session %s, which was %s: %+v", h.Session, before.State, h)
		}
		if entries[h.Session]++; entries[h.Session] > 1 {
			b.Errorf("session %s was moved %d times", h.Session, entries[h.Session])
		}
	})
	changed := 0
	find(b, channel.Query{Collection: "sessions", Where: []channel.Where{{Field: "updated_at", Op: ">=", Value: b.now}}, Order: []channel.Order{{Field: "updated_at"}}}, func(s channel.Session) {
		before, due := want[s.ID]
		if changed++; !due || entries[s.ID] != 1 {
			b.Errorf("session %s was moved with %d entries, and is due: %t", s.ID, entries[s.ID], due)
		}
		since := b.now
		if s.State == session.Closed {
			since = before.LastActivity
		}
		if s.State != to[before.State] || !s.EnteredAt.Equal(b.now) || !s.Since.Equal(since) || !s.LastActivity.Equal(before.LastActivity) || s.Subject != before.Subject || s.Agent != before.Agent {
			b.Errorf("%s session %s became %+v", before.State, s.ID, s)
		}
		if s.Agent != "" && before.State == session.Active {
			open[s.Agent]--
		}
	})
	if changed != len(want) || len(entries) != len(want) {
		b.Errorf("%d sessions were moved, with %d entries, of %d that were due", changed, len(entries), len(want))
	}
	find(b, channel.Query{Collection: "agents"}, func(a channel.Agent) {
		if a.Open != open[a.ID] {
			b.Errorf("%s counts %d open sessions and has %d", a.ID, a.Open, open[a.ID])
		}
	})
}

// find calls each for the documents of a query.
func find[T any](b *backlog, q channel.Query, each func(T)) {
	b.Helper()
	err := b.docs.Find(b.Context(), q, func(_ string, decode func(any) error) error {
		var v T
		if err := decode(&v); err != nil {
			return err
		}
		each(v)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// pagewise refuses to read more than a page: what a function holds in memory
// must not grow with what is due.
type pagewise struct{ *store.Store }

func (p pagewise) Find(ctx context.Context, q channel.Query, each func(string, func(any) error) error) error {
	settings := q.Collection == "accounts" || q.Collection == "queues"
	if !settings && (q.Limit < 1 || q.Limit > 200) {
		return fmt.Errorf("a query of %s without a bound: %+v", q.Collection, q)
	}
	return p.Store.Find(ctx, q, each)
}
