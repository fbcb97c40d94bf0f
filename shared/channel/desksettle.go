package channel

import (
	"context"
	"fmt"

	"emailchannel.dev/emailchannel/shared/session"
)

// Resolution is what people decide about a mail whose fate nobody knows (AG-3).
type Resolution string

// The resolutions.
const (
	MarkAccepted Resolution = "accepted" // it arrived: the Sent folder or the recipient says so
	SendAgain    Resolution = "resend"   // it did not: one more attempt, with the same Message-ID
)

// Settle decides about an uncertain mail, once.
func (d *Desk) Settle(ctx context.Context, who Actor, id string, r Resolution) (*Outbound, error) {
	if r != MarkAccepted && r != SendAgain {
		return nil, &Invalid{[]Field{{"resolution", fmt.Sprintf("%q is neither %q nor %q", r, MarkAccepted, SendAgain)}}}
	}
	if !plainID(id) {
		return nil, notFound("outbound mail", id)
	}
	var o *Outbound
	err := d.Docs.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		if o, err = get[Outbound](ctx, tx, outboundPath(id)); err != nil {
			return err
		}
		if o == nil {
			return ErrNotFound
		}
		s, _, err := visible(ctx, tx, who, o.Session)
		if err != nil {
			return err
		}
		if o.State != Uncertain {
			return conflict("it is %s, not uncertain", o.State)
		}
		now := d.Now().UTC()
		o.State, o.UpdatedAt, o.Answer = Accepted, now, "marked as accepted by "+who.ID
		fields := map[string]any{"due": nil}
		if r == SendAgain {
			o.State, o.Attempts, o.Due, o.Answer = Queued, 0, now.Add(overdue), "sent again by "+who.ID
			fields["due"], fields["looks"] = o.Due, nil
		}
		fields["state"], fields["attempts"], fields["updated_at"], fields["answer"] = o.State, o.Attempts, now, o.Answer
		tx.Patch(outboundPath(id), fields)
		kind := session.KindSent
		if r == SendAgain {
			kind = session.KindAnswered
		}
		h := quiet(s, kind, fmt.Sprintf("settled-%s-%d", id, now.UnixNano()), who.ID, now)
		h.Message, h.From, h.To, h.Note = o.Message, string(Uncertain), string(o.State), o.Answer
		tx.Set(historyPath(s.ID, h.ID), h)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("outbound mail %s: %w", id, err)
	}
	if o.State == Queued {
		d.dispatch(ctx, *o)
	}
	return o, nil
}
