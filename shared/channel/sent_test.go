package channel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
)

// sentBox is a folder of sent mail: what the server has filed, by our ID, under which Message-ID.
type sentBox struct {
	has   map[string]string
	down  error
	asked int
}

func (b *sentBox) FindSent(_ context.Context, _ channel.Account, _, id, _ string) (string, error) {
	b.asked++
	return b.has[id], b.down
}

func (b *sentBox) AppendSent(_ context.Context, _ channel.Account, _ string, _ time.Time, size int64, msg io.Reader) error {
	raw, err := io.ReadAll(msg)
	if err != nil || int64(len(raw)) != size {
		return fmt.Errorf("%d bytes of %d: %w", len(raw), size, err)
	}
	m, err := email.Parse(strings.NewReader(string(raw)), "", email.DefaultLimits(), func(email.Part, io.Reader) error { return nil })
	if err != nil {
		return err
	}
	_, after, _ := strings.Cut(string(raw), "X-Emailchannel-Id: ")
	id, _, _ := strings.Cut(after, "\r\n")
	b.has[id] = m.MessageID
	return nil
}

// sending is a desk with one reply that is about to be sent to a server.
func (d *desks) sending(server *relay, folder *sentBox, change func(*channel.Account)) (*channel.Send, string) {
	d.Helper()
	a := doc[channel.Account](d, "accounts/support")
	if change(&a); d.docs.Write(d.Context(), func(tx channel.Tx) {
		tx.Set("accounts/support", a)
		tx.Patch("settings/channel", map[string]any{"version": channel.Inc(1)})
	}) != nil {
		d.Fatal("account")
	}
	d.desk.Config = channel.NewConfiguration(d.docs)
	got, err := d.desk.Reply(d.Context(), ana, d.inbound("support"), channel.Words{Key: "k", Text: "Hello."})
	if err != nil {
		d.Fatal(err)
	}
	return &channel.Send{Docs: d.docs, Archive: d.archive, Secrets: d.secrets, Mail: server, Folder: folder, Config: d.desk.Config, Now: d.clock}, got.Outbound.ID
}

// swept moves on, sweeps, and gives Send what Sweep asked for.
func (d *desks) swept(send *channel.Send, after time.Duration) {
	d.Helper()
	d.pass(after)
	told := d.bus.count(event.TopicOutbound)
	sweep := channel.Sweep{Docs: d.docs, Bus: d.bus, Config: d.desk.Config, Now: d.clock}
	if err := sweep.Handle(d.Context()); err != nil {
		d.Fatal(err)
	}
	for _, m := range d.bus.sent[event.TopicOutbound][told:] {
		var e event.Outbound
		read(d.T, m, &e)
		if err := send.Handle(d.Context(), e); err != nil {
			d.Fatal(err)
		}
	}
}

// An uncertain mail that turns up in the folder of sent mail is accepted; one
// that does not stays uncertain, and is never sent again by itself.
func TestUncertainIsLookedUp(t *testing.T) {
	for _, c := range []struct {
		name  string
		after int // looks until it is there; 0: never
		state channel.OutState
		looks int
	}{{"at once", 1, channel.Accepted, 1}, {"after a day", 4, channel.Accepted, 4}, {"never", 0, channel.Uncertain, 4}} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesks(t)
			server := &relay{answers: list(fails(channel.ErrUncertain))}
			folder := &sentBox{has: map[string]string{}}
			send, id := d.sending(server, folder, func(*channel.Account) {})
			if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
				t.Fatal(err)
			}
			for range 6 {
				if folder.asked+1 == c.after {
					folder.has[id] = "renamed@provider.example"
				}
				d.swept(send, 25*time.Hour)
			}
			o := doc[channel.Outbound](d, "outbound/"+id)
			if o.State != c.state || folder.asked != c.looks || len(server.to) != 1 || !o.Due.IsZero() {
				t.Fatalf("%s after %d looks, %d attempts, due %s", o.State, folder.asked, len(server.to), o.Due)
			}
			if c.state == channel.Accepted {
				if m := doc[channel.Mail](d, "mails/"+email.Fingerprint("renamed@provider.example")); m.Session != o.Session || m.Outbound != id {
					t.Errorf("alias %+v", m)
				}
			}
		})
	}
}

// A copy is filed once, also when the folder cannot be reached at first, and
// nothing is sent again for it.
func TestSentCopy(t *testing.T) {
	for _, down := range []error{nil, errors.New("SELECT: NO [UNAVAILABLE]")} {
		t.Run(fmt.Sprint(down), func(t *testing.T) {
			d := newDesks(t)
			server, folder := &relay{answers: list(took)}, &sentBox{has: map[string]string{}, down: down}
			send, id := d.sending(server, folder, func(a *channel.Account) { a.Sent.Copy = true })
			if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
				t.Fatal(err)
			}
			if filed := len(folder.has) == 1; filed != (down == nil) {
				t.Fatalf("filed %t", filed)
			}
			folder.down = nil
			for range 3 {
				d.swept(send, 2*time.Hour)
			}
			o := doc[channel.Outbound](d, "outbound/"+id)
			if len(folder.has) != 1 || folder.has[id] == "" || o.State != channel.Accepted || !o.Due.IsZero() || len(server.to) != 1 {
				t.Fatalf("%v, %+v, %d attempts", folder.has, o, len(server.to))
			}
		})
	}
}

