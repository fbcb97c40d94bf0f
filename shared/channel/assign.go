package channel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/route"
	"emailchannel.dev/emailchannel/shared/session"
)

// Assign gives waiting sessions to agents, oldest first (AS-1 … AS-6). It runs
// in order per queue; the transaction makes the rank exact all the same.
type Assign struct {
	Docs   Docs
	Bus    Bus
	Config *Configuration
	Now    Clock
}

// Session assigns after something happened to a session.
func (a *Assign) Session(ctx context.Context, e event.Session) error {
	return a.drain(ctx, e.Queue, e.Session)
}

// Queue drains one queue, or with an empty name all: somebody may qualify now.
func (a *Assign) Queue(ctx context.Context, e event.Queue) error {
	if e.Queue != "" {
		return a.drain(ctx, e.Queue, "")
	}
	cat, err := a.Config.Load(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for id := range cat.ByQueue {
		errs = append(errs, a.drain(ctx, id, ""))
	}
	return errors.Join(errs...)
}

// drain assigns until nothing waits or nobody qualifies; when it was called
// for one session, until that has an agent: then no older one waits.
func (a *Assign) drain(ctx context.Context, queue, until string) error {
	for {
		entries, lost, err := a.round(ctx, queue)
		if err != nil {
			return fmt.Errorf("assign in queue %s: %w", queue, err)
		}
		if err := announce(ctx, a.Bus, a.Docs, "assign", entries...); err != nil {
			return err
		}
		if len(entries) == 0 && !lost || slices.ContainsFunc(entries, func(h History) bool { return h.Session == until }) {
			return nil
		}
	}
}

// roundSize is how many waiting sessions one transaction assigns.
const roundSize = 10

// round assigns the oldest waiting sessions of the queue, each to the agent
// who ranks first by then, in one transaction. All of them are lost when
// another round took them meanwhile; younger ones may wait behind them.
func (a *Assign) round(ctx context.Context, queue string) (done []History, lost bool, err error) {
	cat, err := a.Config.Load(ctx)
	if err != nil {
		return nil, false, err
	}
	q, ok := cat.ByQueue[queue]
	now := a.Now().UTC()
	if !ok || !cat.Serving(queue) {
		return nil, false, nil
	}
	if _, ok := q.Assign.Queue(q.Hours.Open(now)); !ok {
		return nil, false, nil
	}
	waiting, err := find[Session](ctx, a.Docs, Query{Collection: "sessions", Where: []Where{{"queue", "==", queue}, {"waiting", "==", true}}, Order: []Order{{Field: "waiting_since"}}, Limit: roundSize})
	if err != nil || len(waiting) == 0 {
		return nil, false, err
	}
	err = a.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		done = nil
		sessions, err := stillWaiting(ctx, tx, waiting, queue)
		if lost = len(sessions) == 0; err != nil || lost {
			return err
		}
		r := ranking{tx: tx, queue: q, now: now}
		for i, s := range sessions {
			ag, err := r.first(ctx)
			if err != nil || ag == nil {
				r.save()
				return err
			}
			h := r.give(s, ag, now.Add(time.Duration(i)*time.Microsecond))
			done = append(done, h)
		}
		r.save()
		return nil
	})
	return done, lost, err
}

// stillWaiting reads the sessions again, in the transaction.
func stillWaiting(ctx context.Context, tx Tx, found []Session, queue string) ([]Session, error) {
	docs, refs := make([]Session, len(found)), make([]*Ref, len(found))
	for i, s := range found {
		refs[i] = &Ref{Path: sessionPath(s.ID), Into: &docs[i]}
	}
	if err := tx.Get(ctx, refs...); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(docs, func(s Session) bool { return !s.Waiting || s.Queue != queue || s.Agent != "" }), nil
}

// rankPage is how many agents are read at a time; the first mostly qualifies.
const rankPage = 3

// ranking is the order of a queue's agents within a transaction. Agents are
// read in that order and only as many as are needed: one who was given a
// session falls back, and whoever was not read yet ranks after the last read.
type ranking struct {
	tx     Tx
	queue  Queue
	now    time.Time
	agents []*Agent    // read so far
	last   route.Agent // the last one read, as it was read
	more   []any       // where the next page starts
	ended  bool
	writes []func()
}

// first returns the agent who ranks first among those who qualify, nil when
// nobody does. All reads come before the writes that save makes.
func (r *ranking) first(ctx context.Context) (*Agent, error) {
	for {
		var best *Agent
		for _, ag := range r.agents {
			if _, ok := r.queue.Assign.Agent(ag.rank(r.queue, r.now)); ok && (best == nil || route.Compare(ag.rank(r.queue, r.now), best.rank(r.queue, r.now)) < 0) {
				best = ag
			}
		}
		if r.ended || best != nil && route.Compare(best.rank(r.queue, r.now), r.last) <= 0 {
			return best, nil
		}
		if err := r.read(ctx); err != nil {
			return nil, err
		}
	}
}

func (r *ranking) read(ctx context.Context) error {
	q := Query{
		Collection: "agents",
		Where:      []Where{{"queues", "array-contains", r.queue.ID}, {"role", "==", "agent"}},
		Order:      []Order{{Field: "open"}, {Field: "last_assigned"}, {Field: "id"}},
		Limit:      rankPage, After: r.more,
	}
	if r.queue.Assign.OnlyLoggedIn {
		q.Where = append(q.Where, Where{"logged_in", "==", true})
	}
	page, err := find[Agent](ctx, r.tx, q)
	if err != nil {
		return err
	}
	for i := range page {
		r.agents = append(r.agents, &page[i])
	}
	r.ended = len(page) < rankPage
	if n := len(page); n > 0 {
		r.last = page[n-1].rank(r.queue, r.now)
		r.more = []any{page[n-1].Open, page[n-1].LastAssigned, page[n-1].ID}
	}
	return nil
}

// rank is what package route needs of the agent.
func (ag Agent) rank(q Queue, now time.Time) route.Agent {
	r := route.Agent{ID: ag.ID, LoggedIn: ag.LoggedIn, Open: ag.Open, LastAssigned: ag.LastAssigned}
	if d := ag.Daily[q.ID]; d.Day == q.Hours.Day(now) {
		r.Today = d.N
	}
	return r
}

// give assigns s to the agent and returns the entry. Nothing is written before
// save: the next agent may have to be read.
func (r *ranking) give(s Session, ag *Agent, at time.Time) History {
	rank := ag.rank(r.queue, r.now)
	s.Agent, s.Waiting = ag.ID, false
	h := entry(&s, session.KindAssigned, fmt.Sprintf("assigned-%d", at.UnixNano()), ActorChannel, at)
	h.To, h.Rule = ag.ID, "rank"
	h.Inputs = []string{fmt.Sprintf("open:%d", rank.Open), "last_assigned:" + rank.LastAssigned.Format(time.RFC3339), fmt.Sprintf("today:%d", rank.Today)}
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
	ag.Daily[r.queue.ID] = Daily{Day: r.queue.Hours.Day(r.now), N: rank.Today + 1}
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
