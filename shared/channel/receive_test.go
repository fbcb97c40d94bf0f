package channel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/session"
)

// flakyArchive is an archive that can be away.
type flakyArchive struct {
	*deskArchive
	down error
}

func (a *flakyArchive) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if a.down != nil {
		return nil, a.down
	}
	return a.deskArchive.Open(ctx, name)
}

// arrive archives a mail of the customer and returns its event.
func (d *desks) arrive(id, fields string) event.Received {
	d.Helper()
	return d.mail("support", fmt.Sprintf("From: Cleo Customer <cleo@customer.example>\r\nTo: support@example.com\r\nSubject: Broken lamp\r\nMessage-ID: <%s@customer.example>\r\n%s\r\nIt broke.\r\n", id, fields))
}

// mail archives a mail that came in on an account and returns its event.
func (d *desks) mail(account, raw string) event.Received {
	d.Helper()
	src := event.Source{Account: account, Folder: "INBOX", UIDValidity: 1, UID: uint32(d.clock().Unix())}
	if err := d.archive.Put(d.Context(), src.Key(), "message/rfc822", strings.NewReader(raw)); err != nil {
		d.Fatal(err)
	}
	return event.Received{Source: src, Object: src.Key(), ReceivedAt: d.clock(), Size: int64(len(raw))}
}

func (d *desks) receive(archive channel.Archive) *channel.Receive {
	return &channel.Receive{Docs: d.docs, Archive: archive, Bus: d.bus, Secrets: d.secrets, Config: d.desk.Config, Now: d.clock, Limits: email.DefaultLimits()}
}

func (d *desks) quarantine() []channel.Quarantined {
	d.Helper()
	p, err := d.admin.Quarantine(d.Context(), channel.PageRequest{})
	if err != nil {
		d.Fatal(err)
	}
	return p.Items
}

// Whoever hands the channel a mailbox that has served for years does not want each customer of those years answered.
func TestMailFromBeforeTheAccount(t *testing.T) {
	d := newDesks(t)
	added := d.clock()
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		tx.Patch("accounts/support", map[string]any{"created_at": added})
		tx.Patch("settings/channel", map[string]any{"version": channel.Inc(1)})
	}); err != nil {
		t.Fatal(err)
	}
	d.desk.Config = channel.NewConfiguration(d.docs)
	for id, c := range map[string]struct {
		at       time.Time
		answered bool
	}{"years": {added.AddDate(-3, 0, 0), false}, "minutes": {added.Add(-5 * time.Minute), true}, "after": {added.Add(time.Second), true}, "unknown": {time.Time{}, true}} {
		e := d.arrive(id, "")
		e.ReceivedAt = c.at
		if err := d.receive(d.archive).Handle(t.Context(), e, 1); err != nil {
			t.Fatal(err)
		}
		m := doc[channel.Mail](d, "mails/"+email.Fingerprint(id+"@customer.example"))
		msg := doc[channel.Message](d, "sessions/"+m.Session+"/messages/"+email.Fingerprint(id+"@customer.example"))
		if answered := msg.NoAnswer == ""; answered != c.answered {
			t.Errorf("%s: no answer because %q", id, msg.NoAnswer)
		}
	}
}

