package channel_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
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
