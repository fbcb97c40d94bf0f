package channel

import (
	"context"
	"errors"
	"fmt"
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

// drain assigns until nothing waits, nobody qualifies, or until was assigned:
// then no older session waits.
func (a *Assign) drain(ctx context.Context, queue, until string) error {
	for {
		h, err := a.next(ctx, queue)
		if err != nil {
			return fmt.Errorf("assign in queue %s: %w", queue, err)
		}
		if h == nil {
			return nil
		}
		if err := announce(ctx, a.Bus, a.Docs, "assign", *h); err != nil {
			return err
		}
		if h.Session == until {
			return nil
		}
	}
}

// next assigns the oldest waiting session of the queue to the agent who ranks
// first, in one transaction.
func (a *Assign) next(ctx context.Context, queue string) (*History, error) {
	cat, err := a.Config.Load(ctx)
	if err != nil {
		return nil, err
	}
	q, ok := cat.ByQueue[queue]
	now := a.Now().UTC()
	if !ok || !cat.Serving(queue) {
		return nil, nil
	}
	if _, ok := q.Assign.Queue(q.Hours.Open(now)); !ok {
		return nil, nil
	}
	var done *History
	err = a.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		done = nil
		waiting, err := find[Session](ctx, tx, Query{Collection: "sessions", Where: []Where{{"queue", "==", queue}, {"waiting", "==", true}}, Order: []Order{{Field: "waiting_since"}}, Limit: 1})
		if err != nil || len(waiting) == 0 {
			return err
		}
		agent, tried, err := first(ctx, tx, q, now)
		if err != nil || agent == nil {
			return err
		}
		h := give(tx, waiting[0], q, *agent, now)
		h.Inputs = append(h.Inputs, fmt.Sprintf("passed:%d", tried))
		tx.Set(historyPath(h.Session, h.ID), h)
		done = &h
		return nil
	})
	return done, err
}

// rankPage is how many agents are read at a time; the first mostly qualifies.
const rankPage = 3

// first returns the agent who ranks first among those who qualify, and how
// many ranked before him and did not.
func first(ctx context.Context, tx Tx, q Queue, now time.Time) (*Agent, int, error) {
	query := Query{
		Collection: "agents",
		Where:      []Where{{"queues", "array-contains", q.ID}, {"role", "==", "agent"}},
		Order:      []Order{{Field: "open"}, {Field: "last_assigned"}, {Field: "id"}},
		Limit:      rankPage,
	}
	if q.Assign.OnlyLoggedIn {
		query.Where = append(query.Where, Where{"logged_in", "==", true})
	}
	tried := 0
	for {
		agents, err := find[Agent](ctx, tx, query)
		if err != nil {
			return nil, tried, err
		}
		for _, ag := range agents {
			if _, ok := q.Assign.Agent(ag.rank(q, now)); ok {
				return &ag, tried, nil
			}
			tried++
		}
		if len(agents) < rankPage {
			return nil, tried, nil
		}
		last := agents[len(agents)-1]
		query.After = []any{last.Open, last.LastAssigned, last.ID}
	}
}

// rank is what package route needs of the agent.
func (ag Agent) rank(q Queue, now time.Time) route.Agent {
	r := route.Agent{ID: ag.ID, LoggedIn: ag.LoggedIn, Open: ag.Open, LastAssigned: ag.LastAssigned}
	if d := ag.Daily[q.ID]; d.Day == q.Hours.Day(now) {
		r.Today = d.N
	}
	return r
}

// give writes the assignment of s to the agent and returns its entry.
func give(tx Tx, s Session, q Queue, ag Agent, now time.Time) History {
	s.Agent, s.Waiting, s.UpdatedAt = ag.ID, false, now
	tx.Patch(sessionPath(s.ID), map[string]any{"agent": ag.ID, "waiting": false, "updated_at": now})
	fields := map[string]any{
		"last_assigned": now,
		"daily." + q.ID: Daily{Day: q.Hours.Day(now), N: ag.rank(q, now).Today + 1},
	}
	if session.Counted(s.State) {
		fields["open"] = Inc(1)
	}
	tx.Patch(agentPath(ag.ID), fields)
	h := entry(&s, session.KindAssigned, fmt.Sprintf("assigned-%d", now.UnixNano()), ActorChannel, now)
	h.To, h.Rule = ag.ID, "rank"
	h.Inputs = []string{fmt.Sprintf("open:%d", ag.Open), "last_assigned:" + ag.LastAssigned.Format(time.RFC3339), fmt.Sprintf("today:%d", ag.rank(q, now).Today)}
	return h
}
