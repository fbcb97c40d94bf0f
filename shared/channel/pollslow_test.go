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
	"emailchannel.dev/emailchannel/shared/event"
)

// slowBox is a mailbox whose mails take their time. Its connection ends with
// the context, which is then to blame, and not the mail.
type slowBox struct {
	box
	per func(uid uint32) time.Duration
}

func (b *slowBox) Open(context.Context, channel.Account, string, string) (channel.Folder, error) {
	return b, nil
}

func (b *slowBox) Fetch(ctx context.Context, from channel.Cursor, most int, deliver func(context.Context, channel.Fetched) error) (channel.Cursor, error) {
	next, err := b.box.Fetch(ctx, from, most, func(ctx context.Context, m channel.Fetched) error {
		m.Body = &slowBody{ctx, b.per(m.UID), m.Body}
		return deliver(ctx, m)
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: connection closed", ctx.Err())
	}
	return next, err
}

type slowBody struct {
	ctx  context.Context
	left time.Duration
	r    io.Reader
}

func (s *slowBody) Read(b []byte) (int, error) {
	select {
	case <-time.After(s.left):
		s.left = 0
		return s.r.Read(b)
	case <-s.ctx.Done():
		return 0, io.ErrUnexpectedEOF
	}
}

func requests(n int) (mails []string) {
	for i := range n {
		mails = append(mails, fmt.Sprintf("From: <c%d@customer.example>\r\nTo: support@example.com\r\nSubject: %d\r\nMessage-ID: <%d@customer.example>\r\n\r\nHello.\r\n", i, i, i))
	}
	return mails
}

func (d *desks) poll(m channel.Mailbox, batch int) *channel.Poll {
	return &channel.Poll{Docs: d.docs, Archive: d.archive, Bus: d.bus, Secrets: d.secrets, Mail: m, Config: d.desk.Config, Now: d.clock, Batch: batch}
}

// ingest receives what was published after told events, but for some UIDs.
func (d *desks) ingest(told int, lost ...uint32) int {
	d.Helper()
	for _, m := range d.bus.sent[event.TopicReceived][told:] {
		told++
		var e event.Received
		if read(d.T, m, &e); slices.Contains(lost, e.UID) {
			continue
		}
		if err := d.receive(d.archive).Handle(d.Context(), e, 1); err != nil {
			d.Fatal(err)
		}
	}
	return told
}

func (d *desks) cursors() (all []channel.Cursor) {
	d.Helper()
	err := d.docs.Find(d.Context(), channel.Query{Collection: "accounts/support/folders"}, func(_ string, decode func(any) error) error {
		var c channel.Cursor
		err := decode(&c)
		all = append(all, c)
		return err
	})
	if err != nil {
		d.Fatal(err)
	}
	return all
}

// A batch that takes longer than a poll is gone on with by the next, and none
// of its mails is fetched twice; so is a backlog of an account that idles.
func TestPollStopsWithinABatch(t *testing.T) {
	for _, idle := range []bool{false, true} {
		d := newDesks(t)
		if err := d.docs.Write(t.Context(), func(tx channel.Tx) { tx.Patch("accounts/support", map[string]any{"idle": idle}) }); err != nil {
			t.Fatal(err)
		}
		server := &slowBox{box: box{mails: requests(20)}, per: func(uint32) time.Duration { return 20 * time.Millisecond }}
		poll := d.poll(server, 50)
		poll.SetTimes(100*time.Millisecond, 150*time.Millisecond, time.Minute)
		runs := 0
		for told := 0; told < 20; runs++ {
			if err := poll.Handle(t.Context(), event.Poll{Account: "support"}); err != nil {
				t.Fatal(err)
			}
			if d.bus.count(event.TopicReceived) == told {
				t.Fatal("a poll took nothing")
			}
			told = d.ingest(told)
		}
		if c := d.cursors(); len(c) != 1 || c[0].LastUID != 20 || d.bus.count(event.TopicReceived) != 20 || runs < 2 {
			t.Errorf("idle %t: %d runs, %d events, cursor %+v", idle, runs, d.bus.count(event.TopicReceived), c)
		}
	}
}

// However long the server took to be opened, a poll gets further.
func TestPollTakesOneMailAtLeast(t *testing.T) {
	d := newDesks(t)
	poll := d.poll(&box{mails: requests(3)}, 50)
	poll.SetTimes(time.Nanosecond, time.Nanosecond, time.Minute)
	for told := 0; told < 3; {
		before := told
		if err := poll.Handle(t.Context(), event.Poll{Account: "support"}); err != nil {
			t.Fatal(err)
		}
		if told = d.ingest(told); told != before+1 {
			t.Fatalf("%d mails after %d", told, before)
		}
	}
}

// A mail that trickles in for ever is set aside like one that does not come.
func TestPollPassesAMailThatTakesTooLong(t *testing.T) {
	d := newDesks(t)
	server := &slowBox{box: box{mails: requests(3)}, per: func(uid uint32) time.Duration {
		if uid == 1 {
			return time.Hour
		}
		return 0
	}}
	poll := d.poll(server, 50)
	poll.SetTimes(time.Minute, time.Minute, 500*time.Millisecond)
	for range 8 {
		_ = poll.Handle(t.Context(), event.Poll{Account: "support"})
		d.pass(31 * time.Minute)
	}
	q := d.quarantine()
	if len(q) != 1 || q[0].Event.UID != 1 || q[0].Tries != 5 || !strings.Contains(q[0].Reason, "takes too long") {
		t.Fatalf("%+v", q)
	}
	if n := d.bus.count(event.TopicReceived); n != 2 || !doc[channel.Account](d, "accounts/support").Status.Valid {
		t.Errorf("%d of 2 others, %+v", n, doc[channel.Account](d, "accounts/support").Status)
	}
}

// An archive that is slow is not the mail's fault, and not the account's.
func TestPollWaitsForASlowArchive(t *testing.T) {
	d := newDesks(t)
	poll := d.poll(&box{mails: requests(1)}, 50)
	poll.Archive = hungArchive{d.archive}
	poll.SetTimes(time.Minute, time.Minute, 20*time.Millisecond)
	for range 7 {
		_ = poll.Handle(t.Context(), event.Poll{Account: "support"})
		d.pass(31 * time.Minute)
	}
	if q := d.quarantine(); len(q) != 0 {
		t.Errorf("%+v", q)
	}
	if st := doc[channel.Account](d, "accounts/support").Status; st.Failures != 0 || st.Error != "" || !st.Retry.IsZero() {
		t.Errorf("%+v", st)
	}
}

type hungArchive struct{ channel.Archive }

func (hungArchive) Put(ctx context.Context, _, _ string, _ io.Reader) error {
	<-ctx.Done()
	return ctx.Err()
}

// The function's end is not what is done anew for ever: the cursor passes what
// was taken, and the account tells why there was no more.
func TestPollKeepsWhatAnEndedFunctionTook(t *testing.T) {
	d := newDesks(t)
	server := &slowBox{box: box{mails: requests(3)}, per: func(uid uint32) time.Duration {
		if uid == 3 {
			return time.Hour
		}
		return 0
	}}
	ctx, end := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer end()
	if err := d.poll(server, 50).Handle(ctx, event.Poll{Account: "support"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if c := d.cursors(); len(c) != 1 || c[0].LastUID != 2 || c[0].FailedUID != 0 {
		t.Errorf("%+v", c)
	}
	if st := doc[channel.Account](d, "accounts/support").Status; st.Failures != 1 || !strings.Contains(st.Error, "deadline") {
		t.Errorf("%+v", st)
	}
}
