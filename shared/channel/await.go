package channel

import (
	"context"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/reply"
	"emailchannel.dev/emailchannel/shared/session"
)

// An auto-response whose text names the ticket waits until that is made (AR-5):
// its event is acknowledged, and an entry of the history takes the event's
// place. Flush publishes the entry when it has made the ticket, or when the
// wait is over; should that be lost, Sweep does. The answer's ID is that of the
// first event, so that whoever comes later finds it written.

// awaitMost is the longest that an answer waits, after which the tag's fallback
// stands for the ticket. Flush looks each minute, and the answer has to be written.
const awaitMost = 5*time.Minute - time.Minute - 10*time.Second

// awaitFor bounds how long one look at those that wait takes; the next goes on.
const awaitFor = 30 * time.Second

// awaitPrefix begins the ID of the entry that waits in an event's place.
const awaitPrefix = "await-"

// awaited is the event that an entry stood for.
func awaited(e event.Session) event.Session {
	if session.Kind(e.Kind) == session.KindAwaiting {
		e.ID = strings.TrimPrefix(e.ID, awaitPrefix)
	}
	return e
}

// namesTicket tells whether the response goes out with the ticket's ID.
func (r AutoResponse) namesTicket() bool { return r.On && reply.Uses(r.HTML, "ticket_id") }

// awaits has the answer wait unless the ticket is known, none will be made, or
// it waited long enough. One look at the record and the entry is a transaction:
// either the ticket is there, or flush finds the entry when it has made it.
func (r *Respond) awaits(ctx context.Context, cat *Catalog, s *Session, e event.Session) (waits bool, err error) {
	due := e.At.Add(awaitMost)
	if !cat.ByQueue[e.Queue].Response.namesTicket() || !cat.hasCRM() || session.Kind(e.Kind) == session.KindAwaiting || !r.Now().Before(due) {
		return false, nil
	}
	err = r.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		var rec CRMRecord
		h := History{ID: awaitPrefix + e.ID, Session: s.ID}
		path := historyPath(h.Session, h.ID)
		refs := []*Ref{{Path: recordPath(s.ID), Into: &rec}, {Path: path, Into: &History{}}}
		if err := tx.Get(ctx, refs...); err != nil {
			return err
		}
		exists := refs[0].Found || len(crm.Decide(crm.Inbound, cat.Record, crm.Record{})) > 0
		if waits = refs[1].Found || rec.Ticket == "" && exists; !waits || refs[1].Found { // found: an earlier delivery got here
			return nil
		}
		h.Kind, h.At, h.Actor, h.Due = session.KindAwaiting, r.Now().UTC(), ActorChannel, due.UTC()
		h.Queue, h.Message, h.Rule, h.Scenario = e.Queue, e.Message, e.Scenario, e.Scenario
		tx.Create(path, h)
		return nil
	})
	if err == nil && waits {
		fault.Step(ctx, "respond.awaiting")
	}
	return waits, err
}

// awaiting finds the entries of answers that wait, of one session or of all.
func awaiting(q Query, op string, due time.Time) Query {
	q.Where = []Where{{"kind", "==", string(session.KindAwaiting)}, {"due", op, due}}
	q.Order = []Order{{Field: "due"}}
	return q
}

// release publishes the answers that waited for a session's ticket, which is
// stored by now. Where no text names a ticket there are none, and none are read.
func (f *Flush) release(ctx context.Context, cat *Catalog, id string) error {
	if !cat.namesTicket() {
		return nil
	}
	q := awaiting(Query{Collection: "sessions/" + id + "/history"}, ">", time.Unix(0, 0).UTC())
	return pages(ctx, f.Docs, q, time.Now().Add(awaitFor), func(d found[History]) error { return announce(ctx, f.Bus, f.Docs, "flush", d.v) })
}

// overdue publishes the answers that waited long enough.
func (f *Flush) overdue(ctx context.Context, cat *Catalog) error {
	if !cat.namesTicket() {
		return nil
	}
	q := awaiting(Query{Collection: "history", Group: true}, "<=", f.Now().UTC())
	return pages(ctx, f.Docs, q, time.Now().Add(awaitFor), func(d found[History]) error { return announce(ctx, f.Bus, f.Docs, "flush", d.v) })
}

// namesTicket tells whether a queue's answer goes out with a ticket's ID.
func (c *Catalog) namesTicket() bool {
	for _, q := range c.ByQueue {
		if q.Response.namesTicket() {
			return true
		}
	}
	return false
}

// hasCRM tells whether anything is recorded at all.
func (c *Catalog) hasCRM() bool { return c.CRM.Kind != "" && c.CRM.Kind != "none" }
