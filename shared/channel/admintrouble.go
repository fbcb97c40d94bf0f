package channel

import (
	"context"
	"encoding/json"
	"fmt"

	"emailchannel.dev/emailchannel/shared/event"
)

// Quarantine lists the mails that could not be processed, the latest first (AC-7).
func (a *Admin) Quarantine(ctx context.Context, p PageRequest) (*Page[Quarantined], error) {
	return page(ctx, a.Docs, latest("quarantine"), p, func(q Quarantined) position { return position{q.At, q.ID} })
}

func latest(collection string, where ...Where) Query {
	return Query{Collection: collection, Where: where, Order: []Order{{Field: "at", Desc: true}, {Field: "id", Desc: true}}}
}

// RetryQuarantined has a mail processed once more; one that was set aside for
// its sender passes now. Its entry goes when that is
// asked for; should it fail again, there is a new one.
func (a *Admin) RetryQuarantined(ctx context.Context, id string) error {
	q, err := one[Quarantined](ctx, a.Docs, "quarantined mail", id, quarantineID)
	if err != nil {
		return err
	}
	q.Event.Passed = true
	return q.again(ctx, a.Docs, a.Bus)
}

func quarantineID(id string) string { return "quarantine/" + id }

// removeIf deletes a document unless it is another by now.
func removeIf[T any](ctx context.Context, docs Docs, path string, same func(T) bool) error {
	return docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		v, err := get[T](ctx, tx, path)
		if err == nil && v != nil && same(*v) {
			tx.Delete(path)
		}
		return err
	})
}

// DeadLetters lists the messages that a subscription gave up on, the latest first.
func (a *Admin) DeadLetters(ctx context.Context, p PageRequest) (*Page[DeadLetter], error) {
	return page(ctx, a.Docs, latest("deadletters"), p, func(d DeadLetter) position { return position{d.At, d.ID} })
}

// ReplayDeadLetter publishes a message again. All its consumers get it; those
// that had it know that.
func (a *Admin) ReplayDeadLetter(ctx context.Context, id string) error {
	d, err := one[DeadLetter](ctx, a.Docs, "dead letter", id, deadLetterPath)
	if err != nil {
		return err
	}
	if d.Topic == "" {
		return conflict("dead letter %s does not tell its topic", id)
	}
	m := event.Message{Data: d.Data, Attributes: d.Attributes}
	if d.Topic == event.TopicSession || d.Topic == event.TopicQueue {
		var e event.Queue // both order by their queue
		if json.Unmarshal(d.Data, &e) == nil {
			m.Key = e.Queue
		}
	}
	if err := a.Bus.Publish(ctx, d.Topic, m); err != nil {
		return fmt.Errorf("replay dead letter %s: %w", id, err)
	}
	return removeIf(ctx, a.Docs, deadLetterPath(id), func(now DeadLetter) bool { return now.At.Equal(d.At) })
}

// DeleteDeadLetter gives a message up.
func (a *Admin) DeleteDeadLetter(ctx context.Context, id string) error {
	if _, err := one[DeadLetter](ctx, a.Docs, "dead letter", id, deadLetterPath); err != nil {
		return err
	}
	return a.Docs.Write(ctx, func(tx Tx) { tx.Delete(deadLetterPath(id)) })
}

// Outbounds lists the mails on their way out that are in a state, those that
// changed last first; [Desk.Settle] decides about the uncertain ones.
func (a *Admin) Outbounds(ctx context.Context, state OutState, p PageRequest) (*Page[Outbound], error) {
	var bad Invalid
	bad.oneOf("state", string(state), string(Queued), string(Sending), string(Accepted), string(Rejected), string(Uncertain))
	if err := bad.err(); err != nil {
		return nil, err
	}
	q := Query{Collection: "outbound", Where: []Where{{"state", "==", string(state)}}, Order: []Order{{Field: "updated_at", Desc: true}, {Field: "id", Desc: true}}}
	return page(ctx, a.Docs, q, p, func(o Outbound) position { return position{o.UpdatedAt, o.ID} })
}

// Operations lists the CRM operations in a state, the latest first.
func (a *Admin) Operations(ctx context.Context, state OpState, p PageRequest) (*Page[Operation], error) {
	var bad Invalid
	bad.oneOf("state", string(state), string(OpPending), string(OpParked))
	if err := bad.err(); err != nil {
		return nil, err
	}
	return page(ctx, a.Docs, latest("crmops", Where{"state", "==", string(state)}), p, func(o Operation) position { return position{o.At, o.ID} })
}

// ReplayOperation makes a parked CRM operation due again (CR-7). How often it
// was tried stays: a second attempt looks first whether an earlier one worked.
func (a *Admin) ReplayOperation(ctx context.Context, id string) (*Operation, error) {
	if !plainID(id) {
		return nil, notFound("CRM operation", id)
	}
	var op *Operation
	err := a.Docs.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		if op, err = get[Operation](ctx, tx, operationPath(id)); err != nil {
			return err
		}
		if op == nil {
			return ErrNotFound
		}
		if op.State != OpParked {
			return conflict("it is %s, not parked", op.State)
		}
		op.State, op.Due, op.Reason = OpPending, a.Now().UTC(), ""
		tx.Patch(operationPath(id), map[string]any{"state": op.State, "due": op.Due, "reason": nil})
		tx.Patch(recordPath(op.Record), map[string]any{"blocked_until": nil})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("CRM operation %s: %w", id, err)
	}
	return op, a.Bus.Publish(ctx, event.TopicFlush, event.Encode(event.Flush{Stored: true}))
}
