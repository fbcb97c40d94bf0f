package channel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/fault"
)

// create makes the ticket of a session, unless there is one that it takes.
func (b *batch) create(ctx context.Context, j *job) error {
	if j.rec.Ticket != "" {
		return b.created(ctx, j, b.done(ctx, j, b.ticket(j)))
	}
	s, err := b.session(ctx, j.op.Record)
	if err != nil {
		return err
	}
	if done, err := b.succeed(ctx, j, s); err != nil || done {
		return err
	}
	facts, err := b.factsOf(ctx, s)
	if err != nil {
		return err
	}
	if facts.MergedInto != "" { // the conversation has, or gets, the other session's ticket
		return b.done(ctx, j, nil)
	}
	ticket, made, err := b.crm.Create(ctx, j.op.ID, facts, b.now.Sub(j.op.At) > keyValid)
	fault.Step(ctx, "flush.created")
	if err != nil {
		return b.failed(ctx, j, err)
	}
	j.rec.Ticket = ticket
	if made {
		j.told = digest(facts.Description())
	}
	return b.created(ctx, j, b.settle(ctx, j, facts))
}

// settle ends a creation. Whether the session moved since the facts of the
// ticket is looked at in the transaction that writes the ticket down: record sees
// none to tell of it before, and what comes after is record's.
func (b *batch) settle(ctx context.Context, j *job, f crm.Facts) error {
	return b.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		now, err := get[Session](ctx, tx, sessionPath(j.op.Record))
		if err != nil {
			return err
		}
		if j.told == "" || now != nil && (now.Agent != f.AgentMail || now.MergedInto != "" || b.cat.ByQueue[now.Queue].Name != f.Queue) {
			b.amend(tx, j)
		} else {
			b.end(tx, j, b.ticket(j))
		}
		return nil
	})
}

// succeed gives a session that goes on a thread the ticket of its predecessor,
// if that has got one since record looked, and waits while it is yet to be made:
// one thread has one ticket (CR-1). It is false when the session needs its own.
func (b *batch) succeed(ctx context.Context, j *job, s Session) (bool, error) {
	if !s.succeeds() {
		return false, nil
	}
	pending, err := b.creation(ctx, s.Linked) // before the record, which has the ticket when it is over
	if err != nil {
		return false, err
	}
	if pending != nil {
		return true, b.await(ctx, j, pending.Due)
	}
	old, err := predecessor(ctx, b.Docs, s, b.cat.CRM)
	if err != nil || old == nil || old.Ticket == "" {
		return false, err
	}
	j.rec.Ticket = old.Ticket
	return true, b.created(ctx, j, b.Docs.Write(ctx, func(tx Tx) { b.amend(tx, j) })) // record saw no ticket to tell of the agent
}

// creation is the operation that is to make the ticket of a record; nil when
// there is none, or it is parked.
func (b *batch) creation(ctx context.Context, record string) (*Operation, error) {
	ops, err := find[Operation](ctx, b.Docs, Query{Collection: "crmops", Where: []Where{{"record", "==", record}, {"kind", "==", crm.Create}, {"state", "==", OpPending}}, Limit: 1})
	if err != nil || len(ops) == 0 {
		return nil, err
	}
	return &ops[0], nil
}

// await postpones all that a record is due for until another's operation is over:
// that is due at the given time.
func (b *batch) await(ctx context.Context, j *job, due time.Time) error {
	until := b.now.Add(blockFirst)
	if due.After(until) {
		until = due
	}
	return b.Docs.Write(ctx, func(tx Tx) {
		tx.Patch(recordPath(j.op.Record), map[string]any{"blocked_until": until})
		tx.Patch(operationPath(j.op.ID), map[string]any{"due": until})
	})
}

// ticket are the fields of a record whose ticket there is now.
func (b *batch) ticket(j *job) map[string]any {
	fields := map[string]any{"ticket": j.rec.Ticket, "crm": b.cat.CRM.Kind, "host": b.cat.CRM.host()}
	if j.told != "" {
		fields["told"] = j.told
	}
	return fields
}

// created lets go what waited for the ticket, once that is stored.
func (b *batch) created(ctx context.Context, j *job, stored error) error {
	if stored != nil {
		return stored
	}
	fault.Step(ctx, "flush.stored")
	return b.release(ctx, b.cat, j.op.Record)
}

// ticketless ends an operation for which there is no ticket: a merge has made
// the creation needless, or it was parked. While it is still to be made, as
// after an outage that left more than a batch, that comes first.
func (b *batch) ticketless(ctx context.Context, j *job) error {
	first, err := b.creation(ctx, j.op.Record)
	if err != nil {
		return err
	}
	if first != nil {
		j.op = *first
		return b.create(ctx, j)
	}
	facts, err := b.facts(ctx, j.op.Record)
	if err == nil && facts.MergedInto != "" {
		return b.done(ctx, j, nil)
	}
	if err != nil && !errors.Is(err, ErrMissing) {
		return err
	}
	if j.left != "" {
		return b.park(ctx, j, fmt.Errorf("the ticket is in %s; replay it when the settings name that again", j.left))
	}
	return b.park(ctx, j, errors.New("the session has no ticket; replay its creation first"))
}

// amend ends a creation and adds an operation that brings the ticket up to
// date, unless it is: the attempt counts as a second one.
func (b *batch) amend(tx Tx, j *job) {
	op := Operation{ID: digest(j.op.ID, "amend"), Record: j.op.Record, Seq: j.op.Seq, Kind: crm.Update, State: OpPending, Due: b.now, At: b.now, Attempts: 1}
	fields := b.ticket(j)
	fields["updated_at"] = b.now
	tx.Patch(recordPath(op.Record), fields)
	tx.Set(operationPath(op.ID), op)
	tx.Delete(operationPath(j.op.ID))
}
