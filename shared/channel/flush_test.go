package channel_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/session"
	"emailchannel.dev/emailchannel/shared/thread"
)

// A comment that comes after the storage period says so, rather than nothing.
func TestTheTicketIsToldOfDeletedContent(t *testing.T) {
	d := newDesks(t)
	settings := doc[channel.Settings](d, "settings/channel")
	settings.CRM.Kind, settings.CRM.Seconds, settings.Record = "zendesk", 1, crm.Default()
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) { tx.Set("settings/channel", settings) }); err != nil {
		t.Fatal(err)
	}
	d.keepFor(channel.Days30)
	id := d.receives(cleo)
	d.pass(31 * day)
	late := cleo
	late.id, late.uid, late.inReplyTo, late.text = "2@customer.example", 2, cleo.id, "Any news?"
	if s := d.receives(late); s != id {
		t.Fatalf("session %s, not %s", s, id)
	}
	d.run(d.purge())
	now := d.clock()
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		tx.Set("records/"+id, channel.CRMRecord{Session: id, CRM: "zendesk", Ticket: "77"})
		tx.Set("crmops/op1", channel.Operation{ID: "op1", Record: id, Kind: crm.Comment, State: channel.OpPending, Due: now, At: now})
	}); err != nil {
		t.Fatal(err)
	}
	told := &ledger{}
	flush := channel.Flush{Docs: d.docs, Bus: d.bus, Config: d.fresh(), Now: d.clock, Connect: func(context.Context, channel.CRMSettings) (channel.CRM, error) { return told, nil }}
	d.pass(time.Minute)
	if err := flush.Handle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(told.changed) != 2 {
		t.Fatalf("told: %+v", told.changed)
	}
	for i, want := range []string{"[The content was deleted", "Any news?"} {
		if body := told.changed[i].Body; !strings.Contains(body, want) || !strings.Contains(body, "Subject: Broken lamp") {
			t.Errorf("comment %d: %q", i, body)
		}
	}
}

// A tick waits for operations that are there or fall due meanwhile, and then
// connects to the CRM; for nothing else.
func TestATickWithoutOperationsDoesNotWait(t *testing.T) {
	for name, c := range map[string]struct {
		due   time.Duration
		state channel.OpState
		waits bool
	}{
		"one is due":        {-time.Minute, channel.OpPending, true},
		"one falls due":     {500 * time.Millisecond, channel.OpPending, true},
		"one is due later":  {time.Minute, channel.OpPending, false},
		"one is parked":     {-time.Minute, channel.OpParked, false},
		"there is none yet": {},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesks(t)
			settings := doc[channel.Settings](d, "settings/channel")
			settings.CRM.Kind, settings.CRM.Seconds = "zendesk", 1
			now := d.clock()
			if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
				tx.Set("settings/channel", settings)
				if c.state != "" {
					tx.Set("crmops/op1", channel.Operation{ID: "op1", Record: "s", Kind: crm.Comment, State: c.state, Due: now.Add(c.due), At: now})
				}
			}); err != nil {
				t.Fatal(err)
			}
			connected := false
			flush := channel.Flush{Docs: d.docs, Bus: d.bus, Config: d.fresh(), Now: d.clock, Connect: func(context.Context, channel.CRMSettings) (channel.CRM, error) {
				connected = true
				return &ledger{}, nil
			}}
			if err := flush.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			if connected != c.waits {
				t.Errorf("waited, and connected to the CRM: %t", connected)
			}
		})
	}
}

// A batch has one change of a ticket, which a session and its successor share: of two, nobody could tell which was refused.
func TestTwoSessionsOfOneTicket(t *testing.T) {
	d := newDesks(t)
	d.records("one", "77", crm.Update)
	d.records("two", "77", crm.Update)
	told := &batches{}
	d.flush(told)
	if len(told.sizes) != 2 || told.sizes[0] != 1 || told.sizes[1] != 1 {
		t.Errorf("batches of %v changes", told.sizes)
	}
}

// batches is a CRM that counts the changes of each call.
type batches struct {
	ledger
	sizes []int
}

func (b *batches) Apply(ctx context.Context, changes []channel.Change) []error {
	b.sizes = append(b.sizes, len(changes))
	return b.ledger.Apply(ctx, changes)
}

