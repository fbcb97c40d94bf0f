package channel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"emailchannel.dev/emailchannel/shared/event"
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
// A setting may have changed, so the settings are read anew.
func (a *Assign) Queue(ctx context.Context, e event.Queue) error {
	cat, err := a.Config.Refresh(ctx)
	if err != nil {
		return err
	}
	errs := []error{a.leave(ctx)}
	if e.Queue != "" {
		return errors.Join(append(errs, a.drain(ctx, e.Queue, ""))...)
	}
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
	if !ok || !cat.Serving(queue) {
		return nil, false, nil
	}
	if _, ok := q.Assign.Queue(q.Hours.Open(a.Now())); !ok {
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
		r := ranking{tx: tx, queue: q, presence: cat.Presence, clock: a.Now}
		for _, s := range sessions {
			ag, err := r.first(ctx)
			if err != nil {
				return err
			}
			if ag == nil {
				break
			}
			done = append(done, r.give(s, ag))
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
