package channel

import (
	"context"
	"errors"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
)

// notes purges internal notes, which no mail leads to.
func (p *Purge) notes(ctx context.Context, cutoff, until time.Time) error {
	q := Query{Collection: "messages", Group: true, Where: []Where{{"direction", "==", string(Note)}, {"retention_at", "==", time.Time{}}, {"at", "<=", cutoff}}, Order: []Order{{Field: "at"}}}
	return pages(ctx, p.Docs, q, until, func(d found[Message]) error {
		path := messagePath(d.v.Session, d.id)
		return p.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
			now, err := get[Message](ctx, tx, path)
			if err != nil || now == nil || !now.RetentionAt.IsZero() {
				return err
			}
			held, err := isHeld(ctx, tx, d.v.Session)
			if err != nil {
				return err
			}
			if held {
				tx.Patch(path, map[string]any{"retention_at": p.Now().UTC()})
				return nil
			}
			tx.Patch(path, p.emptied())
			return nil
		})
	})
}

// quarantined purges mail that never became a message. It is then one of those
// that are accounted for without a session.
func (p *Purge) quarantined(ctx context.Context, cutoff, until time.Time) error {
	q := Query{Collection: "quarantine", Where: []Where{{"event.received_at", "<=", cutoff}}, Order: []Order{{Field: "event.received_at"}}}
	return pages(ctx, p.Docs, q, until, func(d found[Quarantined]) error {
		q := d.v
		if err := p.remove(ctx, []string{q.Event.Object}); err != nil {
			return err
		}
		return q.bury(ctx, p.Docs, "in quarantine until its storage period was over: "+q.Reason)
	})
}

// bury makes a tombstone of a mail in quarantine, unless it is another by now.
func (q Quarantined) bury(ctx context.Context, docs Docs, why string) error {
	return docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		now, err := get[Quarantined](ctx, tx, quarantineID(q.ID))
		if err != nil || now == nil || !now.At.Equal(q.At) {
			return err
		}
		tx.Delete(quarantineID(q.ID))
		tx.Set(mailPath(digest("quarantine", q.ID)), Mail{State: Suppressed, Direction: In, Rule: why, Sources: []event.Source{q.Event.Source}, At: q.Event.ReceivedAt, Retention: Purged})
		return nil
	})
}

// released looks again at what the holds of sessions kept that have ended.
func (p *Purge) released(ctx context.Context, until time.Time) error {
	q := Query{Collection: "sessions", Where: []Where{{"released", "==", true}}}
	return pages(ctx, p.Docs, q, until, func(d found[Session]) error { return p.release(ctx, d.id, until) })
}

// release makes what was held due again. Until all of it is, the session stays
// marked; another hold meanwhile is seen when each mail is claimed.
func (p *Purge) release(ctx context.Context, id string, until time.Time) error {
	var s Session
	ref := &Ref{Path: sessionPath(id), Into: &s}
	if err := p.Docs.Get(ctx, ref); err != nil || !ref.Found || !s.Released {
		return err
	}
	mails := Query{Collection: "mails", Where: []Where{{"session", "==", id}, {"retention", "==", string(Held)}}}
	err := pages(ctx, p.Docs, mails, until, func(d found[Mail]) error {
		return p.Docs.Write(ctx, func(tx Tx) { tx.Patch(mailPath(d.id), map[string]any{"retention": string(Kept)}) })
	})
	if err != nil {
		return err
	}
	more, err := p.Docs.Count(ctx, mails, 1)
	if err != nil || more > 0 {
		return err
	}
	notes, err := find[Message](ctx, p.Docs, Query{Collection: "sessions/" + id + "/messages", Where: []Where{{"direction", "==", string(Note)}}})
	if err != nil {
		return err
	}
	err = p.Docs.Write(ctx, func(tx Tx) {
		for _, m := range notes {
			if m.PurgedAt.IsZero() && !m.RetentionAt.IsZero() {
				tx.Patch(messagePath(id, m.ID), map[string]any{"retention_at": time.Time{}})
			}
		}
		tx.PatchAt(sessionPath(id), ref.Version, map[string]any{"released": nil})
	})
	if errors.Is(err, ErrChanged) {
		return nil // perhaps held and released once more: the next sweep looks again
	}
	return err
}