// records stores a session whose ticket is due for an operation.
func (d *desks) records(id, ticket string, kind crm.Kind) {
	d.Helper()
	now := d.clock()
	err := d.docs.Write(d.Context(), func(tx channel.Tx) {
		tx.Patch("settings/channel", map[string]any{"crm.kind": "zendesk", "crm.flush_seconds": 1, "record": crm.Default()})
		tx.Set("sessions/"+id, channel.Session{ID: id, Queue: "support", Subject: id, CreatedAt: now})
		tx.Set("records/"+id, channel.CRMRecord{Session: id, CRM: "zendesk", Ticket: ticket})
		tx.Set("crmops/"+id, channel.Operation{ID: id, Record: id, Kind: kind, State: channel.OpPending, Due: now, At: now})
	})
	if err != nil {
		d.Fatal(err)
	}
}

// operation stores one more update of a session.
func (d *desks) operation(id string) {
	d.Helper()
	now := d.clock()
	err := d.docs.Write(d.Context(), func(tx channel.Tx) {
		tx.Create("crmops/again-"+id, channel.Operation{ID: "again-" + id, Record: id, Kind: crm.Update, State: channel.OpPending, Due: now, At: now})
	})
	if err != nil {
		d.Fatal(err)
	}
}

// flush carries out what is due.
func (d *desks) flush(to channel.CRM) {
	d.Helper()
	f := channel.Flush{Docs: d.docs, Bus: d.bus, Config: d.fresh(), Now: d.clock, Connect: func(context.Context, channel.CRMSettings) (channel.CRM, error) { return to, nil }}
	if err := f.Handle(d.Context()); err != nil {
		d.Fatal(err)
	}
}

// Two changes of a session that are told at the same time are one, and an attempt whose answer was lost is looked up.
func TestAnUpdateIsToldOnce(t *testing.T) {
	d := newDesks(t)
	d.records("one", "77", crm.Update)
	to := &lossy{}
	d.flush(to)
	d.pass(time.Minute)
	d.flush(to)
	if len(to.changed) != 2 || to.changed[0].Lookup || !to.changed[1].Lookup {
		t.Fatalf("changes %+v", to.changed)
	}
	d.operation("one")
	d.flush(to)
	if len(to.changed) != 2 {
		t.Errorf("told again: %+v", to.changed[2:])
	}
	d.set("sessions/one", map[string]any{"agent": ana.ID})
	d.operation("one")
	d.flush(to)
	if n := len(to.changed); n != 3 || to.changed[2].Facts.AgentMail != ana.ID {
		t.Errorf("%d changes: %+v", n, to.changed)
	}
}

// A ticket that an attempt made whose answer was lost has the facts of then.
func TestATicketOfAnEarlierAttemptIsBroughtUpToDate(t *testing.T) {
	for _, made := range []bool{true, false} {
		d := newDesks(t)
		d.records("one", "", crm.Create)
		to := &finder{made: made}
		d.flush(to)
		if updated := len(to.changed) == 1 && to.changed[0].Facts != nil && to.changed[0].Lookup; updated == made {
			t.Errorf("made %v: changes %+v", made, to.changed)
		}
	}
}

// lossy is a CRM whose first answer is lost.
type lossy struct{ ledger }

func (l *lossy) Apply(ctx context.Context, changes []channel.Change) []error {
	errs := l.ledger.Apply(ctx, changes)
	if len(l.changed) == 1 {
		errs[0] = context.DeadlineExceeded
	}
	return errs
}

// finder is a CRM that has the ticket already, unless made.
type finder struct {
	ledger
	made bool
}

func (f *finder) Create(context.Context, string, crm.Facts, bool) (string, bool, error) {
	return "1", f.made, nil
}

func (d *desks) set(path string, fields map[string]any) {
	d.Helper()
	if err := d.docs.Write(d.Context(), func(tx channel.Tx) { tx.Patch(path, fields) }); err != nil {
		d.Fatal(err)
	}
}

// A change that the CRM has and is not done with is asked for, and is not sent again when it is refused in the end.
func TestAChangeUnderWayIsAskedFor(t *testing.T) {
	d := newDesks(t)
	id := d.receives(cleo)
	late := cleo
	late.id, late.uid, late.inReplyTo = "2@customer.example", 2, cleo.id
	d.receives(late)
	d.pass(time.Minute)
	d.records("one", "77", crm.Comment)
	now := d.clock()
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		tx.Delete("crmops/one")
		tx.Set("records/"+id, channel.CRMRecord{Session: id, CRM: "zendesk", Ticket: "77"})
		tx.Set("crmops/op", channel.Operation{ID: "op", Record: id, Kind: crm.Comment, State: channel.OpPending, Due: now, At: now})
	}); err != nil {
		t.Fatal(err)
	}
	to := &script{answers: []error{&crm.Unfinished{Job: "J1", Err: context.DeadlineExceeded}, &crm.Unfinished{Job: "J1", Err: context.DeadlineExceeded}, nil, fmt.Errorf("closed: %w", crm.ErrRefused)}}
	for range 3 {
		d.flush(to)
		d.pass(time.Hour)
	}
	var jobs []string
	for _, ch := range to.changed {
		jobs = append(jobs, ch.Job)
	}
	if want := []string{"", "J1", "J1", ""}; !slices.Equal(jobs, want) || to.changed[2].Post.ID != to.changed[0].Post.ID || to.changed[3].Post.ID == to.changed[0].Post.ID {
		t.Fatalf("jobs %q, not %q: %+v", jobs, want, to.changed)
	}
	if op := doc[channel.Operation](d, "crmops/op"); op.State != channel.OpParked || op.Job != "" {
		t.Errorf("%+v", op)
	}
}

