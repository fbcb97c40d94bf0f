package channel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/fault"
)

// Purge deletes what is over its storage period, from the mail's arrival
// (ST-3): the raw mail and its files in the archive, and in the database the
// text, the HTML and the list of attachments of a message. What stays are the
// session's facts: who wrote to whom, when, on which subject, in which thread.
//
// It runs with every sweep, finds everything by an index, and may run twice
// and at the same time. A mail is claimed in a transaction that looks at the
// session's hold, then its objects go, then its content in the database; what
// a crash left claimed is finished by the next sweep. The period is the one of
// the moment. A mail that waits to be sent is not touched.
type Purge struct {
	Docs    Docs
	Objects Objects
	Config  *Configuration
	Now     Clock
}

// Retention is what the end of the storage period has made of a mail.
type Retention string

// The stages.
const (
	Kept    Retention = ""        // nothing yet
	Held    Retention = "held"    // it is over, and a hold keeps the mail
	Purging Retention = "purging" // its objects are being deleted
	Purged  Retention = "purged"  // its content is gone
)

// purgeFor bounds one run; the next sweep goes on.
const purgeFor = 2 * time.Minute

// Handle makes one run.
func (p *Purge) Handle(ctx context.Context) error {
	cat, err := p.Config.Load(ctx)
	if err != nil {
		return err
	}
	steps := []func(time.Time) error{
		func(until time.Time) error { return p.released(ctx, until) },
		func(until time.Time) error { return p.begun(ctx, until) },
		func(until time.Time) error { return p.uploads(ctx, cat, until) },
	}
	if cutoff, ok := cat.Storage.Period.Cutoff(p.Now()); ok {
		steps = append(steps,
			func(until time.Time) error { return p.mails(ctx, Stored, cutoff, until) },
			func(until time.Time) error { return p.mails(ctx, Suppressed, cutoff, until) },
			func(until time.Time) error { return p.notes(ctx, cutoff, until) },
			func(until time.Time) error { return p.quarantined(ctx, cutoff, until) })
	}
	return inTurn(time.Now().Add(purgeFor), steps...)
}

// mails purges the mails that arrived up to cutoff.
func (p *Purge) mails(ctx context.Context, state MailState, cutoff, until time.Time) error {
	q := Query{Collection: "mails", Where: []Where{{"state", "==", string(state)}, {"retention", "==", string(Kept)}, {"at", "<=", cutoff}}, Order: []Order{{Field: "at"}}}
	return pages(ctx, p.Docs, q, until, func(d found[Mail]) error {
		m, err := p.claim(ctx, d.id)
		if err != nil || m == nil {
			return err
		}
		fault.Step(ctx, "purge.claimed")
		return p.finish(ctx, d.id, *m)
	})
}

// begun finishes what an earlier run claimed, and deletes again what came a
// second time after it was purged.
func (p *Purge) begun(ctx context.Context, until time.Time) error {
	q := Query{Collection: "mails", Where: []Where{{"retention", "==", string(Purging)}}}
	return pages(ctx, p.Docs, q, until, func(d found[Mail]) error { return p.finish(ctx, d.id, d.v) })
}

// claim decides that a mail goes, unless its session is held or it waits to be sent.
func (p *Purge) claim(ctx context.Context, id string) (m *Mail, err error) {
	err = p.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		if m, err = get[Mail](ctx, tx, mailPath(id)); err != nil || m == nil {
			return err
		}
		if m.Retention != Kept {
			m = nil
			return nil
		}
		held, err := isHeld(ctx, tx, m.Session)
		if err != nil {
			return err
		}
		sending, err := underWay(ctx, tx, m.Outbound)
		if err != nil {
			return err
		}
		to := Purging
		switch {
		case sending:
			m = nil
			return nil
		case held:
			m, to = nil, Held
		}
		tx.Patch(mailPath(id), map[string]any{"retention": string(to)})
		return nil
	})
	return m, err
}

func isHeld(ctx context.Context, r Reader, id string) (bool, error) {
	if id == "" {
		return false, nil
	}
	s, err := get[Session](ctx, r, sessionPath(id))
	return s != nil && s.Hold != nil, err
}

// underWay tells whether a mail of ours is yet to be sent.
func underWay(ctx context.Context, r Reader, id string) (bool, error) {
	if id == "" {
		return false, nil
	}
	o, err := get[Outbound](ctx, r, outboundPath(id))
	return o != nil && (o.State == Queued || o.State == Sending), err
}

// finish deletes a claimed mail's objects, and then its content.
func (p *Purge) finish(ctx context.Context, id string, m Mail) error {
	if err := errors.Join(p.enclosed(ctx, id), p.remove(ctx, m.raws())); err != nil {
		return fmt.Errorf("purge mail %s: %w", id, err)
	}
	fault.Step(ctx, "purge.deleted")
	return p.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		now, err := get[Mail](ctx, tx, mailPath(id))
		if err != nil || now == nil || now.Retention != Purging {
			return err
		}
		path := messagePath(now.Session, id) // where a merge may have moved it meanwhile
		var msg *Message
		if now.Session != "" {
			if msg, err = get[Message](ctx, tx, path); err != nil {
				return err
			}
		}
		tx.Patch(mailPath(id), map[string]any{"retention": string(Purged), "raw": nil})
		if msg != nil && msg.PurgedAt.IsZero() {
			tx.Patch(path, p.emptied())
		}
		return nil
	})
}

// emptied are the fields of a message whose content is gone.
func (p *Purge) emptied() map[string]any {
	now := p.Now().UTC()
	return map[string]any{"text": "", "html": nil, "attachments": nil, "raw": "", "retention_at": now, "purged_at": now}
}

// raws are the objects of a mail: one for each delivery.
func (m Mail) raws() []string {
	var out []string
	if m.Raw != "" {
		out = append(out, m.Raw)
	}
	for _, src := range m.Sources {
		if raw := rawObject(src); !slices.Contains(out, raw) {
			out = append(out, raw)
		}
	}
	return out
}

// remove deletes raw mails with the files that were taken out of them.
func (p *Purge) remove(ctx context.Context, raws []string) error {
	names, err := objectsOf(ctx, p.Objects, raws)
	if err != nil {
		return err
	}
	return deleteAll(ctx, p.Objects, names)
}

// objectsOf lists raw mails with the files that were taken out of them, and
// with what an attempt before wrote of a mail of ours in other words. The raw
// mail comes last: while it is there, its files can be made again.
func objectsOf(ctx context.Context, objects Objects, raws []string) (names []string, err error) {
	for _, raw := range raws {
		if beside := besides(raw); beside != "" {
			err := objects.List(ctx, beside, func(name string, _ int64) error {
				if name != raw {
					names = append(names, name)
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		names = append(names, raw)
	}
	return names, nil
}

func deleteAll(ctx context.Context, objects Objects, names []string) error {
	for _, name := range names {
		if err := objects.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
