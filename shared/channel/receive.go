package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/session"
)

// Receive turns an archived mail into a message of a session: it parses,
// recognises what came before, threads, moves the session and tells others.
type Receive struct {
	Docs    Docs
	Archive Archive
	Bus     Bus
	Secrets Secrets
	Config  *Configuration
	Now     Clock
	Limits  email.Limits
	// LookupTXT asks the DNS for DKIM keys; nil: no signatures are checked.
	LookupTXT func(ctx context.Context, domain string) ([]string, error)
}

// maxTries is after how many deliveries a mail that cannot be processed is
// set aside, so that it blocks nothing and somebody looks at it (AC-7).
const maxTries = 10

// A mail that was set aside for what may pass, such as an outage that outlasted
// its deliveries, comes back by itself: first after retryFirst, which doubles.
const (
	retryFirst = time.Hour
	retryMost  = 24 * time.Hour
)

// Handle processes one event; attempt counts its deliveries from 1. A mail
// that fails for good, or too often, is quarantined with its reason; the
// latter with a time at which Sweep tries it again. The error that remains
// asks for another delivery.
func (r *Receive) Handle(ctx context.Context, e event.Received, attempt int) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = r.quarantine(ctx, e, fault.Permanentf("panic: %v\n%s", p, debug.Stack()), attempt)
		}
	}()
	err = r.receive(ctx, e)
	if err == nil || !fault.IsPermanent(err) && attempt < maxTries {
		return err
	}
	return r.quarantine(ctx, e, err, attempt)
}

func (r *Receive) receive(ctx context.Context, e event.Received) error {
	m, files, err := r.parse(ctx, e)
	if err != nil {
		return err
	}
	fault.Step(ctx, "receive.parsed")
	cat, err := r.Config.Load(ctx)
	if err != nil {
		return err
	}
	a := arrival{Received: e, mail: m, files: files, cat: cat, now: r.Now().UTC()}
	if a.auth, err = r.authenticate(ctx, e, m, cat.Accounts[e.Account]); err != nil {
		return err
	}
	if a.forged = forged(a.auth); a.forged {
		if err := a.held(); err != nil {
			return err
		}
	}
	if session.HasToken(m.Subject) {
		if a.keys, err = subjectKeys(ctx, r.Secrets, cat); err != nil {
			return err
		}
	}
	var entries []History
	err = r.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		entries, err = a.store(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("store mail %s: %w", e.Object, err)
	}
	a.logRefusal(ctx)
	return announce(ctx, r.Bus, r.Docs, "receive", entries...)
}

// parse reads the raw mail once, from the archive through the parser back into
// the archive, where its files go.
func (r *Receive) parse(ctx context.Context, e event.Received) (*email.Mail, []Attachment, error) {
	raw, err := r.Archive.Open(ctx, e.Object)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", e.Object, err)
	}
	defer raw.Close()
	var files []Attachment
	m, err := email.Parse(raw, "", r.Limits, func(p email.Part, content io.Reader) error {
		object := partObject(e.Object, p.Index)
		files = append(files, Attachment{Name: p.Name, Type: p.Type, ContentID: p.ContentID, Inline: p.Disposition == "inline", Object: object})
		return r.Archive.Put(ctx, object, p.Type, content)
	})
	if errors.Is(err, email.ErrEmpty) {
		return nil, nil, fault.Permanent(err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("parse %s: %w", e.Object, err)
	}
	known := map[string]email.Part{}
	for _, p := range m.Parts {
		known[partObject(e.Object, p.Index)] = p
	}
	for i, f := range files { // what is known of a part only at its end
		files[i].Size, files[i].Name = known[f.Object].Size, known[f.Object].Name
	}
	return m, files, nil
}

// Quarantined is a mail that could not be processed (AC-7). Its raw form is in
// the archive; a retry publishes its event again.
type Quarantined struct {
	ID     string         `json:"id"`
	Event  event.Received `json:"event"`
	Reason string         `json:"reason"`
	Tries  int            `json:"tries"`
	At     time.Time      `json:"at"`
	Retry  time.Time      `json:"retry,omitzero"` // when it comes back by itself; not set: people decide
}

func (r *Receive) quarantine(ctx context.Context, e event.Received, cause error, attempt int) error {
	now := r.Now().UTC()
	q := Quarantined{ID: digest(e.Key()), Event: e, Reason: cause.Error(), Tries: attempt, At: now}
	if !fault.IsPermanent(cause) {
		q.Retry = now.Add(min(retryFirst<<min(e.Round, 10), retryMost))
	}
	return r.Docs.Write(ctx, func(tx Tx) { tx.Set(quarantinePath(e.Key()), q) })
}

// again publishes the event of a mail in quarantine and takes it out; should
// it fail once more, there is a new entry.
func (q Quarantined) again(ctx context.Context, docs Docs, bus Bus) error {
	e := q.Event
	e.Round++
	topic, m := event.TopicReceived, event.Encode(e)
	if e.Object == "" { // it could not be fetched
		topic, m = event.TopicPoll, event.Encode(event.Poll{Account: e.Account, Mail: &e.Source, Round: e.Round})
	}
	if err := bus.Publish(ctx, topic, m); err != nil {
		return fmt.Errorf("retry mail %s: %w", q.ID, err)
	}
	return removeIf(ctx, docs, quarantineID(q.ID), func(now Quarantined) bool { return now.At.Equal(q.At) })
}
