package channel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/session"
	"emailchannel.dev/emailchannel/shared/thread"
)

// Words are what an agent writes. Without recipients a reply goes to whoever
// wrote last. Key is the caller's idempotency key: the same key never sends a
// second mail.
type Words struct {
	Key     string
	To, Cc  []email.Address
	Subject string // of a reply: empty for "RE: " and the subject, or CH-3 must be on
	Text    string
	HTML    string
	Files   []string // uploads that go along, by ID; at most 10 with 25 MB together, as of Inline (AR-1)
	Inline  []Inline

	Signature bool // the queue's goes below, if it has one (SG-2)
}

// Sent is a mail that was handed over for sending, and its session.
type Sent struct {
	Session  Session
	Message  Message
	Outbound Outbound
}

// Reply answers the session's last mail. An agent who answers a session
// without an agent takes it. The answer to a session that is closed for good
// begins a new one, linked to it (SE-5).
func (d *Desk) Reply(ctx context.Context, who Actor, id string, w Words) (*Sent, error) {
	s, ag, err := visible(ctx, d.Docs, who, id)
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	n := &outgoing{id: digest(s.ID, w.Key), asked: digestOf(tree(w)), s: *s, words: w}
	if done, err := d.sent(ctx, n); done != nil || err != nil {
		return done, err
	}
	if err := d.reply(ctx, n, ag); err != nil {
		return nil, err
	}
	return d.post(ctx, who, n, func(ctx context.Context, a *act, l *letter) (*History, error) {
		if err := a.load(ctx, id); err != nil {
			return nil, err
		}
		return a.answer(ctx, l)
	})
}

// Start begins a session with a mail of an agent (SE-3), from the address of a
// queue that he serves.
func (d *Desk) Start(ctx context.Context, who Actor, queue string, w Words) (*Sent, error) {
	n := &outgoing{id: digest("start", who.ID, w.Key), asked: digest(queue, digestOf(tree(w))), words: w}
	if done, err := d.sent(ctx, n); done != nil || err != nil {
		return done, err
	}
	if err := d.compose(ctx, who, queue, n); err != nil {
		return nil, err
	}
	return d.post(ctx, who, n, func(ctx context.Context, a *act, l *letter) (*History, error) {
		if err := a.identify(ctx); err != nil {
			return nil, err
		}
		a.s = n.s
		return a.begin(l)
	})
}

// badDraft turns what cannot be written in a mail into an input error.
func badDraft(err error) error {
	var field *email.FieldError
	if errors.As(err, &field) {
		return &Invalid{[]Field{{strings.ToLower(field.Field), field.Problem}}}
	}
	return err
}

// post writes the mail, stores it with what f made of its session, and hands
// it over. Whoever loses against another call with the same key returns what
// that one sent.
func (d *Desk) post(ctx context.Context, who Actor, n *outgoing, f func(context.Context, *act, *letter) (*History, error)) (*Sent, error) {
	if err := d.enclose(ctx, who, n); err != nil {
		if done, again := d.sent(ctx, n); done != nil || again != nil { // another call with the key took the uploads just now
			return done, again
		}
		return nil, err
	}
	written, err := pen{d.Archive, d.Secrets, n.enclosed, n.pictures}.write(ctx, n.id, n.from, n.s, n.draft)
	if err != nil {
		return nil, badDraft(err)
	}
	var h *History
	var a act
	var l letter
	err = d.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		a, l = act{tx: tx, cat: n.cat, who: who, only: d.only, key: n.id, clock: d.Now}, written
		if err := n.take(ctx, tx); err != nil {
			return err
		}
		if h, err = f(ctx, &a, &l); err != nil {
			return err
		}
		l.Outbound.Session, l.Message.Session, l.Agent, l.Message.Agent = a.s.ID, a.s.ID, who.ID, who.ID
		l.Asked = n.asked
		l.Message.At = a.now // its Date has no fraction, and would put it before what it answers
		l.put(tx)
		n.taken(tx)
		a.store(*h)
		return nil
	})
	if errors.Is(err, ErrExists) {
		return d.sent(ctx, n)
	}
	if errors.As(err, new(*Outdated)) { // by another call with the key, perhaps
		if done, again := d.sent(ctx, n); done != nil || again != nil {
			return done, again
		}
	}
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", n.id, err)
	}
	fault.Step(ctx, "desk.sent")
	d.tell(ctx, *h)
	d.dispatch(ctx, l.Outbound)
	return &Sent{a.s, l.Message, l.Outbound}, nil
}