// script is a CRM that answers one change after another.
type script struct {
	ledger
	answers []error
}

func (s *script) Apply(ctx context.Context, changes []channel.Change) []error {
	errs := s.ledger.Apply(ctx, changes)
	for i := range errs {
		errs[i], s.answers = s.answers[0], s.answers[1:]
	}
	return errs
}

// A long thread is not held in memory for one comment.
func TestALongThreadIsReadAsFarAsNeeded(t *testing.T) {
	d := newDesks(t)
	d.records("one", "77", crm.Comment)
	const n = 30
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		for i := range n {
			id := fmt.Sprintf("m%02d", i)
			tx.Set("sessions/one/messages/"+id, channel.Message{ID: id, Session: "one", Direction: channel.In, At: d.clock().Add(time.Duration(i-n) * time.Second)})
		}
	}); err != nil {
		t.Fatal(err)
	}
	d.pass(time.Second)
	docs := &decodes{Docs: d.docs}
	to := &script{answers: []error{nil, context.DeadlineExceeded}}
	f := channel.Flush{Docs: docs, Bus: d.bus, Config: d.fresh(), Now: d.clock, Connect: func(context.Context, channel.CRMSettings) (channel.CRM, error) { return to, nil }}
	if err := f.Handle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(to.changed) != 2 || to.changed[0].Post.ID != "m00" || to.changed[1].Post.ID != "m01" || docs.messages > 5 {
		t.Errorf("%d messages read for %+v", docs.messages, to.changed)
	}
}

// decodes counts the messages that are read by a query.
type decodes struct {
	channel.Docs
	messages int
}

func (c *decodes) Find(ctx context.Context, q channel.Query, each func(string, func(any) error) error) error {
	return c.Docs.Find(ctx, q, func(id string, decode func(any) error) error {
		if strings.HasSuffix(q.Collection, "/messages") {
			c.messages++
		}
		return each(id, decode)
	})
}

// Tickets are numbered in every CRM: one of another may be a stranger's here.
func TestATicketOfAnotherCRM(t *testing.T) {
	d := newDesks(t)
	id := d.receives(cleo)
	d.pass(time.Minute)
	d.records("moved", "77", crm.Update)
	for _, path := range []string{"records/moved", "records/" + id} {
		if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
			tx.Set(path, channel.CRMRecord{Session: strings.TrimPrefix(path, "records/"), CRM: "zendesk", Ticket: "77", Host: "sandbox.zendesk.com", Seq: 3})
		}); err != nil {
			t.Fatal(err)
		}
	}
	record := func() *channel.Record {
		return &channel.Record{Docs: d.docs, Bus: d.bus, Config: d.fresh(), Now: d.clock}
	}
	to := &ledger{}
	d.set("settings/channel", map[string]any{"crm.base_url": "https://live.zendesk.com"})
	d.flush(to)
	if op := doc[channel.Operation](d, "crmops/moved"); len(to.changed) != 0 || op.State != channel.OpParked || !strings.Contains(op.Reason, "sandbox.zendesk.com") {
		t.Errorf("%+v, changes %+v", op, to.changed)
	}
	s := d.session(id)
	e := event.Session{ID: "e1", Session: id, Queue: s.Queue, Kind: string(session.KindAssigned), Message: s.FirstMessage, At: d.clock()}
	if err := record().Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	e.ID, e.Kind = "e2", string(session.KindReceived)
	if err := record().Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	d.flush(to)
	rec := doc[channel.CRMRecord](d, "records/"+id)
	if len(to.created) != 1 || rec.Ticket != "1" || rec.Host != "live.zendesk.com" || rec.Seq < 4 {
		t.Errorf("%+v, created %+v", rec, to.created)
	}
	for _, ch := range to.changed {
		if ch.Ticket != "1" {
			t.Errorf("told ticket %s", ch.Ticket)
		}
	}
	d.set("settings/channel", map[string]any{"crm.base_url": "https://LIVE.zendesk.com:443/"}) // the same
	e.ID, e.Kind = "e3", string(session.KindAssigned)
	if err := record().Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	d.set("sessions/"+id, map[string]any{"agent": ana.ID})
	d.flush(to)
	if n := len(to.changed); n == 0 || to.changed[n-1].Facts == nil || to.changed[n-1].Ticket != "1" || len(to.created) != 1 {
		t.Errorf("changes %+v", to.changed)
	}
}

