package channel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
)

// box is a mailbox: mails by UID from 1 on, or a server that is down.
type box struct {
	mails    []string
	arriving []string // while Wait waits
	down     error
	asked    int
	closed   int
}

func (b *box) Open(context.Context, channel.Account, string, string) (channel.Folder, error) {
	b.asked++
	return b, b.down
}

func (b *box) Fetch(ctx context.Context, from channel.Cursor, most int, deliver func(context.Context, channel.Fetched) error) (channel.Cursor, error) {
	from.UIDValidity = 1
	for _, m := range b.mails[from.LastUID:min(len(b.mails), int(from.LastUID)+most)] {
		if m == "" {
			from.LastUID++
			continue
		}
		if err := deliver(ctx, channel.Fetched{UID: from.LastUID + 1, UIDValidity: 1, Size: int64(len(m)), Body: io.LimitReader(strings.NewReader(m), 1<<20)}); err != nil {
			return from, err
		}
		from.LastUID++
	}
	return from, nil
}

// Wait tells of the mails that arrive while somebody waits, one a time.
func (b *box) Wait(context.Context, time.Duration) (bool, error) {
	if len(b.arriving) == 0 {
		return false, nil
	}
	b.mails, b.arriving = append(b.mails, b.arriving[0]), b.arriving[1:]
	return true, nil
}

func (b *box) UIDs(_ context.Context, each func([]uint32) error) error {
	var uids []uint32
	for i, m := range b.mails {
		if m != "" { // else it was expunged
			uids = append(uids, uint32(i+1))
		}
	}
	return each(uids)
}

func (b *box) UIDValidity() uint32 { return 1 }

func (b *box) Close() { b.closed++ }

// A server that fails is asked less and less, and its account tells why; when
// it is back everything is as before (AC-3).
func TestPollBacksOff(t *testing.T) {
	d := newDesks(t)
	server := &box{down: errors.New("LOGIN: NO [AUTHENTICATIONFAILED] wrong"), mails: []string{"Subject: a\r\n\r\nb\r\n"}}
	poll := channel.Poll{Docs: d.docs, Archive: d.archive, Bus: d.bus, Secrets: d.secrets, Mail: server, Config: d.desk.Config, Now: d.clock, Batch: 10}
	tick := func() error { return poll.Handle(t.Context(), event.Poll{Account: "support"}) }
	for i := range 2 {
		if err := tick(); err == nil {
			t.Fatalf("failure %d was not asked again at once", i+1)
		}
	}
	for _, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		if err := tick(); err != nil {
			t.Fatal(err)
		}
		st := doc[channel.Account](d, "accounts/support").Status
		if st.Valid || !strings.Contains(st.Error, "AUTHENTICATIONFAILED") || st.Retry.Sub(st.CheckedAt) != wait {
			t.Fatalf("after %s: %+v", wait, st)
		}
		asked := server.asked
		if err := tick(); err != nil || server.asked != asked {
			t.Fatalf("asked within the back-off, %v", err)
		}
		d.pass(wait)
	}
	server.down = nil
	if err := tick(); err != nil {
		t.Fatal(err)
	}
	st := doc[channel.Account](d, "accounts/support").Status
	if !st.Valid || st.Error != "" || st.Failures != 0 || !st.Retry.IsZero() || d.bus.count(event.TopicReceived) != 1 {
		t.Fatalf("%+v, %d mails", st, d.bus.count(event.TopicReceived))
	}
	before := doc[channel.Account](d, "accounts/support").Status.CheckedAt
	if err := tick(); err != nil || !doc[channel.Account](d, "accounts/support").Status.CheckedAt.Equal(before) {
		t.Fatalf("a status that did not change was written, %v", err)
	}
}

