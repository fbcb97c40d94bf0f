package channel_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
)

// reconciliation is the only one; its numbers add up.
func (d *desks) reconciliation() channel.Reconciliation {
	d.Helper()
	all, err := d.admin.Reconciliations(d.Context(), "support")
	if err != nil || len(all) != 1 {
		d.Fatalf("%+v, %v", all, err)
	}
	r := all[0]
	if r.OnServer != r.Before+r.Known+r.Quarantined+r.Repaired+r.Gone {
		d.Fatalf("does not add up: %+v", r)
	}
	return r
}

// A reconciliation that takes longer than a poll has for it goes on with the
// next, and keeps nobody from his mail. Its numbers are those of one in one go.
func TestReconciliationGoesOn(t *testing.T) {
	d := newDesks(t)
	server := &box{mails: requests(70)}
	poll := d.poll(server, 100)
	poll.SetLook(time.Nanosecond)
	tick := func() {
		t.Helper()
		if err := poll.Handle(t.Context(), event.Poll{Account: "support"}); err != nil {
			t.Fatal(err)
		}
		d.pass(time.Minute)
	}
	tick()
	told := d.ingest(0, 5, 33)
	server.mails = requests(71)
	tick()
	if r := d.reconciliation(); r.Checked != 4 || r.OnServer != 4 || !r.At.IsZero() || d.bus.count(event.TopicReceived) != told+1 {
		t.Fatalf("%+v, %d events after %d", r, d.bus.count(event.TopicReceived), told)
	}
	told = d.ingest(told)
	for polls := 0; d.reconciliation().At.IsZero(); polls++ {
		if polls > 5 {
			t.Fatalf("%+v", d.reconciliation())
		}
		tick()
		told = d.ingest(told)
	}
	if r := d.reconciliation(); r.OnServer != 71 || r.Before != 0 || r.Known != 69 || r.Repaired != 2 || r.Checked != 71 || !slices.Equal(r.Missing, []uint32{5, 33}) {
		t.Fatalf("%+v", r)
	}
	at := d.reconciliation().At
	server.mails = requests(150)
	tick()
	told = d.ingest(told, 72)
	d.pass(24 * time.Hour)
	for polls := 0; d.reconciliation().At.Equal(at); polls++ {
		if polls > 5 {
			t.Fatalf("%+v", d.reconciliation())
		}
		tick()
		told = d.ingest(told)
	}
	if r := d.reconciliation(); r.OnServer != 150 || r.Before != 71 || r.Known != 78 || r.Repaired != 1 || r.Checked != 150 {
		t.Fatalf("%+v", r)
	}
}

// An account's folders share the time; what was demanded of all of them is done
// for each in the end.
func TestReconciliationOfManyFolders(t *testing.T) {
	d := newDesks(t)
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		tx.Patch("accounts/support", map[string]any{"folders": []string{"INBOX", "Orders"}})
	}); err != nil {
		t.Fatal(err)
	}
	poll := d.poll(&box{mails: requests(40)}, 100)
	tick := func(demanded bool) {
		t.Helper()
		if err := poll.Handle(t.Context(), event.Poll{Account: "support", Reconcile: demanded}); err != nil {
			t.Fatal(err)
		}
		d.pass(time.Minute)
	}
	finished := func(since time.Time) (n int) {
		t.Helper()
		all, err := d.admin.Reconciliations(t.Context(), "support")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if r.OnServer != r.Before+r.Known+r.Quarantined+r.Repaired+r.Gone {
				t.Fatalf("does not add up: %+v", r)
			}
			if r.At.After(since) {
				n++
			}
		}
		return n
	}
	tick(false)
	d.ingest(0)
	tick(false)
	if finished(time.Time{}) != 2 {
		t.Fatal("not compared")
	}
	poll.SetLook(time.Nanosecond)
	poll.Mail = &box{mails: requests(100)}
	told := d.bus.count(event.TopicReceived)
	tick(false)
	d.ingest(told)
	demanded := d.clock()
	tick(true)
	for polls := 0; finished(demanded) < 2; polls++ {
		if polls > 6 {
			t.Fatal("never finished")
		}
		tick(false)
	}
}

// Mails that the server lists and does not give are set aside, all of them, and
// what is new comes with the same poll.
func TestReconciliationPassesWhatTheServerDoesNotGive(t *testing.T) {
	d := newDesks(t)
	server := &badBox{box: box{mails: requests(40)}, bad: map[uint32]bool{}}
	poll := d.poll(server, 50)
	if err := poll.Handle(t.Context(), event.Poll{Account: "support"}); err != nil {
		t.Fatal(err)
	}
	for uid := uint32(11); uid <= 30; uid++ { // archived by an index that is damaged now
		server.bad[uid] = true
	}
	told := d.ingest(0, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 35)
	server.mails = requests(41)
	if err := poll.Handle(t.Context(), event.Poll{Account: "support"}); err != nil {
		t.Fatal(err)
	}
	if r := d.reconciliation(); r.OnServer != 40 || r.Known != 19 || r.Quarantined != 20 || r.Repaired != 1 || r.At.IsZero() || len(d.quarantine()) != 20 {
		t.Errorf("%+v, %d in quarantine", r, len(d.quarantine()))
	}
	if n := d.bus.count(event.TopicReceived) - told; n != 2 || d.cursors()[0].LastUID != 41 {
		t.Errorf("%d events, cursor %+v", n, d.cursors())
	}
}

// unlisted is a mailbox whose server fails when asked for all UIDs, and ends
// the connection.
type unlisted struct {
	box
	gone bool
}

func (u *unlisted) Open(context.Context, channel.Account, string, string) (channel.Folder, error) {
	u.gone = false
	return u, nil
}

func (u *unlisted) UIDs(context.Context, func([]uint32) error) error {
	u.gone = true
	return errors.New("SEARCH: NO [SERVERBUG]")
}

func (u *unlisted) Fetch(ctx context.Context, from channel.Cursor, most int, deliver func(context.Context, channel.Fetched) error) (channel.Cursor, error) {
	if u.gone {
		return from, errors.New("connection is closed")
	}
	return u.box.Fetch(ctx, from, most, deliver)
}

// A reconciliation that fails is told of, and what is new is fetched.
func TestPollOutlastsAReconciliationThatFails(t *testing.T) {
	d := newDesks(t)
	server := &unlisted{box: box{mails: requests(1)}}
	poll := d.poll(server, 50)
	if err := poll.Handle(t.Context(), event.Poll{Account: "support"}); err != nil {
		t.Fatal(err)
	}
	server.mails = requests(2)
	err := poll.Handle(t.Context(), event.Poll{Account: "support"})
	if err == nil || !strings.Contains(err.Error(), "SERVERBUG") || strings.Contains(err.Error(), "closed") || d.bus.count(event.TopicReceived) != 2 {
		t.Errorf("%v, %d events", err, d.bus.count(event.TopicReceived))
	}
}