// A flush that was paused for longer than its lease lasts has another one at work beside it: no comment is made twice.
func TestTwoFlushesTellOnce(t *testing.T) {
	d := newDesks(t)
	id := d.receives(cleo)
	d.pass(time.Minute)
	d.records("other", "78", crm.Update)
	now := d.clock()
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		tx.Set("records/"+id, channel.CRMRecord{Session: id, CRM: "zendesk", Ticket: "77"})
		tx.Set("crmops/op", channel.Operation{ID: "op", Record: id, Kind: crm.Comment, State: channel.OpPending, Due: now, At: now})
	}); err != nil {
		t.Fatal(err)
	}
	to := &paused{d: d}
	d.flush(to)
	told := map[string]int{}
	for _, ch := range to.changed {
		told[ch.Ticket]++
	}
	if to.calls != 1 || told["77"] != 1 || told["78"] != 1 {
		t.Errorf("%d calls, told %v", to.calls, told)
	}
	if rec := doc[channel.CRMRecord](d, "records/"+id); len(rec.Posted) != 1 || !rec.BlockedUntil.IsZero() {
		t.Errorf("%+v", rec)
	}
	d.pass(time.Hour)
	d.flush(to)
	if to.calls != 1 {
		t.Errorf("told again: %+v", to.changed)
	}
}

// paused is a CRM during whose first call the lease is lost and another flush runs.
type paused struct {
	ledger
	d     *desks
	calls int
}

func (p *paused) Apply(ctx context.Context, changes []channel.Change) []error {
	if p.calls++; p.calls == 1 {
		if err := p.d.docs.Write(ctx, func(tx channel.Tx) { tx.Delete("leases/flush") }); err != nil {
			p.d.Fatal(err)
		}
		p.d.flush(p)
	}
	return p.ledger.Apply(ctx, changes)
}

// A batch whose answer was lost is looked up ticket by ticket, and yet leaves requests for the batch of the next attempt.
func TestLookupsLeaveRequestsForTheBatch(t *testing.T) {
	d := newDesks(t)
	const n = 60
	for i := range n {
		id := fmt.Sprintf("s%02d", i)
		d.records(id, id, crm.Update)
		d.set("crmops/"+id, map[string]any{"attempts": 1})
	}
	to := &metered{perMinute: 50}
	for range 3 {
		to.left = to.perMinute
		d.flush(to)
		d.pass(2 * time.Minute)
	}
	if len(to.changed) != n {
		t.Errorf("%d of %d changes came through in 3 minutes", len(to.changed), n)
	}
}

// metered is a CRM that takes so many requests a minute: one for a look-up, one for a batch.
type metered struct {
	ledger
	perMinute, left int
}

func (m *metered) Apply(ctx context.Context, changes []channel.Change) []error {
	spent := &crm.RetryAfter{Err: context.DeadlineExceeded, After: time.Minute}
	errs := make([]error, len(changes))
	var taken []channel.Change
	for i, ch := range changes {
		if errs[i] = spent; ch.Lookup && m.left > 0 {
			m.left--
			taken = append(taken, ch)
		}
	}
	if m.left == 0 || len(taken) < len(changes) {
		return errs
	}
	m.left--
	return m.ledger.Apply(ctx, taken)
}

// A session that is taken and given back while the answer of the CRM is lost is told of as it is now, and not as the lost attempt left the ticket.
func TestALostAttemptIsCorrected(t *testing.T) {
	d := newDesks(t)
	d.records("one", "77", crm.Update)
	to := &script{answers: []error{nil, context.DeadlineExceeded, nil}}
	d.flush(to)
	d.set("sessions/one", map[string]any{"agent": ana.ID})
	d.operation("one")
	d.flush(to)
	d.set("sessions/one", map[string]any{"agent": ""})
	d.pass(time.Hour)
	d.flush(to)
	if n := len(to.changed); n != 3 || !to.changed[n-1].Lookup || to.changed[n-1].Facts.AgentMail != "" {
		t.Errorf("the ticket was told last of %s: %+v", to.changed[n-1].Facts.AgentMail, to.changed)
	}
	if rec := doc[channel.CRMRecord](d, "records/one"); !rec.BlockedUntil.IsZero() {
		t.Errorf("%+v", rec)
	}
}

