package channel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/session"
)

// Sweep moves sessions whose timers fell due and resumes what got stuck. It
// may run twice and at the same time; everything is found by an index.
type Sweep struct {
	Docs   Docs
	Bus    Bus
	Config *Configuration
	Now    Clock
}

// sweepFor bounds one run; the next goes on.
const sweepFor = 4 * time.Minute

// Handle makes one sweep.
func (s *Sweep) Handle(ctx context.Context) error {
	cat, err := s.Config.Load(ctx)
	if err != nil {
		return err
	}
	var steps []func(time.Time) error
	add := func(step func(context.Context, time.Time) error) {
		steps = append(steps, func(until time.Time) error { return step(ctx, until) })
	}
	add(s.unpublished)
	add(s.uncertain)
	add(func(ctx context.Context, until time.Time) error { return s.gone(ctx, cat.Presence, until) })
	if cat.Email {
		add(s.quarantined)
		add(s.unsent)
		add(s.kept)
		add(func(ctx context.Context, until time.Time) error { return s.timers(ctx, cat, until) })
	}
	err = inTurn(time.Now().Add(sweepFor), steps...)
	return errors.Join(err, s.Bus.Publish(ctx, event.TopicFlush, event.Encode(event.Flush{})))
}

// unpublished publishes the events that a crash kept back.
func (s *Sweep) unpublished(ctx context.Context, until time.Time) error {
	q := Query{Collection: "history", Group: true, Where: []Where{{"due", "<=", s.Now().UTC()}}, Order: []Order{{Field: "due"}}}
	return inPages(ctx, s.Docs, q, until, func(page []found[History], t *troubles) {
		entries := make([]History, len(page))
		for i, d := range page {
			entries[i] = d.v
		}
		err := announce(ctx, s.Bus, s.Docs, "sweep", entries...)
		t.add(err)
	})
}

// kept publishes the events whose answers waited for the channel to be ON. One
// that is kept once more meanwhile stays so.
func (s *Sweep) kept(ctx context.Context, until time.Time) error {
	q := Query{Collection: "history", Group: true, Where: []Where{{"kept", "<=", s.Now().UTC()}}, Order: []Order{{Field: "kept"}}}
	return pages(ctx, s.Docs, q, until, func(d found[History]) error {
		h := d.v
		if err := s.Bus.Publish(ctx, event.TopicSession, event.Encode(h.event())); err != nil {
			return fmt.Errorf("publish %s of session %s: %w", h.Kind, h.Session, err)
		}
		return s.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
			now, err := get[History](ctx, tx, historyPath(h.Session, h.ID))
			if err != nil || now == nil || !now.Kept.Equal(h.Kept) {
				return err
			}
			tx.Patch(historyPath(h.Session, h.ID), map[string]any{"kept": nil})
			return nil
		})
	})
}

// quarantined brings mail back that was set aside for what may have passed (AC-7).
func (s *Sweep) quarantined(ctx context.Context, until time.Time) error {
	q := Query{Collection: "quarantine", Where: []Where{{"retry", "<=", s.Now().UTC()}}, Order: []Order{{Field: "retry"}}}
	return pages(ctx, s.Docs, q, until, func(d found[Quarantined]) error { return d.v.again(ctx, s.Docs, s.Bus) })
}

// unsent brings mail back to Send: the event of a queued one was lost or its
// back-off is over, or a look into the folder of sent mail is due.
func (s *Sweep) unsent(ctx context.Context, until time.Time) error {
	now := s.Now().UTC()
	var steps []func(time.Time) error
	for _, state := range []OutState{Queued, Accepted, Uncertain} {
		q := Query{Collection: "outbound", Where: []Where{{"state", "==", state}, {"due", "<=", now}}, Order: []Order{{Field: "due"}}}
		steps = append(steps, func(until time.Time) error {
			return pages(ctx, s.Docs, q, until, func(d found[Outbound]) error { return s.send(ctx, d, now) })
		})
	}
	return inTurn(until, steps...)
}

// send asks for a mail to be sent, unless an attempt was faster, which knows
// better when it is due again.
func (s *Sweep) send(ctx context.Context, d found[Outbound], now time.Time) error {
	err := s.Docs.Write(ctx, func(tx Tx) { tx.PatchAt(outboundPath(d.id), d.version, map[string]any{"due": now.Add(sendLease)}) })
	if errors.Is(err, ErrChanged) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("send mail %s again: %w", d.id, err)
	}
	return s.Bus.Publish(ctx, event.TopicOutbound, event.Encode(event.Outbound{ID: d.id}))
}

// uncertain marks the mail whose sender died while the server had its content.
func (s *Sweep) uncertain(ctx context.Context, until time.Time) error {
	now := s.Now().UTC()
	q := Query{Collection: "outbound", Where: []Where{{"state", "==", Sending}, {"due", "<=", now}}, Order: []Order{{Field: "due"}}}
	return pages(ctx, s.Docs, q, until, func(d found[Outbound]) error {
		o := d.v
		return s.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
			have, err := get[Outbound](ctx, tx, outboundPath(o.ID))
			if err != nil || have == nil || have.State != Sending || have.Due.After(now) {
				return err
			}
			const why = "the sender ended while the server had the mail"
			tx.Patch(outboundPath(o.ID), map[string]any{"state": Uncertain, "due": now.Add(lookAfter[0]), "updated_at": now, "answer": why})
			tx.Set(historyPath(o.Session, "send-"+o.ID), History{ID: "send-" + o.ID, Session: o.Session, Kind: session.KindSendFailed, At: now, Actor: ActorChannel, Agent: o.Agent, Message: o.Message, To: string(Uncertain), Note: why})
			return nil
		})
	})
}

// DeadLetter is a message that a subscription gave up on. It waits for people.
type DeadLetter struct {
	ID           string            `json:"id"`
	Topic        string            `json:"topic"`
	Subscription string            `json:"subscription"`
	Data         []byte            `json:"data"`
	Attributes   map[string]string `json:"attributes"`
	At           time.Time         `json:"at"`
}

// deadLetterAttribute is the prefix of what Pub/Sub adds to a dead letter:
// https://cloud.google.com/pubsub/docs/handling-failures.
const deadLetterAttribute = "CloudPubSubDeadLetter"

// Bury stores a dead letter where an admin sees and replays it.
func (s *Sweep) Bury(ctx context.Context, id string, m event.Message) error {
	d := DeadLetter{ID: digest(id), Data: m.Data, Attributes: map[string]string{}, At: s.Now().UTC()}
	d.Subscription = m.Attributes[deadLetterAttribute+"SourceSubscription"]
	d.Topic, _, _ = strings.Cut(d.Subscription, ".") // subscriptions are named topic.function
	for k, v := range m.Attributes {
		if !strings.HasPrefix(k, deadLetterAttribute) && !strings.HasPrefix(k, "googclient_") {
			d.Attributes[k] = v
		}
	}
	return s.Docs.Write(ctx, func(tx Tx) { tx.Set(deadLetterPath(d.ID), d) })
}