// sent finds what an earlier call with the same key sent, nil if there was
// none. A call that asks for something else under that key is refused. It comes
// before anything is drafted: a repetition gets the first answer also when the
// channel would make another mail of it by now.
func (d *Desk) sent(ctx context.Context, n *outgoing) (*Sent, error) {
	var out Sent
	ref := Ref{Path: outboundPath(n.id), Into: &out.Outbound}
	if err := d.Docs.Get(ctx, &ref); err != nil || !ref.Found {
		return nil, err
	}
	refs := []*Ref{{Path: sessionPath(out.Outbound.Session), Into: &out.Session}, {Path: messagePath(out.Outbound.Session, out.Outbound.Message), Into: &out.Message}}
	if err := d.Docs.Get(ctx, refs...); err != nil {
		return nil, err
	}
	if out.Outbound.Asked != n.asked {
		return nil, conflict("the idempotency key was used for another mail")
	}
	return &out, nil
}

// dispatch tells send about a mail; should that fail, Sweep does.
func (d *Desk) dispatch(ctx context.Context, o Outbound) {
	if err := (letter{Outbound: o}).hand(ctx, d.Bus); err != nil {
		late(ctx, o.Session, "outbound "+o.ID, err)
	}
}

// answer moves the session by an agent's mail.
func (a *act) answer(ctx context.Context, l *letter) (*History, error) {
	if a.s.State == session.Closed {
		a.rehome(l.Account)
		if err := a.s.letGo(ctx, a.tx); err != nil {
			return nil, err
		}
	}
	err := a.s.apply(session.Outbound, a.cat.Session, a.now)
	if errors.Is(err, session.ErrNewSession) {
		return a.succeed(l)
	}
	if err != nil {
		return nil, err
	}
	if a.s.Agent == "" && a.agent != nil && a.agent.Role == RoleAgent {
		a.take(*a.agent)
	}
	a.s.Waiting = false
	if a.s.AnsweredAt.IsZero() {
		a.s.AnsweredAt, a.s.AnsweredBy = a.now, a.who.ID
	}
	return a.mailed(l, string(a.before.State)), nil
}

// rehome puts a closed session whose queue was deleted into the one that takes
// the mail of the account by now.
func (a *act) rehome(account string) {
	if _, ok := a.cat.ByQueue[a.s.Queue]; ok {
		return
	}
	if q, ok := a.cat.QueueOf(account); ok {
		a.s.Queue = q.ID
	}
}

// succeed begins the session that goes on where a closed one ended.
func (a *act) succeed(l *letter) (*History, error) {
	old := a.s
	id, err := session.NewID(rand.Reader)
	if err != nil {
		return nil, err
	}
	a.s = Session{ID: id, Queue: old.Queue, Account: l.Account, Subject: old.Subject, Consumer: old.Consumer, Participants: old.Participants, Linked: old.ID, LinkedBy: thread.RuleExpired}
	return a.begin(l)
}

// begin starts a session with an agent's mail.
func (a *act) begin(l *letter) (*History, error) {
	a.before = Session{}
	if err := a.s.apply(session.StartOutbound, a.cat.Session, a.now); err != nil {
		return nil, err
	}
	if a.agent != nil && a.agent.Role == RoleAgent {
		a.take(*a.agent)
	}
	a.s.Outbound, a.s.CreatedAt, a.s.FirstMessage = true, a.now, l.Message.ID
	h := a.mailed(l, "")
	h.Began = a.s.LinkedBy != thread.RuleExpired
	return h, nil
}

// mailed counts the mail and makes its entry.
func (a *act) mailed(l *letter, from string) *History {
	a.s.Messages++
	wrote := []string{email.Normalize(l.From)}
	for _, to := range l.To {
		wrote = append(wrote, email.Normalize(to))
	}
	a.s.Participants = union(a.s.Participants, wrote, maxParticipants)
	h := a.entry(session.KindAnswered, from, string(a.s.State))
	h.Message = l.Message.ID
	return h
}
