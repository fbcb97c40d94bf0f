package channel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/thread"
)

// prepare fills in what a comment or an update sends; false when there is nothing
// left to send, or another flush sends it.
func (b *batch) prepare(ctx context.Context, j *job) (bool, error) {
	j.change = Change{Ticket: j.rec.Ticket, Lookup: j.op.Attempts > 0}
	if j.op.Kind == crm.Update {
		facts, err := b.facts(ctx, j.op.Record)
		if err != nil {
			return false, err
		}
		j.change.Facts, j.told = &facts, digest(facts.Description())
		if j.told == j.rec.Told && j.op.Attempts == 0 { // by the operation of an earlier change; an attempt whose answer was lost may have told another since
			return false, b.done(ctx, j, nil)
		}
		if j.op.Job != "" { // another change since then has an operation of its own
			j.change.Job, j.told = j.op.Job, j.op.JobOf
		}
		return b.claim(ctx, j)
	}
	todo, err := b.unposted(ctx, j)
	if err != nil {
		return false, err
	}
	if len(todo) == 0 {
		return false, b.done(ctx, j, nil)
	}
	next := todo[0]
	if j.op.Job != "" {
		under, err := get[Message](ctx, b.Docs, messagePath(j.op.Record, j.op.JobOf))
		if err != nil {
			return false, err
		}
		if under != nil && j.unposted(*under) {
			next, j.change.Job = *under, j.op.Job
		}
	}
	post := b.post(next)
	j.post, j.more = next.ID, len(todo) > 1
	j.change.Post, j.change.Body = &post, post.Body(b.cat.Record.Bodies)
	return b.claim(ctx, j)
}

// errEnough ends a query of which no more is needed.
var errEnough = errors.New("enough")

// unposted are the first two messages that the record does not have: the others
// of a long thread would fill the memory.
func (b *batch) unposted(ctx context.Context, j *job) (todo []Message, err error) {
	q := Query{Collection: "sessions/" + j.op.Record + "/messages", Order: []Order{{Field: "at"}}}
	err = b.Docs.Find(ctx, q, func(_ string, decode func(any) error) error {
		var m Message
		if err := decode(&m); err != nil {
			return err
		}
		if j.unposted(m) {
			todo = append(todo, m)
		}
		if len(todo) == 2 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return todo, err
}

// unposted tells whether the operation has the message yet to post.
func (j *job) unposted(m Message) bool {
	return !m.At.After(j.op.At) && m.Direction != Note && !slices.Contains(j.rec.Posted, m.ID)
}

// claim writes down that a change is about to be sent, as it has no key by
// which the CRM would know it again, and keeps other flushes from the record,
// should the lease be lost. It is false when one of them was faster.
func (b *batch) claim(ctx context.Context, j *job) (bool, error) {
	err := b.Docs.Write(ctx, func(tx Tx) {
		tx.PatchAt(recordPath(j.op.Record), j.version, map[string]any{"blocked_until": b.now.Add(claimFor)})
		tx.Patch(operationPath(j.op.ID), map[string]any{"attempts": Inc(1)})
	})
	if errors.Is(err, ErrChanged) {
		return false, nil
	}
	j.claimed = err == nil
	return j.claimed, err
}

// facts are what the record says of the session now (CR-5).
func (b *batch) facts(ctx context.Context, id string) (crm.Facts, error) {
	s, err := b.session(ctx, id)
	if err != nil {
		return crm.Facts{}, err
	}
	return b.factsOf(ctx, s)
}

func (b *batch) session(ctx context.Context, id string) (Session, error) {
	s, err := get[Session](ctx, b.Docs, sessionPath(id))
	if err != nil || s == nil {
		return Session{}, errors.Join(err, missing(s, "session", id))
	}
	return *s, nil
}

func (b *batch) factsOf(ctx context.Context, s Session) (crm.Facts, error) {
	f := crm.Facts{SessionID: s.ID, Subject: s.Subject, EndUser: s.Consumer.Addr, EndUserName: s.Consumer.Name, Address: b.cat.Accounts[s.Account].Address, Started: s.Outbound, Queue: b.cat.ByQueue[s.Queue].Name, At: s.CreatedAt}
	if s.LinkedBy != thread.RuleExpired { // else the ticket is an older session's as well
		f.MergedInto = s.MergedInto
	}
	if s.Agent != "" {
		ag, err := get[Agent](ctx, b.Docs, agentPath(s.Agent))
		if err != nil {
			return f, err
		}
		f.AgentMail = s.Agent
		if f.Agent = s.Agent; ag != nil {
			f.Agent = ag.Name
		}
	}
	return f, nil
}

func missing[T any](v *T, what, id string) error {
	if v != nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, id, ErrMissing)
}

// deleted stands in a ticket for a text that the channel has no more.
const deleted = "[The content was deleted: its storage period is over, or it was erased]"

func (b *batch) post(m Message) crm.Post {
	p := crm.Post{ID: m.ID, Link: b.cat.ConsoleURL + "/sessions/" + m.Session + "#" + m.ID, At: m.At, From: m.From.Addr, Agent: m.Agent, Subject: m.Subject, Text: m.Text, Auto: m.Auto}
	if !m.PurgedAt.IsZero() {
		p.Text = deleted
	}
	for i, to := range m.To {
		if i > 0 {
			p.To += ", "
		}
		p.To += to.Addr
	}
	if p.EndUser = m.From.Addr; m.Direction == Out {
		p.EndUser = p.To
	}
	return p
}
