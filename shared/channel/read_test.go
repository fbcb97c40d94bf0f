package channel_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// manySessions stores n sessions that differ in every field that a filter
// knows; pairs of them share their time of change.
func (d *desks) manySessions(n int) map[string]channel.Session {
	d.Helper()
	out := map[string]channel.Session{}
	if err := d.docs.Write(d.Context(), func(tx channel.Tx) {
		for i := range n {
			id, err := session.NewID(strings.NewReader(fmt.Sprintf("%07d", 2*i)))
			if err != nil {
				d.Fatal(err)
			}
			at := time.Date(2026, 1, 1, 0, i/2, 0, 0, time.UTC)
			s := channel.Session{
				ID: id, State: session.States()[i%6], Queue: []string{"support", "billing"}[i%2], Agent: []string{"", ana.ID, ben.ID}[i%3], Waiting: i%5 == 0,
				Participants: []string{fmt.Sprintf("c%d@customer.example", i%4)}, CreatedAt: at.Add(-time.Duration(i) * time.Hour), UpdatedAt: at,
			}
			out[id] = s
			tx.Set("sessions/"+id, s)
		}
	}); err != nil {
		d.Fatal(err)
	}
	return out
}

// walk follows the cursors of a list to its end.
func (d *desks) walk(who channel.Actor, f channel.Filter, limit int) []channel.Session {
	d.Helper()
	var out []channel.Session
	for cursor := ""; ; {
		p, err := d.read.Sessions(d.Context(), who, f, channel.PageRequest{Limit: limit, Cursor: cursor})
		if err != nil {
			d.Fatalf("%+v: %v", f, err)
		}
		out = append(out, p.Items...)
		if cursor = p.Next; cursor == "" {
			return out
		}
	}
}

// TestEveryFilterHasItsIndexes asks for every combination of filters; the
// embedded Firestore refuses a query without an index. The answer must be what
// filtering in memory gives, page by page.
func TestEveryFilterHasItsIndexes(t *testing.T) {
	d := newDesks(t)
	all := d.manySessions(60)
	waits := true
	from := time.Date(2025, 12, 30, 12, 0, 0, 0, time.UTC)
	for mask := range 1 << 7 {
		var f channel.Filter
		keep := []func(channel.Session) bool{}
		on := func(bit int, apply func(), match func(channel.Session) bool) {
			if mask&(1<<bit) != 0 {
				apply()
				keep = append(keep, match)
			}
		}
		on(0, func() { f.State = session.Active }, func(s channel.Session) bool { return s.State == session.Active })
		on(1, func() { f.Queue = "billing" }, func(s channel.Session) bool { return s.Queue == "billing" })
		on(2, func() { f.Agent = ana.ID }, func(s channel.Session) bool { return s.Agent == ana.ID })
		on(3, func() { f.Waiting = &waits }, func(s channel.Session) bool { return s.Waiting })
		on(4, func() { f.Address = "C1@customer.example" }, func(s channel.Session) bool { return s.Participants[0] == "c1@customer.example" })
		on(5, func() { f.CreatedFrom = from }, func(s channel.Session) bool { return !s.CreatedAt.Before(from) })
		on(6, func() { f.CreatedBefore = from.Add(20 * time.Hour) }, func(s channel.Session) bool { return s.CreatedAt.Before(from.Add(20 * time.Hour)) })
		var want []string
		for id, s := range all {
			if !slices.ContainsFunc(keep, func(match func(channel.Session) bool) bool { return !match(s) }) {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		var got []string
		list := d.walk(sam, f, 7)
		for _, s := range list {
			got = append(got, s.ID)
		}
		if !slices.IsSortedFunc(list, func(a, b channel.Session) int {
			x, y := a.UpdatedAt, b.UpdatedAt
			if mask>>5 != 0 {
				x, y = a.CreatedAt, b.CreatedAt
			}
			if c := y.Compare(x); c != 0 {
				return c
			}
			return strings.Compare(b.ID, a.ID)
		}) {
			t.Errorf("%+v: the order is wrong", f)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%+v: %d sessions, want %d", f, len(got), len(want))
		}
	}
}

func TestAgentsSeeTheirQueuesOnly(t *testing.T) {
	d := newDesks(t)
	d.manySessions(30)
	for _, s := range d.walk(ana, channel.Filter{}, 4) {
		if s.Queue != "support" {
			t.Errorf("%s of queue %s", s.ID, s.Queue)
		}
	}
	if n := len(d.walk(ana, channel.Filter{State: session.Paused, Agent: ana.ID}, 4)); n == len(d.walk(sam, channel.Filter{}, 50)) {
		t.Errorf("all %d", n)
	}
	if n := len(d.walk(ana, channel.Filter{}, 50)); n != 15 {
		t.Errorf("%d sessions, want 15", n)
	}
}

func TestPageRequestsAreChecked(t *testing.T) {
	d := newDesks(t)
	d.manySessions(10)
	ctx := t.Context()
	p, err := d.read.Sessions(ctx, sam, channel.Filter{}, channel.PageRequest{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	var bad *channel.Invalid
	for name, try := range map[string]func() error{
		"cursor of another list": func() error {
			_, err := d.read.Sessions(ctx, sam, channel.Filter{Queue: "support"}, channel.PageRequest{Cursor: p.Next})
			return err
		},
		"no cursor": func() error {
			_, err := d.read.Sessions(ctx, sam, channel.Filter{}, channel.PageRequest{Cursor: "!"})
			return err
		},
		"too many": func() error {
			_, err := d.read.Sessions(ctx, sam, channel.Filter{}, channel.PageRequest{Limit: 201})
			return err
		},
		"state": func() error {
			_, err := d.read.Sessions(ctx, sam, channel.Filter{State: "asleep"}, channel.PageRequest{})
			return err
		},
	} {
		if err := try(); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMessagesAndFiles(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	id := d.inbound("support")
	sent, err := d.desk.Reply(ctx, ana, id, channel.Words{Key: "k", Text: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	first, err := d.read.Messages(ctx, ana, id, channel.PageRequest{Limit: 1})
	if err != nil || len(first.Items) != 1 || first.Next == "" || first.Items[0].Direction != channel.In {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := d.read.Messages(ctx, ana, id, channel.PageRequest{Limit: 1, Cursor: first.Next})
	if err != nil || len(second.Items) != 1 || second.Next != "" || second.Items[0].ID != sent.Message.ID {
		t.Fatalf("%+v, %v", second, err)
	}
	raw, err := d.read.Raw(ctx, ana, id, first.Items[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if b, err := io.ReadAll(raw); err != nil || !strings.Contains(string(b), "It broke.") {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := d.read.Raw(ctx, dora, id, first.Items[0].ID); !errors.Is(err, channel.ErrForbidden) {
		t.Errorf("of another queue: %v", err)
	}
	if _, _, err := d.read.File(ctx, ana, id, first.Items[0].ID, 0); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("no attachment: %v", err)
	}
}