// An account that wants it is waited for: what arrives then is taken over the
// same connection.
func TestPollIdles(t *testing.T) {
	for _, idle := range []bool{true, false} {
		d := newDesks(t)
		if err := d.docs.Write(t.Context(), func(tx channel.Tx) { tx.Patch("accounts/support", map[string]any{"idle": idle}) }); err != nil {
			t.Fatal(err)
		}
		server := &box{mails: []string{"Subject: a\r\n\r\nb\r\n"}, arriving: []string{"Subject: c\r\n\r\nd\r\n", "Subject: e\r\n\r\nf\r\n"}}
		poll := channel.Poll{Docs: d.docs, Archive: d.archive, Bus: d.bus, Secrets: d.secrets, Mail: server, Config: d.desk.Config, Now: d.clock, Batch: 10}
		if err := poll.Handle(t.Context(), event.Poll{Account: "support"}); err != nil {
			t.Fatal(err)
		}
		want := 1
		if idle {
			want = 3
		}
		if got := d.bus.count(event.TopicReceived); got != want || server.asked != 1 || server.closed != 1 {
			t.Errorf("idle %t: %d mails over %d connections, %d closed", idle, got, server.asked, server.closed)
		}
	}
}

// AC-8: what the server has and nothing is known of is fetched again, whoever
// lost it; the numbers add up; what is accounted for is not looked up again.
func TestReconciliation(t *testing.T) {
	d := newDesks(t)
	server := &box{}
	for i := range 70 {
		server.mails = append(server.mails, fmt.Sprintf("From: <c%d@customer.example>\r\nTo: support@example.com\r\nSubject: %d\r\nMessage-ID: <%d@customer.example>\r\n\r\nHello.\r\n", i, i, i))
	}
	server.mails[10] = "\r\n"           // fails for good
	server.mails[11] = server.mails[12] // twice
	poll := channel.Poll{Docs: d.docs, Archive: d.archive, Bus: d.bus, Secrets: d.secrets, Mail: server, Config: d.desk.Config, Now: d.clock, Batch: 100}
	told := 0
	receive := func(lost ...uint32) {
		t.Helper()
		for _, m := range d.bus.sent[event.TopicReceived][told:] {
			told++
			var e event.Received
			if read(t, m, &e); !slices.Contains(lost, e.UID) {
				if err := d.receive(d.archive).Handle(t.Context(), e, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	report := func() channel.Reconciliation {
		t.Helper()
		all, err := d.admin.Reconciliations(t.Context(), "support")
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		r := all[0]
		if r.OnServer != r.Before+r.Known+r.Quarantined+r.Repaired+r.Gone {
			t.Fatalf("does not add up: %+v", r)
		}
		return r
	}
	tick := func(e event.Poll) {
		t.Helper()
		if err := poll.Handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	tick(event.Poll{Account: "support"})
	receive(5, 33) // two events are lost
	tick(event.Poll{Account: "support"})
	if r := report(); r.OnServer != 70 || r.Known != 67 || r.Quarantined != 1 || r.Repaired != 2 || !slices.Equal(r.Missing, []uint32{5, 33}) {
		t.Fatalf("%+v", r)
	}
	receive()
	for i := 70; i < 140; i++ {
		server.mails = append(server.mails, fmt.Sprintf("From: <c@customer.example>\r\nTo: support@example.com\r\nMessage-ID: <%d@customer.example>\r\n\r\nHello.\r\n", i))
	}
	tick(event.Poll{Account: "support"}) // within the day nothing is compared
	receive(80, 100)
	server.mails[99] = "" // UID 100 was expunged before anybody looked
	if r := report(); r.OnServer != 70 {
		t.Fatalf("%+v", r)
	}
	d.pass(24 * time.Hour)
	tick(event.Poll{Account: "support"})
	if r := report(); r.OnServer != 139 || r.Before != 70 || r.Known != 68 || r.Repaired != 1 || !slices.Equal(r.Missing, []uint32{80}) {
		t.Fatalf("%+v", r)
	}
	receive()
	for _, uid := range []int{5, 33, 80} {
		doc[channel.Mail](d, "mails/"+email.Fingerprint(fmt.Sprintf("%d@customer.example", uid-1)))
	}
	tick(event.Poll{Account: "support", Reconcile: true}) // on demand
	if r := report(); r.OnServer != 139 || r.Before != 139 || r.Repaired != 0 {
		t.Fatalf("%+v", r)
	}
}