// An outage that outlasts a mail's deliveries must cost it time and no more (AC-7, OP-4).
func TestQuarantineOfAnOutageComesBack(t *testing.T) {
	d := newDesks(t)
	flaky := &flakyArchive{deskArchive: d.archive, down: errors.New("storage: 503")}
	receive := d.receive(flaky)
	sweep := channel.Sweep{Docs: d.docs, Bus: d.bus, Config: d.desk.Config, Now: d.clock}
	e := d.arrive("outage", "")
	for attempt := range 9 {
		if err := receive.Handle(t.Context(), e, attempt+1); err == nil {
			t.Fatal("given up after", attempt+1)
		}
	}
	for round, wait := range []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour} {
		if err := receive.Handle(t.Context(), e, 10); err != nil {
			t.Fatal(err)
		}
		q := d.quarantine()
		if len(q) != 1 || !strings.Contains(q[0].Reason, "503") || q[0].Retry.Sub(q[0].At) != wait {
			t.Fatalf("round %d: %+v", round, q)
		}
		before := d.bus.count(event.TopicReceived)
		d.pass(wait - time.Minute)
		if err := sweep.Handle(t.Context()); err != nil || d.bus.count(event.TopicReceived) != before {
			t.Fatalf("round %d: %v, published early", round, err)
		}
		d.pass(time.Minute)
		if err := sweep.Handle(t.Context()); err != nil || d.bus.count(event.TopicReceived) != before+1 || len(d.quarantine()) != 0 {
			t.Fatalf("round %d: %v, not published", round, err)
		}
		e.Round++
	}
	flaky.down = nil
	if err := receive.Handle(t.Context(), e, 1); err != nil || len(d.quarantine()) != 0 {
		t.Fatal(err, d.quarantine())
	}
	if p, err := d.read.Sessions(t.Context(), sam, channel.Filter{}, channel.PageRequest{}); err != nil || len(p.Items) != 1 {
		t.Fatal(p, err)
	}
}

// What fails for good waits for people.
func TestQuarantineForGood(t *testing.T) {
	d := newDesks(t)
	d.archive.objects["empty"] = []byte("\r\n")
	e := event.Received{Source: event.Source{Account: "support", UID: 1}, Object: "empty"}
	if err := d.receive(d.archive).Handle(t.Context(), e, 1); err != nil {
		t.Fatal(err)
	}
	if q := d.quarantine(); len(q) != 1 || !q[0].Retry.IsZero() {
		t.Fatalf("%+v", q)
	}
}

// twoRoots receives two mails that begin a session each, and then gives the
// mail between them: the second answers it, and it answers the first.
func (d *desks) twoRoots() (first, second string, joint event.Received) {
	d.Helper()
	receive := d.receive(d.archive)
	for _, e := range []event.Received{d.arrive("a", ""), d.arrive("b", "In-Reply-To: <c@customer.example>\r\n")} {
		if err := receive.Handle(d.Context(), e, 1); err != nil {
			d.Fatal(err)
		}
	}
	first = doc[channel.Mail](d, "mails/"+email.Fingerprint("a@customer.example")).Session
	second = doc[channel.Mail](d, "mails/"+email.Fingerprint("b@customer.example")).Session
	if first == second {
		d.Fatal("one session already")
	}
	return first, second, d.arrive("c", "In-Reply-To: <a@customer.example>\r\n")
}

// mergingArchive has the two sessions merged while an answer is composed.
type mergingArchive struct {
	*deskArchive
	merge func()
}

func (a *mergingArchive) Put(ctx context.Context, name, kind string, r io.Reader) error {
	if err := a.deskArchive.Put(ctx, name, kind, r); err != nil {
		return err
	}
	if a.merge != nil {
		a.merge()
		a.merge = nil
	}
	return nil
}

// An answer follows its mail, whenever the session is merged.
func TestAnswerFollowsAMerge(t *testing.T) {
	d := newDesks(t)
	q := doc[channel.Queue](d, "queues/support")
	q.Response = channel.AutoResponse{On: true, HTML: "<p>We got it.</p>"}
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		tx.Set("queues/support", q)
		tx.Patch("settings/channel", map[string]any{"version": channel.Inc(1)})
	}); err != nil {
		t.Fatal(err)
	}
	first, second, joint := d.twoRoots()
	m := doc[channel.Message](d, "sessions/"+second+"/messages/"+email.Fingerprint("b@customer.example"))
	archive := &mergingArchive{deskArchive: d.archive, merge: func() {
		if err := d.receive(d.archive).Handle(t.Context(), joint, 1); err != nil {
			t.Error(err)
		}
	}}
	respond := channel.Respond{Docs: d.docs, Archive: archive, Bus: d.bus, Config: channel.NewConfiguration(d.docs), Now: d.clock}
	e := event.Session{ID: "received-" + m.ID, Session: second, Queue: "support", Kind: string(session.KindReceived), Message: m.ID, Scenario: "first"}
	if err := respond.Handle(t.Context(), e); err == nil {
		t.Fatal("stored in a session that is no more")
	}
	if err := respond.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	o := doc[channel.Outbound](d, "outbound/"+channel.ResponseID(e.ID))
	if o.Session != first {
		t.Errorf("the answer is in %s, the conversation in %s", o.Session, first)
	}
	doc[channel.Message](d, "sessions/"+first+"/messages/"+o.Message)
}

