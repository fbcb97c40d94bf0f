package channel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/reply"
	"emailchannel.dev/emailchannel/shared/route"
	"emailchannel.dev/emailchannel/shared/session"
)

// Respond writes auto-responses (AR-3 … AR-6): one for an event at the most,
// to the sender alone, and none where a cap would be passed. One that names the
// CRM's ticket waits for it, see [Flush].
type Respond struct {
	Docs    Docs
	Archive Archive
	Bus     Bus
	Secrets Secrets
	Config  *Configuration
	Now     Clock

	files sync.Map // content of settings' small files by object, which never changes
}

// Handle answers the mail of an event that has a scenario.
func (r *Respond) Handle(ctx context.Context, e event.Session) error {
	cat, err := r.Config.Load(ctx)
	if err != nil {
		return err
	}
	switch {
	case e.Scenario == "" || !cat.ByQueue[e.Queue].Response.On:
		return nil
	case !cat.Email:
		return r.keep(ctx, e)
	}
	s, m, err := r.read(ctx, e)
	if err != nil || s == nil || m == nil || m.NoAnswer != "" { // which an earlier delivery may have found
		return err
	}
	if !cat.Serving(e.Queue) {
		return r.unserved(ctx, cat, m, awaited(e))
	}
	if waits, err := r.awaits(ctx, cat, s, e); waits || err != nil {
		return err
	}
	if s, err = r.staffed(ctx, cat.ByQueue[e.Queue], s); err != nil {
		return err
	}
	return r.answer(ctx, cat, s, m, awaited(e))
}

// staffed has a session that waits assigned before an answer with the agent's
// name is written (AR-5). Route does the same at this moment, and else the
// customer would read of him or not as the two come in.
func (r *Respond) staffed(ctx context.Context, q Queue, s *Session) (*Session, error) {
	if !s.Waiting || !reply.Uses(q.Response.HTML, "agent") {
		return s, nil
	}
	assign := Assign{Docs: r.Docs, Bus: r.Bus, Config: r.Config, Now: r.Now}
	if err := assign.drain(ctx, s.Queue, s.ID); err != nil {
		return nil, err
	}
	now, err := get[Session](ctx, r.Docs, sessionPath(s.ID))
	if now == nil { // erased, which the transaction that stores the answer finds as well
		return s, err
	}
	return now, err
}

// answer writes the answer to the mail of an event, and hands it over.
func (r *Respond) answer(ctx context.Context, cat *Catalog, s *Session, m *Message, e event.Session) error {
	q := cat.ByQueue[e.Queue]
	from, ok := cat.Accounts[q.Response.Account]
	if !ok {
		from, ok = cat.Accounts[s.Account]
	}
	if !ok {
		return fault.Permanentf("queue %s: no account to answer from", q.ID)
	}
	l, err := r.write(ctx, cat, from, s, m, e)
	var bad *email.FieldError
	if errors.As(err, &bad) {
		return r.withhold(ctx, m, "cannot be answered: "+bad.Error())
	}
	if err != nil {
		return err
	}
	fault.Step(ctx, "respond.written")
	err = r.store(ctx, cat, l, e)
	var capped *cappedError
	if errors.As(err, &capped) {
		return r.withhold(ctx, m, capped.Error())
	}
	if err != nil && !errors.Is(err, ErrExists) { // exists: an earlier delivery got here, but perhaps no further
		return fmt.Errorf("store the answer to %s: %w", e.ID, err)
	}
	fault.Step(ctx, "respond.committed")
	return l.hand(ctx, r.Bus)
}

// keep notes that the event is owed an answer, so that Sweep publishes it again
// when the channel is ON (CH-1). Its Due would not do: the event may get here
// before the one who published it clears that.
func (r *Respond) keep(ctx context.Context, e event.Session) error {
	err := r.Docs.Write(ctx, func(tx Tx) {
		tx.Patch(historyPath(e.Session, e.ID), map[string]any{"kept": r.Now().UTC()})
	})
	if errors.Is(err, ErrMissing) {
		return nil // erased meanwhile
	}
	return err
}

