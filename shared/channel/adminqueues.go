package channel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/session"
)

// Queues lists the queues in their order.
func (a *Admin) Queues(ctx context.Context) ([]Queue, error) {
	m, err := all(ctx, a.Docs, "queues", queueID)
	list := sorted(m)
	slices.SortStableFunc(list, func(x, y Queue) int { return cmp.Compare(x.Order, y.Order) })
	return list, err
}

// Queue returns one queue.
func (a *Admin) Queue(ctx context.Context, id string) (*Queue, error) {
	return one[Queue](ctx, a.Docs, "queue", id, queuePath)
}

// PutQueue saves a queue and what it means for its agents, then has its
// waiting mail looked at again.
func (a *Admin) PutQueue(ctx context.Context, q Queue) (*Queue, error) {
	if !slug.MatchString(q.ID) { // not for a path
		return nil, a.verdict(q.check())
	}
	err := a.save(ctx, thingID{ThingQueue, q.ID}, func(ctx context.Context, tx *edit, now time.Time) error {
		w, err := read(ctx, tx)
		if err != nil {
			return err
		}
		agents, err := w.members(ctx, tx, plainIDs(q.Agents), nil)
		if err != nil {
			return err
		}
		before, was := w.queues[q.ID]
		q.UpdatedAt = now
		if err := a.verdict(w.whole(ctx, tx, q, agents, before)); err != nil {
			return err
		}
		if was && !ThingQueue.differ(before, q) {
			q.UpdatedAt = before.UpdatedAt
		}
		w.queues[q.ID] = q
		affected, err := w.members(ctx, tx, changed(before.Agents, q.Agents), changed(before.Teams, q.Teams))
		if err != nil {
			return err
		}
		tx.Set(queuePath(q.ID), q)
		w.serve(tx, affected)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("save queue %s: %w", q.ID, err)
	}
	return &q, a.drain(ctx, q.ID)
}

// whole names everything that is wrong with a queue: by itself, among the
// others, and with its files, unless their list is wrong already. agents are
// those that it names, as far as they exist.
func (w world) whole(ctx context.Context, tx Tx, q Queue, agents map[string]Agent, before Queue) error {
	var bad Invalid
	_ = bad.under("", q.check())
	listed := !slices.ContainsFunc(bad.Fields, func(f Field) bool {
		return strings.HasPrefix(f.Name, "response.") || strings.HasPrefix(f.Name, "signature.")
	})
	_ = bad.under("", w.admit(q, agents))
	if listed {
		if err := bad.under("", q.uploaded(ctx, tx, before, q.UpdatedAt)); err != nil {
			return err
		}
	}
	return bad.err()
}

// drain has the waiting mail of queues looked at: somebody may qualify now.
func (a *Admin) drain(ctx context.Context, queues ...string) error {
	var errs []error
	for _, q := range queues {
		errs = append(errs, a.Bus.Publish(ctx, event.TopicQueue, event.Encode(event.Queue{Queue: q})))
	}
	return errors.Join(errs...)
}

// DeleteQueue removes a queue. While it has sessions that are not closed it
// asks for the queue that takes them (QU-5). It may be repeated until it is done.
func (a *Admin) DeleteQueue(ctx context.Context, id, heir string) error {
	if _, err := a.Queue(ctx, id); err != nil {
		return err
	}
	if err := a.only.check(ctx, a.Docs, thingID{ThingQueue, id}); err != nil { // before a session is moved
		return err
	}
	if err := a.empty(ctx, id, heir); err != nil {
		return err
	}
	err := a.save(ctx, thingID{ThingQueue, id}, func(ctx context.Context, tx *edit, now time.Time) error {
		n, err := tx.Count(ctx, openIn(id), 1)
		if err != nil {
			return err
		}
		if n > 0 {
			return conflict("queue %s got new sessions meanwhile; delete it again", id)
		}
		w, err := read(ctx, tx)
		if err != nil {
			return err
		}
		q := w.queues[id]
		delete(w.queues, id)
		affected, err := w.members(ctx, tx, q.Agents, q.Teams)
		if err != nil {
			return err
		}
		for _, child := range sorted(w.queues) {
			if child.Parent == id {
				tx.Patch(queuePath(child.ID), map[string]any{"parent": q.Parent, "updated_at": now})
			}
		}
		tx.Delete(queuePath(id))
		w.serve(tx, affected)
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete queue %s: %w", id, err)
	}
	if heir == "" {
		return nil
	}
	return a.drain(ctx, heir)
}

// openIn finds the sessions of a queue that are not closed.
func openIn(queue string) Query {
	return Query{Collection: "sessions", Where: []Where{{"queue", "==", queue}, {"state", "in", []string{
		string(session.Unopened), string(session.Active), string(session.Paused), string(session.Resolved), string(session.Reopened),
	}}}}
}

// empty moves the sessions that are not closed to the heir.
func (a *Admin) empty(ctx context.Context, id, heir string) error {
	if heir != "" {
		if to, err := a.Queue(ctx, heir); errors.Is(err, ErrNotFound) || err == nil && to.ID == id {
			return &Invalid{[]Field{{"move_to", fmt.Sprintf("%q is no other queue", heir)}}}
		} else if err != nil {
			return err
		}
	}
	n, err := a.Docs.Count(ctx, openIn(id), maxCounted)
	if err != nil || n == 0 {
		return err
	}
	if heir == "" {
		more := ""
		if n == maxCounted {
			more = "at least "
		}
		return conflict("queue %s has %s%d open sessions; name the queue that takes them (move_to)", id, more, n)
	}
	return pages(ctx, a.Docs, openIn(id), time.Now().Add(sweepFor), func(d found[Session]) error { return a.inherit(ctx, d.id, id, heir) })
}

const maxCounted = 1000

// inherit moves one session. Its agent keeps it if he serves the heir, too.
func (a *Admin) inherit(ctx context.Context, id, from, heir string) error {
	var h *History
	err := a.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		h = nil
		now := a.Now().UTC()
		ac := act{tx: tx, who: Actor{ID: ActorChannel, Role: RoleAdmin}, key: "left-" + digest(from, now.String()), now: now} // a queue can go more than once
		s, err := get[Session](ctx, tx, sessionPath(id))
		if err != nil || s == nil || s.Queue != from {
			return err
		}
		ac.s, ac.before = *s, *s
		if err := ac.enter(ctx, heir); err != nil {
			return err
		}
		if s.Agent != "" {
			ag, err := get[Agent](ctx, tx, agentPath(s.Agent))
			if err != nil {
				return err
			}
			if ag == nil || !slices.Contains(ag.Queues, heir) {
				ac.drop()
			}
		}
		h = ac.transferred()
		ac.store(*h)
		return nil
	})
	if err != nil || h == nil {
		return err
	}
	return announce(ctx, a.Bus, a.Docs, "admin", *h)
}

// check names what is wrong with a queue by itself.
func (q Queue) check() error {
	var bad Invalid
	bad.slug("id", q.ID)
	bad.line("name", q.Name, 200)
	if strings.TrimSpace(q.Name) == "" {
		bad.add("name", "missing")
	}
	bad.oneOf("language", q.Language, "en", "id", "fr", "de")
	if q.Assign.DailyLimit < 0 {
		bad.add("assign.daily_limit", "%d, must not be negative", q.Assign.DailyLimit)
	}
	bad.merge("hours.", q.Hours.Validate())
	bad.oneOf("forged", string(cmp.Or(q.Forged, ForgedAccept)), string(ForgedAccept), string(ForgedMark), string(ForgedQuarantine))
	bad.response(q.Response)
	bad.signature(q.Signature)
	return bad.err()
}