// read decodes an event that was published.
func read(t *testing.T, m event.Message, e any) {
	t.Helper()
	if err := json.Unmarshal(m.Data, e); err != nil {
		t.Fatal(err)
	}
}

// ledger is a CRM that only notes what it is told.
type ledger struct {
	created []crm.Facts
	changed []channel.Change
}

func (l *ledger) Create(_ context.Context, _ string, f crm.Facts, _ bool) (string, bool, error) {
	l.created = append(l.created, f)
	return fmt.Sprint(len(l.created)), true, nil
}

func (l *ledger) Apply(_ context.Context, changes []channel.Change) []error {
	l.changed = append(l.changed, changes...)
	return make([]error, len(changes))
}

// The ticket of a session that was merged is ended; one that was not made yet is not made.
func TestTicketOfAMergedSession(t *testing.T) {
	for _, made := range []bool{true, false} {
		t.Run(fmt.Sprintf("made=%t", made), func(t *testing.T) {
			d := newDesks(t)
			settings := doc[channel.Settings](d, "settings/channel")
			settings.CRM.Kind, settings.CRM.Seconds = "zendesk", 1
			if err := d.docs.Write(t.Context(), func(tx channel.Tx) { tx.Set("settings/channel", settings) }); err != nil {
				t.Fatal(err)
			}
			crm := &ledger{}
			config := channel.NewConfiguration(d.docs)
			record := channel.Record{Docs: d.docs, Bus: d.bus, Config: config, Now: d.clock}
			flush := channel.Flush{Docs: d.docs, Bus: d.bus, Config: config, Now: d.clock, Connect: func(context.Context, channel.CRMSettings) (channel.CRM, error) { return crm, nil }}
			told := 0
			tell := func() {
				t.Helper()
				for _, m := range d.bus.sent[event.TopicSession][told:] {
					told++
					var e event.Session
					read(t, m, &e)
					if err := record.Handle(t.Context(), e); err != nil {
						t.Fatal(err)
					}
				}
			}
			first, second, joint := d.twoRoots()
			tell()
			if made {
				if err := flush.Handle(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.receive(d.archive).Handle(t.Context(), joint, 1); err != nil {
				t.Fatal(err)
			}
			tell()
			d.pass(time.Minute)
			if err := flush.Handle(t.Context()); err != nil {
				t.Fatal(err)
			}
			if made {
				if len(crm.created) != 2 || len(crm.changed) != 1 || crm.changed[0].Facts.SessionID != second || crm.changed[0].Facts.MergedInto != first {
					t.Errorf("created %+v, changed %+v", crm.created, crm.changed)
				}
			} else if len(crm.created) != 1 || crm.created[0].SessionID != first || len(crm.changed) != 0 {
				t.Errorf("created %+v, changed %+v", crm.created, crm.changed)
			}
			for _, state := range []channel.OpState{channel.OpPending, channel.OpParked} {
				if p, err := d.admin.Operations(t.Context(), state, channel.PageRequest{}); err != nil || len(p.Items) != 0 {
					t.Errorf("%s: %+v, %v", state, p.Items, err)
				}
			}
		})
	}
}

// A mail whose text does not fit a document is there with what fits, and says so (OP-5).
func TestAMailThatFitsNoDocument(t *testing.T) {
	text, html := strings.Repeat("A line of it.\r\n", 50<<10), strings.Repeat("<p>A line of it.</p>\r\n", 50<<10)
	for name, body := range map[string]string{
		"html": "Content-Type: text/html\r\n\r\n" + html,
		"both": "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n" + text + "\r\n--b\r\nContent-Type: text/html\r\n\r\n" + html + "\r\n--b--\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesks(t)
			e := d.mail("support", "From: cleo@customer.example\r\nTo: support@example.com\r\nMessage-ID: <big@customer.example>\r\n"+body)
			if err := d.receive(d.archive).Handle(t.Context(), e, 1); err != nil {
				t.Fatal(err)
			}
			m := d.message(doc[channel.Mail](d, "mails/"+email.Fingerprint("big@customer.example")).Session, email.Fingerprint("big@customer.example"))
			if len(m.Text) < 400<<10 || len(m.HTML) < 400<<10 || !slices.Contains(m.Degraded, "limit:document") {
				t.Errorf("%d bytes of text, %d of HTML, degraded %q", len(m.Text), len(m.HTML), m.Degraded)
			}
		})
	}
}