// A thread that goes on in another session before its ticket is made gets one ticket, which learns of both; the second
// gets its own only when there will be none.
func TestAThreadThatGoesOnBeforeItsTicket(t *testing.T) {
	for name, c := range map[string]struct {
		down   error // the CRM's answer to the first creation
		ticket string
	}{
		"the CRM is up":       {nil, "1"},
		"the CRM is down":     {context.DeadlineExceeded, "1"},
		"the CRM refuses one": {fmt.Errorf("no: %w", crm.ErrRefused), ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesks(t)
			d.records("one", "", crm.Create)
			d.goesOn("one", "a-two") // is looked at first
			to := &refuser{answers: []error{c.down}}
			for range 4 {
				d.flush(to)
				d.pass(time.Minute)
			}
			one, two := doc[channel.CRMRecord](d, "records/one"), doc[channel.CRMRecord](d, "records/a-two")
			if one.Ticket != c.ticket || two.Ticket != "1" || len(to.created) != 1 {
				t.Errorf("tickets %q and %q of %d", one.Ticket, two.Ticket, len(to.created))
			}
			if n := len(to.changed); (n == 1 && to.changed[0].Facts.SessionID == "a-two" && to.changed[0].Facts.AgentMail == ana.ID) != (c.ticket != "") {
				t.Errorf("%d changes: %+v", n, to.changed)
			}
		})
	}
}

// goesOn stores a session that goes on the thread of another one, and is due for a ticket and for a comment.
func (d *desks) goesOn(old, id string) {
	d.Helper()
	d.records(id, "", crm.Create)
	now := d.clock()
	if err := d.docs.Write(d.Context(), func(tx channel.Tx) {
		tx.Patch("sessions/"+old, map[string]any{"state": session.Closed})
		tx.Patch("sessions/"+id, map[string]any{"linked": old, "linked_by": thread.RuleExpired, "agent": ana.ID})
		tx.Create("crmops/comment-"+id, channel.Operation{ID: "comment-" + id, Record: id, Seq: 2, Kind: crm.Comment, State: channel.OpPending, Due: now, At: now})
	}); err != nil {
		d.Fatal(err)
	}
}

// refuser is a CRM that answers the first creations with errors.
type refuser struct {
	ledger
	answers []error
}

func (r *refuser) Create(ctx context.Context, key string, f crm.Facts, lookup bool) (string, bool, error) {
	if len(r.answers) > 0 {
		err := r.answers[0]
		if r.answers = r.answers[1:]; err != nil {
			return "", false, err
		}
	}
	return r.ledger.Create(ctx, key, f, lookup)
}

// A session that is assigned while its new ticket is being written down is told of: record sees no ticket to tell it.
func TestASessionMovesWhileItsTicketIsStored(t *testing.T) {
	d := newDesks(t)
	d.records("one", "", crm.Create)
	to := &ledger{}
	record := channel.Record{Docs: d.docs, Bus: d.bus, Config: d.fresh(), Now: d.clock}
	docs := &meanwhile{Docs: d.docs, act: func() bool {
		if len(to.created) == 0 {
			return false
		}
		d.set("sessions/one", map[string]any{"agent": ana.ID})
		if err := record.Handle(t.Context(), event.Session{ID: "e1", Session: "one", Queue: "support", Kind: string(session.KindAssigned), Agent: ana.ID, At: d.clock()}); err != nil {
			t.Fatal(err)
		}
		return true
	}}
	f := channel.Flush{Docs: docs, Bus: d.bus, Config: d.fresh(), Now: d.clock, Connect: func(context.Context, channel.CRMSettings) (channel.CRM, error) { return to, nil }}
	if err := f.Handle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(to.created) != 1 || len(to.changed) != 1 || to.changed[0].Facts.AgentMail != ana.ID {
		t.Errorf("created %+v, changes %+v", to.created, to.changed)
	}
}

// meanwhile is a database in which somebody acts just before a transaction, once.
type meanwhile struct {
	channel.Docs
	act func() bool
}

func (m *meanwhile) before() {
	if act := m.act; act != nil {
		if m.act = nil; !act() {
			m.act = act
		}
	}
}

func (m *meanwhile) Write(ctx context.Context, f func(channel.Tx)) error {
	m.before()
	return m.Docs.Write(ctx, f)
}

func (m *meanwhile) Update(ctx context.Context, f func(context.Context, channel.Tx) error) error {
	m.before()
	return m.Docs.Update(ctx, f)
}
