package channel_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
)

// Delete makes the archive of the tests one from which can be deleted.
func (a *deskArchive) Delete(_ context.Context, name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.objects, name)
	return nil
}

func (a *deskArchive) List(_ context.Context, prefix string, each func(name string, size int64) error) error {
	for _, name := range a.names(prefix) {
		if err := each(name, 0); err != nil {
			return err
		}
	}
	return nil
}

// names lists the objects whose names begin with prefix.
func (a *deskArchive) names(prefix string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for name := range a.objects {
		if strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// fresh is the settings as they are now, not up to a second old.
func (d *desks) fresh() *channel.Configuration { return channel.NewConfiguration(d.docs) }

func (d *desks) purge() *channel.Purge {
	return &channel.Purge{Docs: d.docs, Objects: d.archive, Config: d.fresh(), Now: d.clock}
}

func (d *desks) receiver() *channel.Receive {
	return &channel.Receive{Docs: d.docs, Archive: d.archive, Bus: d.bus, Config: d.fresh(), Now: d.clock, Limits: email.DefaultLimits()}
}

// mail is one that a test sends: an attachment of it has the content "secret plan".
type mail struct {
	id, from, to, cc, subject, text, inReplyTo string

	date string // empty: 2 March 2026
	uid  uint32
}

func (m mail) raw() string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s>\r\nDate: %s\r\n", m.from, m.to, m.subject, m.id, cmp.Or(m.date, "Mon, 2 Mar 2026 09:00:00 +0000"))
	if m.cc != "" {
		fmt.Fprintf(&b, "Cc: %s\r\n", m.cc)
	}
	if m.inReplyTo != "" {
		fmt.Fprintf(&b, "In-Reply-To: <%s>\r\n", m.inReplyTo)
	}
	fmt.Fprintf(&b, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\n%s\r\n--x\r\nContent-Type: application/pdf; name=plan.pdf\r\nContent-Disposition: attachment; filename=plan.pdf\r\n\r\nsecret plan\r\n--x--\r\n", m.text)
	return b.String()
}

func (m mail) source() event.Source {
	return event.Source{Account: "support", Folder: "INBOX", UIDValidity: 1, UID: m.uid}
}

func (m mail) object() string { return "raw/" + m.source().Key() + ".eml" }

func (m mail) fingerprint() string { return email.Fingerprint(m.id) }

// archived puts the mail into the archive and returns its event.
func (d *desks) archived(m mail) event.Received {
	d.Helper()
	if err := d.archive.Put(d.Context(), m.object(), "message/rfc822", strings.NewReader(m.raw())); err != nil {
		d.Fatal(err)
	}
	return event.Received{Source: m.source(), Object: m.object(), ReceivedAt: d.clock(), Size: int64(len(m.raw()))}
}

// receives has the mail processed and returns its session.
func (d *desks) receives(m mail) string {
	d.Helper()
	if err := d.receiver().Handle(d.Context(), d.archived(m), 1); err != nil {
		d.Fatal(err)
	}
	return d.known(m.fingerprint()).Session
}

func (d *desks) known(fingerprint string) channel.Mail {
	return doc[channel.Mail](d, "mails/"+fingerprint)
}

func (d *desks) message(session, id string) channel.Message {
	return doc[channel.Message](d, "sessions/"+session+"/messages/"+id)
}

func (d *desks) missing(path string) bool {
	d.Helper()
	var v struct{}
	ref := channel.Ref{Path: path, Into: &v}
	if err := d.docs.Get(d.Context(), &ref); err != nil {
		d.Fatal(err)
	}
	return !ref.Found
}

// keepFor sets the storage period.
func (d *desks) keepFor(p channel.Period) {
	d.Helper()
	a := channel.AdminStorage{Admin: &d.admin}
	if _, err := a.PutStorage(d.Context(), channel.Storage{Period: p}, ""); err != nil {
		d.Fatal(err)
	}
}

func (d *desks) run(p *channel.Purge) {
	d.Helper()
	if err := p.Handle(d.Context()); err != nil {
		d.Fatal(err)
	}
}

const day = 24 * time.Hour

var cleo = mail{id: "1@customer.example", from: "Cleo Customer <cleo@customer.example>", to: "support@example.com", subject: "Broken lamp", text: "It broke.", uid: 1}

func TestPurgeAfterThePeriod(t *testing.T) {
	d := newDesks(t)
	d.keepFor(channel.Days30)
	id := d.receives(cleo)
	note, err := d.desk.Note(t.Context(), sam, id, "k", "looks like a wolf")
	if err != nil {
		t.Fatal(err)
	}
	sent, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "r", Text: "we send another"})
	if err != nil {
		t.Fatal(err)
	}
	d.accepted(sent.Outbound.ID)
	d.pass(29 * day)
	late := cleo
	late.id, late.uid, late.inReplyTo = "2@customer.example", 2, cleo.id
	d.receives(late)
	d.run(d.purge())
	if m := d.message(id, cleo.fingerprint()); m.Text != "It broke." || len(d.archive.names("")) != 5 {
		t.Fatalf("purged before its time: %+v, %q", m, d.archive.names(""))
	}
	d.pass(day + time.Hour)
	before := d.session(id)
	for range 2 {
		d.run(d.purge())
	}
	m := d.message(id, cleo.fingerprint())
	if m.Text != "" || m.HTML != "" || m.Attachments != nil || m.Raw != "" || m.PurgedAt.IsZero() {
		t.Errorf("what is left of the mail: %+v", m)
	}
	if m.From.Addr != "cleo@customer.example" || m.Subject != "Broken lamp" || m.MessageID != cleo.id || m.Size == 0 || m.Class != email.ClassNormal {
		t.Errorf("its facts: %+v", m)
	}
	for _, gone := range []string{note.ID, sent.Message.ID} {
		if m := d.message(id, gone); m.Text != "" || m.PurgedAt.IsZero() || m.At.IsZero() {
			t.Errorf("message %s: %+v", gone, m)
		}
	}
	if got := d.archive.names(""); len(got) != 2 || !strings.HasPrefix(got[0], "parts/support-INBOX-1-2.eml/") || got[1] != late.object() {
		t.Errorf("the archive holds %q", got)
	}
	if m := d.message(id, late.fingerprint()); m.Text != "It broke." || len(m.Attachments) != 1 || !m.PurgedAt.IsZero() {
		t.Errorf("the younger mail: %+v", m)
	}
	if after := d.session(id); after.Subject != before.Subject || after.Messages != before.Messages || after.State != before.State {
		t.Errorf("the session: %+v, was %+v", after, before)
	}
}