// withhold stores why the mail gets no answer (AR-6).
func (r *Respond) withhold(ctx context.Context, m *Message, why string) error {
	return r.Docs.Write(ctx, func(tx Tx) {
		tx.Patch(messagePath(m.Session, m.ID), map[string]any{"no_answer": why})
	})
}

// unserved stores that the mail gets no answer because its queue is OFF (QU-1),
// unless an earlier delivery has answered it.
func (r *Respond) unserved(ctx context.Context, cat *Catalog, m *Message, e event.Session) error {
	have, err := get[Outbound](ctx, r.Docs, outboundPath(ResponseID(e.ID)))
	if err != nil || have != nil {
		return err
	}
	why := route.QueueOff
	if !cat.Queues {
		why = route.QueuesOff
	}
	return r.withhold(ctx, m, string(why))
}

// read loads the session and the message, wherever a merge has moved it.
func (r *Respond) read(ctx context.Context, e event.Session) (*Session, *Message, error) {
	for id := e.Session; id != ""; {
		var s Session
		var m Message
		refs := []*Ref{{Path: sessionPath(id), Into: &s}, {Path: messagePath(id, e.Message), Into: &m}}
		if err := r.Docs.Get(ctx, refs...); err != nil {
			return nil, nil, err
		}
		if refs[1].Found {
			return &s, &m, nil
		}
		id = s.MergedInto
	}
	return nil, nil, nil
}

func (r *Respond) write(ctx context.Context, cat *Catalog, from Account, s *Session, m *Message, e event.Session) (letter, error) {
	q := cat.ByQueue[e.Queue]
	v, err := r.values(ctx, cat, q, s, m)
	if err != nil {
		return letter{}, err
	}
	along := q.Response.attachments()
	inline, files := parts(along, func(f Attachment) (io.ReadCloser, error) { return r.file(ctx, f) })
	d := email.Draft{
		From: email.Address{Name: cat.Company, Addr: from.Address}, To: []email.Address{{Name: m.From.Name, Addr: m.From.Addr}},
		Subject: email.ReplySubject(m.Subject), InReplyTo: m.MessageID, References: references(*m), Date: dated(r.Now()),
		HTML:   reply.Render(q.Response.HTML, v),
		Inline: inline, Attachments: files,
		// RFC 3834 5; and what Exchange goes by: https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxcmail
		Headers: map[string]string{"Auto-Submitted": "auto-replied", "X-Auto-Response-Suppress": "All", "Precedence": "auto_reply"},
	}
	if from.OutboundOnly { // nobody reads there (AC-4)
		d.ReplyTo = email.Address{Addr: cat.Accounts[s.Account].Address}
	}
	l, err := pen{archive: r.Archive, secrets: r.Secrets, shared: along}.write(ctx, ResponseID(e.ID), from, *s, d)
	l.Auto, l.Message.Auto, l.Message.At = true, true, r.behind()
	return l, err
}

// behind is now to the fraction, as the mail that is answered may be of the same second, and a little later: where the
// clock stood still the answer would be listed before it.
func (r *Respond) behind() time.Time {
	return r.Now().UTC().Truncate(time.Microsecond).Add(time.Microsecond)
}

func (r *Respond) values(ctx context.Context, cat *Catalog, q Queue, s *Session, m *Message) (reply.Values, error) {
	now := r.Now()
	v := reply.Values{Consumer: reply.FirstName(m.From.Name, m.From.Addr), Queue: q.Name, Company: cat.Company, Now: now, Zone: q.Hours.Zone, Language: q.Language}
	v.NextWorking, _ = q.Hours.NextWorkingDate(now)
	if reply.Uses(q.Response.HTML, "ticket_id") {
		rec, err := get[CRMRecord](ctx, r.Docs, recordPath(s.ID))
		if err != nil {
			return v, err
		}
		if rec != nil {
			v.TicketID = rec.Ticket
		}
	}
	if s.Agent == "" || !reply.Uses(q.Response.HTML, "agent") {
		return v, nil
	}
	ag, err := get[Agent](ctx, r.Docs, agentPath(s.Agent))
	if ag != nil {
		v.Agent = reply.FirstName(ag.Name, ag.ID)
	}
	return v, err
}

