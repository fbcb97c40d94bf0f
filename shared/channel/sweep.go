package channel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
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

const (
	sweepPage = 200
	sweepFor  = 4 * time.Minute
)

// Handle makes one sweep.
func (s *Sweep) Handle(ctx context.Context) error {
	cat, err := s.Config.Load(ctx)
	if err != nil {
		return err
	}
	errs := []error{s.unpublished(ctx), s.uncertain(ctx)}
	if cat.Email {
		errs = append(errs, s.quarantined(ctx), s.unsent(ctx), s.kept(ctx), s.timers(ctx, cat))
	}
	errs = append(errs, s.Bus.Publish(ctx, event.TopicFlush, event.Encode(event.Flush{})))
	return errors.Join(errs...)
}

// pages calls each for the documents of a query until there are none. each
// must take its document out of the query; one that fails is passed over.
func pages[T any](ctx context.Context, docs Docs, q Query, each func(T) error) error {
	q.Limit = sweepPage
	var errs []error
	for start := time.Now(); time.Since(start) < sweepFor; {
		page, err := find[T](ctx, docs, q)
		if err != nil {
			return err
		}
		failed := len(errs)
		for _, v := range page {
			if err := each(v); err != nil {
				errs = append(errs, err)
			}
		}
		if len(page) < sweepPage || len(errs) > failed {
			break
		}
	}
	return errors.Join(errs...)
}

// unpublished publishes the events that a crash kept back.
func (s *Sweep) unpublished(ctx context.Context) error {
	q := Query{Collection: "history", Group: true, Where: []Where{{"due", "<=", s.Now().UTC()}}, Order: []Order{{Field: "due"}}}
	return pages(ctx, s.Docs, q, func(h History) error { return announce(ctx, s.Bus, s.Docs, "sweep", h) })
}

// kept publishes the events whose answers waited for the channel to be ON. One
// that is kept once more meanwhile stays so.
func (s *Sweep) kept(ctx context.Context) error {
	q := Query{Collection: "history", Group: true, Where: []Where{{"kept", "<=", s.Now().UTC()}}, Order: []Order{{Field: "kept"}}}
	return pages(ctx, s.Docs, q, func(h History) error {
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
func (s *Sweep) quarantined(ctx context.Context) error {
	q := Query{Collection: "quarantine", Where: []Where{{"retry", "<=", s.Now().UTC()}}, Order: []Order{{Field: "retry"}}}
	return pages(ctx, s.Docs, q, func(q Quarantined) error { return q.again(ctx, s.Docs, s.Bus) })
}

// unsent brings mail back to Send: the event of a queued one was lost or its
// back-off is over, or a look into the folder of sent mail is due.
func (s *Sweep) unsent(ctx context.Context) error {
	now := s.Now().UTC()
	var errs []error
	for _, state := range []OutState{Queued, Accepted, Uncertain} {
		q := Query{Collection: "outbound", Where: []Where{{"state", "==", state}, {"due", "<=", now}}, Order: []Order{{Field: "due"}}}
		errs = append(errs, pages(ctx, s.Docs, q, func(o Outbound) error {
			// Written first: afterwards it would put back the back-off of an attempt that was faster.
			err := s.Docs.Write(ctx, func(tx Tx) {
				tx.Patch(outboundPath(o.ID), map[string]any{"due": now.Add(sendLease)})
			})
			if err != nil {
				return err
			}
			return s.Bus.Publish(ctx, event.TopicOutbound, event.Encode(event.Outbound{ID: o.ID}))
		}))
	}
	return errors.Join(errs...)
}

// uncertain marks the mail whose sender died while the server had its content.
func (s *Sweep) uncertain(ctx context.Context) error {
	now := s.Now().UTC()
	q := Query{Collection: "outbound", Where: []Where{{"state", "==", Sending}, {"due", "<=", now}}, Order: []Order{{Field: "due"}}}
	return pages(ctx, s.Docs, q, func(o Outbound) error {
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

// timers moves the sessions that are due by the thresholds of today (SE-4, SE-7).
func (s *Sweep) timers(ctx context.Context, cat *Catalog) error {
	now := s.Now().UTC()
	var errs []error
	for _, c := range session.Cutoffs(cat.Session, now) {
		q := Query{Collection: "sessions", Where: []Where{{"state", "==", c.State}, {"since", "<=", c.Since}}, Order: []Order{{Field: "since"}}}
		errs = append(errs, pages(ctx, s.Docs, q, func(v Session) error { return s.timer(ctx, cat, v.ID, c, now) }))
	}
	return errors.Join(errs...)
}

var timerKinds = map[session.State]session.Kind{session.Paused: session.KindPaused, session.Closed: session.KindClosed}

func (s *Sweep) timer(ctx context.Context, cat *Catalog, id string, c session.Cutoff, now time.Time) error {
	var h *History
	err := s.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		h = nil
		v, err := get[Session](ctx, tx, sessionPath(id))
		if err != nil || v == nil || v.State != c.State || v.Since.After(c.Since) {
			return err
		}
		before := *v
		if err := v.apply(c.Event, cat.Session, now); err != nil {
			return err
		}
		v.Waiting = false
		load(tx, before, *v)
		e := entry(v, timerKinds[v.State], fmt.Sprintf("%s-%d", c.Event, before.Since.UnixNano()), ActorChannel, now)
		e.From, e.To, e.Rule = string(before.State), string(v.State), string(c.Event)
		tx.Set(sessionPath(id), v)
		tx.Set(historyPath(id, e.ID), e)
		h = &e
		return nil
	})
	if err != nil || h == nil {
		return err
	}
	fault.Step(ctx, "sweep.moved")
	return announce(ctx, s.Bus, s.Docs, "sweep", *h)
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