// accepted is a mail that the server took.
func (d *desks) accepted(id string) {
	d.Helper()
	err := d.docs.Write(d.Context(), func(tx channel.Tx) {
		tx.Patch("outbound/"+id, map[string]any{"state": string(channel.Accepted), "due": nil})
	})
	if err != nil {
		d.Fatal(err)
	}
}

func TestPurgeFollowsThePeriodOfToday(t *testing.T) {
	d := newDesks(t)
	id := d.receives(cleo)
	d.pass(200 * day)
	d.run(d.purge())
	d.keepFor(channel.Days365)
	d.run(d.purge())
	if d.message(id, cleo.fingerprint()).Text == "" {
		t.Fatal("purged before its time")
	}
	d.keepFor(channel.Days180)
	d.run(d.purge())
	if d.message(id, cleo.fingerprint()).Text != "" {
		t.Error("the shorter period does not hold for old mail")
	}
}

// What waits to be sent is work, however old.
func TestPurgeLeavesUnsentMail(t *testing.T) {
	d := newDesks(t)
	d.keepFor(channel.Days30)
	id := d.receives(cleo)
	sent, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "r", Text: "we send another"})
	if err != nil {
		t.Fatal(err)
	}
	d.pass(40 * day)
	d.run(d.purge())
	if _, err := d.archive.Open(t.Context(), sent.Outbound.Object); err != nil || d.message(id, sent.Message.ID).Text == "" {
		t.Errorf("a queued mail was purged: %v", err)
	}
	d.accepted(sent.Outbound.ID)
	d.run(d.purge())
	if _, err := d.archive.Open(t.Context(), sent.Outbound.Object); err == nil || d.message(id, sent.Message.ID).Text != "" {
		t.Error("once it is sent it goes")
	}
}