// attachments are what goes out with the response.
func (r AutoResponse) attachments() []Attachment {
	shown := email.ContentIDs(r.HTML)
	var out []Attachment
	for i, f := range slices.Concat(r.Inline, r.Files) {
		out = append(out, Attachment{Name: f.Name, Type: f.Type, ContentID: f.ContentID, Inline: i < len(r.Inline) && slices.Contains(shown, f.ContentID), Size: f.Size, Object: f.Object})
	}
	return out
}

// maxKept is the size up to which a file is kept in memory: a logo goes out
// with every answer.
const maxKept = 256 << 10

func (r *Respond) file(ctx context.Context, f Attachment) (io.ReadCloser, error) {
	if kept, ok := r.files.Load(f.Object); ok {
		return io.NopCloser(bytes.NewReader(kept.([]byte))), nil
	}
	rc, err := r.Archive.Open(ctx, f.Object)
	if err != nil || f.Size <= 0 || f.Size > maxKept {
		return rc, err
	}
	defer rc.Close()
	content, err := io.ReadAll(rc)
	if err != nil {
		return nil, err
	}
	r.files.Store(f.Object, content)
	return io.NopCloser(bytes.NewReader(content)), nil
}

// cappedError tells that an answer would pass a cap.
type cappedError struct {
	sent   int
	to     string
	window time.Duration
}

func (c *cappedError) Error() string {
	return fmt.Sprintf("loop cap: %d answers %s in %s", c.sent, c.to, c.window)
}

// capped counts the answers of late to the address and in the session.
func capped(ctx context.Context, tx Tx, caps reply.Caps, hash, session string, sc reply.Scenario, now time.Time) error {
	if sc == reply.First { // a session that begins has had no answer yet
		caps.PerSession = 0
	}
	for _, c := range []struct {
		field, value, to string
		most             int
		allow            func(int) bool
	}{
		{"to_hash", hash, "to this address", caps.PerAddress, caps.Allow},
		{"session", session, "in this session", caps.PerSession, caps.AllowInSession},
	} {
		if c.most == 0 {
			continue
		}
		n, err := tx.Count(ctx, Query{Collection: "outbound", Where: []Where{{"auto", "==", true}, {c.field, "==", c.value}, {"created_at", ">", now.Add(-caps.Window)}}, Order: []Order{{Field: "created_at"}}}, c.most+1)
		if err != nil {
			return err
		}
		if !c.allow(n) {
			return &cappedError{n, c.to, caps.Window}
		}
	}
	return nil
}

// errMoved asks for another delivery, which finds the session that the mail is in.
var errMoved = errors.New("its session was merged meanwhile")

// store writes the answer, unless the address got too many of late. The count
// is part of the transaction, so two answers cannot both be the last allowed;
// so is a look at the session, as a merge would leave the answer behind.
func (r *Respond) store(ctx context.Context, cat *Catalog, l letter, e event.Session) error {
	return r.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		s, err := get[Session](ctx, tx, sessionPath(l.Session))
		if err != nil {
			return err
		}
		if s == nil || s.MergedInto != "" {
			return errMoved
		}
		now := r.Now().UTC()
		hash := digest(email.BaseAddress(l.To[0]))
		if err := capped(ctx, tx, cat.Caps, hash, l.Session, reply.Scenario(e.Scenario), now); err != nil {
			return r.unlessSent(ctx, tx, l.ID, err)
		}
		l.ToHash = hash
		l.put(tx)
		h := History{ID: "answer-" + e.ID, Session: l.Session, Kind: session.KindAutoReplied, At: r.behind(), Actor: ActorChannel, Queue: e.Queue, Message: l.Message.ID, Rule: e.Scenario}
		tx.Set(historyPath(h.Session, h.ID), h)
		return nil
	})
}

// unlessSent is why an answer is capped, or ErrExists: it may itself be the last that the caps allowed.
func (r *Respond) unlessSent(ctx context.Context, tx Tx, id string, capped error) error {
	have, err := get[Outbound](ctx, tx, outboundPath(id))
	if err == nil && have != nil {
		return ErrExists
	}
	if err != nil {
		return err
	}
	return capped
}
