package channel_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
)

// badBox is a mailbox that does not give some of its mails.
type badBox struct {
	box
	bad map[uint32]bool
}

func (b *badBox) Open(ctx context.Context, a channel.Account, secret, folder string) (channel.Folder, error) {
	_, err := b.box.Open(ctx, a, secret, folder)
	return b, err
}

func (b *badBox) Fetch(ctx context.Context, from channel.Cursor, most int, deliver func(context.Context, channel.Fetched) error) (channel.Cursor, error) {
	for ; most > 0; most-- {
		if b.bad[from.LastUID+1] {
			from.UIDValidity = 1
			return from, &channel.Unfetched{UID: from.LastUID + 1, Err: errors.New("NO [SERVERBUG]")}
		}
		next, err := b.box.Fetch(ctx, from, 1, deliver)
		if err != nil || next == from {
			return next, err
		}
		from = next
	}
	return from, nil
}

// A mail that was set aside stays so when its retry finds the server, or the
// secret, not there; and comes when they are.
func TestQuarantinedMailOutlastsAServerThatIsDown(t *testing.T) {
	d := newDesks(t)
	server := &badBox{box: box{mails: requests(2)}, bad: map[uint32]bool{1: true}}
	poll := d.poll(server, 50)
	for range 5 {
		_ = poll.Handle(t.Context(), event.Poll{Account: "support"})
		d.pass(31 * time.Minute)
	}
	sweep := channel.Sweep{Docs: d.docs, Bus: d.bus, Config: d.desk.Config, Now: d.clock}
	retry := func() error {
		t.Helper()
		if q := d.quarantine(); len(q) != 1 {
			t.Fatalf("%+v", q)
		}
		d.pass(25 * time.Hour)
		before := d.bus.count(event.TopicPoll)
		if err := sweep.Handle(t.Context()); err != nil || d.bus.count(event.TopicPoll) != before+1 {
			t.Fatalf("not asked for, %v", err)
		}
		var e event.Poll
		read(t, d.bus.sent[event.TopicPoll][before], &e)
		return poll.Handle(t.Context(), e)
	}
	for _, down := range []error{errors.New("LOGIN: NO [AUTHENTICATIONFAILED]"), errors.New("connection refused")} {
		server.down = down
		if err := retry(); err != nil {
			t.Fatal(err)
		}
		if q := d.quarantine(); len(q) != 1 || !strings.Contains(q[0].Reason, down.Error()) || q[0].Retry.IsZero() {
			t.Fatalf("%+v", q)
		}
	}
	server.down, server.bad = nil, nil
	poll.Secrets = &deskSecrets{}
	if err := retry(); err != nil {
		t.Fatal(err)
	}
	poll.Secrets = d.secrets
	before := d.bus.count(event.TopicReceived)
	if err := retry(); err != nil || len(d.quarantine()) != 0 || d.bus.count(event.TopicReceived) != before+1 {
		t.Errorf("%v, %+v", err, d.quarantine())
	}
}

// The small items of a batch come first, and one that cannot be read ends it:
// what was taken before it is nothing. The mails before are then fetched singly
// and no poll forgets at which mail that was.
func TestPollPassesAMailThatFailsItsWholeBatch(t *testing.T) {
	d := newDesks(t)
	server := &batchBox{badBox{box: box{mails: requests(50)}, bad: map[uint32]bool{40: true}}}
	poll := d.poll(server, 50)
	for range 5 {
		_ = poll.Handle(t.Context(), event.Poll{Account: "support"})
		d.pass(31 * time.Minute)
	}
	q := d.quarantine()
	if len(q) != 1 || q[0].Event.UID != 40 || q[0].Tries != 5 {
		t.Fatalf("%+v", q)
	}
	if err := poll.Handle(t.Context(), event.Poll{Account: "support"}); err != nil {
		t.Fatal(err)
	}
	if c := d.cursors(); len(c) != 1 || c[0].LastUID != 50 || c[0].FailedUID != 0 {
		t.Errorf("%+v", c)
	}
}

// batchBox gives nothing of a batch that has a bad mail.
type batchBox struct{ badBox }

func (b *batchBox) Open(context.Context, channel.Account, string, string) (channel.Folder, error) {
	return b, nil
}

func (b *batchBox) Fetch(ctx context.Context, from channel.Cursor, most int, deliver func(context.Context, channel.Fetched) error) (channel.Cursor, error) {
	for uid := from.LastUID + 1; uid <= from.LastUID+uint32(most); uid++ {
		if b.bad[uid] {
			from.UIDValidity = 1
			return from, &channel.Unfetched{UID: uid, Err: errors.New("in date-time: day out of range")}
		}
	}
	return b.box.Fetch(ctx, from, most, deliver)
}