func TestHoldPreventsThePurge(t *testing.T) {
	d := newDesks(t)
	d.keepFor(channel.Days30)
	id := d.receives(cleo)
	note, err := d.desk.Note(t.Context(), sam, id, "k", "looks like a wolf")
	if err != nil {
		t.Fatal(err)
	}
	d.ok(d.desk.Hold(t.Context(), sam, id, "lawsuit 7"))
	d.pass(40 * day)
	for range 2 {
		d.run(d.purge())
	}
	if d.message(id, cleo.fingerprint()).Text == "" || d.message(id, note.ID).Text == "" || len(d.archive.names("")) != 2 {
		t.Fatalf("purged in spite of the hold; the archive holds %q", d.archive.names(""))
	}
	s := d.ok(d.desk.Release(t.Context(), sam, id, "settled"))
	if s.Hold != nil {
		t.Errorf("still held: %+v", s.Hold)
	}
	// A run that dies while it looks at what was held leaves it to the next.
	d.run(d.purge())
	d.run(d.purge())
	if d.message(id, cleo.fingerprint()).Text != "" || d.message(id, note.ID).Text != "" || len(d.archive.names("")) != 0 {
		t.Errorf("not purged after the release; the archive holds %q", d.archive.names(""))
	}
	if d.session(id).Released {
		t.Error("the session stays marked")
	}
	var said []string
	page, err := d.read.History(t.Context(), sam, id, channel.PageRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range page.Items {
		if h.Note != "" {
			said = append(said, string(h.Kind)+" "+h.Actor+": "+h.Note)
		}
	}
	if want := []string{"held sam@example.com: lawsuit 7", "released sam@example.com: settled"}; !slices.Equal(said, want) {
		t.Errorf("history: %q", said)
	}
}

func TestHoldIsRefused(t *testing.T) {
	d := newDesks(t)
	id := d.receives(cleo)
	if _, err := d.desk.Hold(t.Context(), ana, id, "because"); !errors.Is(err, channel.ErrForbidden) {
		t.Errorf("an agent's hold: %v", err)
	}
	var bad *channel.Invalid
	if _, err := d.desk.Hold(t.Context(), sam, id, " "); !errors.As(err, &bad) || bad.Fields[0].Name != "reason" {
		t.Errorf("a hold without a reason: %v", err)
	}
	if s := d.ok(d.desk.Release(t.Context(), sam, id, "nothing to release")); s.Released {
		t.Error("a session without a hold was released")
	}
}

// killed stands for the end of the process at a named step.
type killed string

// kill runs f until it reaches the step.
func kill(ctx context.Context, step string, f func(ctx context.Context) error) (err error, died bool) {
	defer func() {
		if k, ok := recover().(killed); ok {
			died = string(k) == step
		}
	}()
	ctx = fault.WithSteps(ctx, func(at string) {
		if at == step {
			panic(killed(at))
		}
	})
	return f(ctx), false
}

func TestPurgeResumesAfterACrash(t *testing.T) {
	for _, step := range []string{"purge.claimed", "purge.deleted"} {
		t.Run(step, func(t *testing.T) {
			d := newDesks(t)
			d.keepFor(channel.Days30)
			id := d.receives(cleo)
			d.pass(40 * day)
			if _, died := kill(t.Context(), step, d.purge().Handle); !died {
				t.Fatalf("%s was not reached", step)
			}
			// The end of the period does not matter any more, nor does a hold that came too late.
			d.keepFor(channel.Unlimited)
			d.run(d.purge())
			if m := d.message(id, cleo.fingerprint()); m.Text != "" || m.PurgedAt.IsZero() || len(d.archive.names("")) != 0 {
				t.Errorf("left after the second run: %+v, %q", m, d.archive.names(""))
			}
			if m := d.known(cleo.fingerprint()); m.Retention != channel.Purged || m.Raw != "" || m.MessageID != cleo.id {
				t.Errorf("the mail's document: %+v", m)
			}
		})
	}
}

// Mails that belong to no session are stored, and purged, as well: reports
// about no mail of ours, second deliveries, and what could not be processed.
func TestPurgeOfMailWithoutASession(t *testing.T) {
	d := newDesks(t)
	d.keepFor(channel.Days30)
	bounce := mail{id: "b@customer.example", uid: 5}
	raw := "From: MAILER-DAEMON@customer.example\r\nTo: support@example.com\r\nSubject: Undelivered\r\nMessage-ID: <b@customer.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\ngone\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; customer.example\r\n\r\nFinal-Recipient: rfc822; nobody@customer.example\r\nAction: failed\r\nStatus: 5.1.1\r\n--x--\r\n"
	if err := d.archive.Put(t.Context(), bounce.object(), "message/rfc822", strings.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if err := d.receiver().Handle(t.Context(), event.Received{Source: bounce.source(), Object: bounce.object(), ReceivedAt: d.clock()}, 1); err != nil {
		t.Fatal(err)
	}
	if m := d.known(bounce.fingerprint()); m.State != channel.Suppressed {
		t.Fatalf("the report is %+v", m)
	}
	id := d.receives(cleo)
	second := cleo
	second.uid = 2
	d.receives(second)
	bad := event.Received{Source: event.Source{Account: "support", Folder: "INBOX", UIDValidity: 1, UID: 9}, Object: "raw/support-INBOX-1-9.eml", ReceivedAt: d.clock()}
	if err := d.archive.Put(t.Context(), bad.Object, "message/rfc822", strings.NewReader("")); err != nil {
		t.Fatal(err)
	}
	if err := d.receiver().Handle(t.Context(), bad, 1); err != nil {
		t.Fatal(err)
	}
	d.pass(29 * day)
	d.run(d.purge())
	before := d.archive.names("raw/")
	if len(before) != 4 {
		t.Fatalf("the archive holds %q", before)
	}
	d.pass(2 * day)
	d.run(d.purge())
	if got := d.archive.names(""); len(got) != 0 {
		t.Errorf("the archive holds %q", got)
	}
	if m := d.known(bounce.fingerprint()); m.State != channel.Suppressed || m.Retention != channel.Purged {
		t.Errorf("the report: %+v", m)
	}
	page, err := d.admin.Quarantine(t.Context(), channel.PageRequest{})
	if err != nil || len(page.Items) != 0 {
		t.Errorf("quarantine: %v, %v", page, err)
	}
	if d.message(id, cleo.fingerprint()).PurgedAt.IsZero() {
		t.Error("the message is not marked")
	}
}

func TestPeriods(t *testing.T) {
	now := time.Date(2028, 3, 1, 12, 0, 0, 0, time.UTC)
	for p, want := range map[channel.Period]string{
		channel.Days30: "2028-01-31", channel.Days60: "2028-01-01", channel.Days90: "2027-12-02", channel.Days180: "2027-09-03",
		channel.Days365: "2027-03-02", channel.Years3: "2025-03-01", channel.Unlimited: "", "": "",
	} {
		cutoff, ok := p.Cutoff(now)
		if ok != (want != "") || ok && cutoff.Format(time.DateOnly) != want {
			t.Errorf("%q: up to %s, %v", p, cutoff, ok)
		}
	}
}

// More than a page goes in one run, also where the first page is all mail that
// has to stay.
func TestPurgeByPages(t *testing.T) {
	d := newDesks(t)
	d.keepFor(channel.Days30)
	const waiting, over = 210, 430
	for i := range waiting + over {
		id := fmt.Sprintf("m%04d", i)
		m := channel.Mail{State: channel.Stored, Direction: channel.In, At: d.clock(), Raw: "raw/" + id + ".eml"}
		err := d.docs.Write(t.Context(), func(tx channel.Tx) {
			if i < waiting {
				m.Direction, m.Outbound = channel.Out, id
				tx.Set("outbound/"+id, channel.Outbound{ID: id, State: channel.Queued})
			}
			tx.Set("mails/"+id, m)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	d.pass(40 * day)
	d.run(d.purge())
	for state, want := range map[channel.Retention]int{channel.Kept: waiting, channel.Purged: over} {
		n, err := d.docs.Count(t.Context(), channel.Query{Collection: "mails", Where: []channel.Where{{Field: "retention", Op: "==", Value: string(state)}}}, 1000)
		if err != nil || n != want {
			t.Errorf("%d mails %q, want %d, %v", n, state, want, err)
		}
	}
}

// TestPurgePastManyOfOneInstant holds that mails which stay, more than a page
// of the same instant, do not hide those behind them.
func TestPurgePastManyOfOneInstant(t *testing.T) {
	d := newDesks(t)
	d.keepFor(channel.Days30)
	const waiting, all = 230, 240
	at := d.clock().Add(-40 * day)
	err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		tx.Set("outbound/waiting", channel.Outbound{ID: "waiting", State: channel.Queued})
		for i := range all {
			m := channel.Mail{State: channel.Stored, Direction: channel.Out, At: at}
			if i < waiting {
				m.Outbound = "waiting"
			}
			tx.Set(fmt.Sprintf("mails/%03d", i), m)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	d.run(d.purge())
	for i := range all {
		want := channel.Kept
		if i >= waiting {
			want = channel.Purged
		}
		if m := d.known(fmt.Sprintf("%03d", i)); m.Retention != want {
			t.Errorf("mail %d is %q, not %q", i, m.Retention, want)
		}
	}
}
