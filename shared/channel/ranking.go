package channel

import (
	"context"
	"fmt"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/route"
	"emailchannel.dev/emailchannel/shared/session"
)

// How many agents are read at a time: the first mostly qualifies; where most
// are at their limit, pages grow.
const (
	rankPage = 3
	rankMost = 300
)

// ranking is the order of a queue's agents within a transaction. Agents are
// read in that order and only as many as are needed: one who was given a
// session falls back, and whoever was not read yet ranks after the last read.
type ranking struct {
	tx       Tx
	queue    Queue
	presence Presence
	clock    Clock
	now      time.Time   // of the decision under way
	agents   []*Agent    // read so far
	size     int         // of the page read last
	last     route.Agent // the last one read, as it was read
	more     []any       // where the next page starts
	ended    bool
	writes   []func()
}

// first returns the agent who ranks first among those who qualify, nil when
// nobody does. All reads come before the writes that save makes.
//
// The time is taken after each read. By then the agents are locked, so that
// who was assigned something by an earlier commit was so at an earlier time.
func (r *ranking) first(ctx context.Context) (*Agent, error) {
	for {
		r.tick()
		if _, ok := r.queue.Assign.Queue(r.queue.Hours.Open(r.now)); !ok {
			return nil, nil
		}
		best := r.best()
		if r.ended || best != nil && route.Compare(r.rank(best), r.last) <= 0 {
			return best, nil
		}
		if err := r.read(ctx); err != nil {
			return nil, err
		}
	}
}

// tick takes the time, to the database's precision and never the same twice:
// of two assignments of a transaction one is the earlier.
func (r *ranking) tick() {
	now := r.clock().UTC().Truncate(time.Microsecond)
	if !now.After(r.now) {
		now = r.now.Add(time.Microsecond)
	}
	r.now = now
}

// best is the first among those who were read and qualify, nil if none does.
func (r *ranking) best() *Agent {
	var best *Agent
	for _, ag := range r.agents {
		if _, ok := r.queue.Assign.Agent(r.rank(ag)); ok && (best == nil || route.Compare(r.rank(ag), r.rank(best)) < 0) {
			best = ag
		}
	}
	return best
}

func (r *ranking) read(ctx context.Context) error {
	r.size = min(max(rankPage, 2*r.size), rankMost)
	q := Query{
		Collection: "agents",
		Where:      []Where{{"queues", "array-contains", r.queue.ID}, {"role", "==", "agent"}},
		Order:      []Order{{Field: "open"}, {Field: "last_assigned"}, {Field: "id"}},
		Limit:      r.size, After: r.more,
	}
	if r.queue.Assign.OnlyLoggedIn {
		q.Where = append(q.Where, Where{"logged_in", "==", true}, Where{"status", "in", r.presence.taking()})
	}
	page, err := find[Agent](ctx, r.tx, q)
	if err != nil {
		return err
	}
	for i := range page {
		r.agents = append(r.agents, &page[i])
	}
	r.ended = len(page) < r.size
	if n := len(page); n > 0 {
		r.last = r.rank(&page[n-1])
		r.more = []any{page[n-1].Open, page[n-1].LastAssigned, page[n-1].ID}
	}
	return nil
}

func (r *ranking) rank(ag *Agent) route.Agent { return ag.rank(r.queue, r.presence, r.now) }

// rank is what package route needs of the agent.
func (ag Agent) rank(q Queue, p Presence, now time.Time) route.Agent {
	r := route.Agent{ID: ag.ID, LoggedIn: p.here(ag, now), Open: ag.Open, LastAssigned: ag.LastAssigned}
	r.Away = r.LoggedIn && !slices.Contains(p.taking(), string(ag.Status))
	if d := ag.Daily[q.ID]; d.Day == q.Hours.Day(ag.assigned(now)) {
		r.Today = d.N
	}
	return r
}

// assigned is when the agent is assigned something at now: after the last
// time, however far apart the clocks of two instances are, or he would be put
// before those who had nothing for longer, and his day might begin twice.
func (ag Agent) assigned(now time.Time) time.Time {
	now = now.UTC().Truncate(time.Microsecond)
	if next := ag.LastAssigned.Add(time.Microsecond); now.Before(next) {
		return next
	}
	return now
}

// give assigns s to the agent and returns the entry. Nothing is written before
// save: the next agent may have to be read.
func (r *ranking) give(s Session, ag *Agent) History {
	rank, at := r.rank(ag), ag.assigned(r.now)
	s.Agent, s.Waiting = ag.ID, false
	h := entry(&s, session.KindAssigned, fmt.Sprintf("assigned-%d", at.UnixNano()), ActorChannel, at)
	h.To, h.Rule = ag.ID, "rank"
	h.Inputs = r.inputs(rank, at)
	r.writes = append(r.writes, func() {
		r.tx.Patch(sessionPath(s.ID), map[string]any{"agent": ag.ID, "waiting": false, "updated_at": at})
		r.tx.Set(historyPath(h.Session, h.ID), h)
	})
	if session.Counted(s.State) {
		ag.Open++
	}
	ag.LastAssigned = at
	if ag.Daily == nil {
		ag.Daily = map[string]Daily{}
	}
	ag.Daily[r.queue.ID] = Daily{Day: r.queue.Hours.Day(at), N: rank.Today + 1}
	ag.given = true
	return h
}

func (r *ranking) save() {
	for _, w := range r.writes {
		w()
	}
	for _, ag := range r.agents {
		if ag.given {
			r.tx.Patch(agentPath(ag.ID), map[string]any{"open": ag.Open, "last_assigned": ag.LastAssigned, "daily." + r.queue.ID: ag.Daily[r.queue.ID]})
		}
	}
}