// A server that tells of another Message-ID gets an alias for it: an answer to
// that one alone joins the session (SE-8).
func TestServerRenamesTheMail(t *testing.T) {
	for _, c := range []struct{ host, answer, id string }{
		{"smtp.office365.com", "2.0.0 OK <AB12@EURP190.prod.example> [Hostname=x]", "AB12@EURP190.prod.example"},
		{"email-smtp.eu-west-1.amazonaws.com", "Ok 0102018f-0c1d-000000", "0102018f-0c1d-000000@eu-west-1.amazonses.com"},
		{"email-smtp.us-east-1.amazonaws.com", "Ok 0100018f-0c1d-000000", "0100018f-0c1d-000000@email.amazonses.com"},
	} {
		t.Run(c.host, func(t *testing.T) {
			d := newDesks(t)
			server := &relay{answers: list(func([]string) (channel.Receipt, error) { return channel.Receipt{Answer: c.answer}, nil })}
			send, id := d.sending(server, nil, func(a *channel.Account) { a.Outgoing.Host = c.host })
			if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
				t.Fatal(err)
			}
			if err := d.receive(d.archive).Handle(t.Context(), d.arrive("answer", "In-Reply-To: <"+c.id+">\r\n"), 1); err != nil {
				t.Fatal(err)
			}
			o := doc[channel.Outbound](d, "outbound/"+id)
			if m := doc[channel.Mail](d, "mails/"+email.Fingerprint("answer@customer.example")); m.Session != o.Session || m.Rule != "ancestor" {
				t.Errorf("%+v, want session %s", m, o.Session)
			}
		})
	}
}

// lateDocs does something between a query's answer and what is made of it.
type lateDocs struct {
	channel.Docs
	after channel.OutState // the query for mail of this state
	do    func()
}

func (l *lateDocs) Find(ctx context.Context, q channel.Query, each func(string, func(any) error) error) error {
	err := l.Docs.Find(ctx, q, each)
	if do := l.do; do != nil && q.Collection == "outbound" && q.Where[0].Value == l.after {
		l.do = nil
		do()
	}
	return err
}

// An attempt that ends while Sweep looks for what is due is not begun again,
// and an account that wants no copies gets none whatever happens.
func TestSweepMeetsAnAttempt(t *testing.T) {
	d := newDesks(t)
	folder := &sentBox{has: map[string]string{}}
	send, id := d.sending(&relay{answers: list(took)}, folder, func(*channel.Account) {})
	d.pass(2 * time.Minute)
	late := &lateDocs{Docs: d.docs, after: channel.Queued, do: func() {
		if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
			t.Error(err)
		}
	}}
	sweep := channel.Sweep{Docs: late, Bus: d.bus, Config: d.desk.Config, Now: d.clock}
	if err := sweep.Handle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o := doc[channel.Outbound](d, "outbound/"+id); late.do != nil || o.State != channel.Accepted || !o.Due.IsZero() {
		t.Errorf("%s, due %s", o.State, o.Due)
	}
	d.set("outbound/"+id, map[string]any{"due": d.clock()}) // as an earlier version left them
	d.swept(send, time.Hour)
	if o := doc[channel.Outbound](d, "outbound/"+id); len(folder.has) != 0 || !o.Due.IsZero() {
		t.Errorf("copies %v, due %s", folder.has, o.Due)
	}
}

// A mail that is sent once more is looked for as often as the first time.
func TestSentAgainIsLookedUpAgain(t *testing.T) {
	d := newDesks(t)
	folder := &sentBox{has: map[string]string{}}
	send, id := d.sending(&relay{answers: list(fails(channel.ErrUncertain), fails(channel.ErrUncertain))}, folder, func(*channel.Account) {})
	looks := func() int {
		before := folder.asked
		if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
			t.Fatal(err)
		}
		for range 6 {
			d.swept(send, 25*time.Hour)
		}
		return folder.asked - before
	}
	first := looks()
	if _, err := d.desk.Settle(t.Context(), ana, id, channel.SendAgain); err != nil {
		t.Fatal(err)
	}
	if again := looks(); again != first || first < 2 {
		t.Errorf("%d looks, then %d", first, again)
	}
}

// A mail of ours that was renamed and came to another of our queues before it
// was found in the folder of sent mail stays that queue's mail.
func TestRenamedMailOfTwoQueues(t *testing.T) {
	d := newDesks(t)
	folder := &sentBox{has: map[string]string{}}
	send, id := d.sending(&relay{answers: list(fails(channel.ErrUncertain))}, folder, func(*channel.Account) {})
	if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
		t.Fatal(err)
	}
	raw := "From: support@example.com\r\nTo: billing@example.com\r\nSubject: An invoice\r\nMessage-ID: <renamed@provider.example>\r\n\r\nPlease.\r\n"
	if err := d.receive(d.archive).Handle(t.Context(), d.mail("billing", raw), 1); err != nil {
		t.Fatal(err)
	}
	path := "mails/" + email.Fingerprint("renamed@provider.example")
	before := doc[channel.Mail](d, path)
	folder.has[id] = "renamed@provider.example"
	d.swept(send, 25*time.Hour)
	if o := doc[channel.Outbound](d, "outbound/"+id); o.State != channel.Accepted {
		t.Errorf("%s", o.State)
	}
	if after := doc[channel.Mail](d, path); after.Session != before.Session || before.Session == "" || len(after.Sources) != 1 {
		t.Errorf("%+v, was %+v", after, before)
	}
}