// A mail that shows two sessions to be one is received, also where there is too much to move.
func TestASessionTooLargeToMerge(t *testing.T) {
	d := newDesks(t)
	first, second, joint := d.twoRoots()
	for i := range 13 {
		if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
			m := channel.Message{ID: fmt.Sprint("m", i), Session: second, Direction: channel.In, At: d.clock(), HTML: strings.Repeat("x", 900<<10)}
			tx.Set("sessions/"+second+"/messages/"+m.ID, m)
			tx.Set("mails/"+m.ID, channel.Mail{State: channel.Stored, Session: second})
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.receive(d.archive).Handle(t.Context(), joint, 1); err != nil {
		t.Fatal(err)
	}
	if s := d.session(second); s.MergedInto != "" || s.Messages != 1 {
		t.Errorf("the large session: %+v", s)
	}
	d.message(first, email.Fingerprint("c@customer.example"))
}

// What one queue writes to another is in the other's mailbox, and the answer to it in the first one's session.
func TestMailBetweenQueues(t *testing.T) {
	d := newDesks(t)
	dora := channel.Actor{ID: "dora@example.com", Role: channel.RoleAgent}
	id := d.inbound("support")
	arrive := func(account, raw string) {
		t.Helper()
		for range 2 { // a second delivery changes nothing
			if err := d.receive(d.archive).Handle(t.Context(), d.mail(account, raw), 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	sessions := func(queue string) []channel.Session {
		t.Helper()
		p, err := d.read.Sessions(t.Context(), sam, channel.Filter{Queue: queue}, channel.PageRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return p.Items
	}
	asked, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "k", Text: "We look into it.", Cc: []email.Address{{Addr: "billing@example.com"}}})
	if err != nil {
		t.Fatal(err)
	}
	arrive("support", d.content(asked.Outbound.Object)) // our own mailbox: one message
	arrive("billing", d.content(asked.Outbound.Object))
	b := sessions("billing")
	if len(b) != 1 || b[0].Linked != id || b[0].Messages != 1 || b[0].Consumer.Addr != "support@example.com" || len(sessions("support")) != 1 || sessions("support")[0].Messages != 2 {
		t.Fatalf("%+v\n%+v", b, sessions("support"))
	}
	answer, err := d.desk.Reply(t.Context(), dora, b[0].ID, channel.Words{Key: "k", Text: "It is paid."})
	if err != nil {
		t.Fatal(err)
	}
	arrive("support", d.content(answer.Outbound.Object))
	s := sessions("support")
	if len(s) != 1 || s[0].Messages != 3 || len(sessions("billing")) != 1 || sessions("billing")[0].Messages != 2 {
		t.Errorf("%+v\n%+v", s, sessions("billing"))
	}
	msgs, err := d.read.Messages(t.Context(), sam, b[0].ID, channel.PageRequest{})
	if err != nil || len(msgs.Items) != 2 || !slices.ContainsFunc(msgs.Items, func(m channel.Message) bool { return m.NoAnswer == "own address" }) {
		t.Errorf("a machine would answer our own mail: %+v, %v", msgs, err)
	}
}

// A closed session stays in its queue when that is deleted. Opened again, it is in the one that takes the mail by then.
func TestAClosedSessionOutlivesItsQueue(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.receives(cleo)
	d.ok(d.desk.Assign(ctx, sam, id, ana.ID))
	if err := d.docs.Write(ctx, func(tx channel.Tx) {
		tx.Patch("sessions/"+id, map[string]any{"state": session.Closed})
		tx.Patch("agents/"+ana.ID, map[string]any{"open": 0})
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.admin.DeleteQueue(ctx, "support", ""); err != nil {
		t.Fatal(err)
	}
	d.put("billing", func(q *channel.Queue) { q.Accounts = append(q.Accounts, "support") })
	again := cleo
	again.id, again.uid, again.inReplyTo = "2@customer.example", 2, cleo.id
	if got := d.receives(again); got != id {
		t.Fatalf("session %s, not %s", got, id)
	}
	if s := d.session(id); s.State != session.Reopened || s.Queue != "billing" || s.Account != "support" || s.Agent != "" || !s.Waiting || d.open(ana.ID) != 0 {
		t.Errorf("%+v", s)
	}
}

// Devices give all their mails one Message-ID and none a date.
func TestReusedMessageIDWithoutDate(t *testing.T) {
	d := newDesks(t)
	for i, body := range []string{"one", "two", "one", "two"} {
		raw := "From: scanner@customer.example\r\nTo: support@example.com\r\nSubject: Scan\r\nMessage-ID: <scan@customer.example>\r\n\r\n" + body + "\r\n"
		if err := d.receive(d.archive).Handle(t.Context(), d.mail("support", raw), 1); err != nil {
			t.Fatal(err)
		}
		p, err := d.read.Sessions(t.Context(), sam, channel.Filter{}, channel.PageRequest{})
		if err != nil || len(p.Items) != min(i+1, 2) {
			t.Fatalf("%d sessions after mail %d, %v", len(p.Items), i+1, err)
		}
	}
}

// Which queue gets a mail to several does not depend on whose mailbox is polled first.
func TestMailToSeveralQueues(t *testing.T) {
	for _, c := range []struct{ name, fields, by, queue string }{
		{"To before Cc", "To: support@example.com\r\nCc: billing@example.com\r\n", "billing", "support"},
		{"the first of To", "To: Billing+x@example.com, support@example.com\r\n", "support", "billing"},
		{"To a stranger", "To: eve@elsewhere.example\r\nCc: support@example.com, billing@example.com\r\n", "billing", "support"},
		{"forwarded by a rule", "To: support@example.com\r\n", "billing", "billing"},
		{"a blind copy", "To: eve@elsewhere.example\r\n", "billing", "billing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesks(t)
			raw := "From: Cleo <cleo@customer.example>\r\n" + c.fields + "Subject: Lamp\r\nMessage-ID: <s@customer.example>\r\n\r\nIt broke.\r\n"
			for _, account := range []string{c.by, "support", "billing"} {
				if err := d.receive(d.archive).Handle(t.Context(), d.mail(account, raw), 1); err != nil {
					t.Fatal(err)
				}
			}
			p, err := d.read.Sessions(t.Context(), sam, channel.Filter{}, channel.PageRequest{})
			if err != nil || len(p.Items) != 1 || p.Items[0].Queue != c.queue || p.Items[0].Account != c.queue || p.Items[0].Messages != 1 {
				t.Fatalf("%+v, %v", p, err)
			}
			h, err := d.read.History(t.Context(), sam, p.Items[0].ID, channel.PageRequest{})
			if err != nil || slices.Contains(h.Items[0].Inputs, "addressee:"+c.queue) != (c.by != c.queue) {
				t.Errorf("why: %+v, %v", h, err)
			}
		})
	}
}
