package channel_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/route"
)

func (d *desks) decisions(id string, p channel.PageRequest) *channel.Decisions {
	d.Helper()
	out, err := d.read.Decisions(d.Context(), sam, id, p)
	if err != nil {
		d.Fatal(err)
	}
	return out
}

// waits is why a session waits, as anybody who may see it learns it.
func (d *desks) waits(id string) *channel.Wait {
	d.read.Config = d.fresh()
	return d.decisions(id, channel.PageRequest{}).Waits
}

func TestDecisionsTellWhy(t *testing.T) {
	d := newDesks(t)
	d.put("support", func(q *channel.Queue) {
		q.Assign = route.Policy{On: true, DailyLimit: 2, OnlyLoggedIn: true}
	})
	for _, who := range []channel.Actor{ana, ben} {
		if _, err := d.admin.SetPresence(t.Context(), sam, who.ID, true); err != nil {
			t.Fatal(err)
		}
	}
	e := d.mail("support", "From: robot@customer.example\r\nTo: support@example.com\r\nSubject: Away\r\nMessage-ID: <robot@customer.example>\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n")
	if err := d.receiver().Handle(t.Context(), e, 1); err != nil {
		t.Fatal(err)
	}
	robot := d.known(email.Fingerprint("robot@customer.example")).Session
	d.drain(d.assigner(), "support")
	got := d.decisions(robot, channel.PageRequest{})
	var kinds []string
	for _, x := range got.Items {
		kinds = append(kinds, string(x.Kind)+" "+x.Rule)
	}
	if want := []string{"thread new", "suppress Auto-Submitted: auto-replied", "route rank"}; len(kinds) != 3 || kinds[0] != want[0] || !strings.HasPrefix(kinds[1], "suppress ") || kinds[2] != want[2] {
		t.Fatalf("%q, want %q", kinds, want)
	}
	day := d.clock().Format(time.DateOnly)
	want := []string{"open:0", "last_assigned:never", "today:0", "day:" + day, "policy:daily_limit=2 only_in_hours=false only_logged_in=true", "next:ben@example.com open:0 last_assigned:never today:0"}
	if in := got.Items[2].Inputs; !slices.Equal(in, want) || got.Items[2].To != ana.ID {
		t.Errorf("route to %s by %q, want %q", got.Items[2].To, in, want)
	}
	if in := got.Items[1].Inputs; !slices.Equal(in, []string{"class:auto"}) {
		t.Errorf("suppressed by %q", in)
	}
	// Page by page nothing is left out, nothing comes twice, and no page is too large.
	for limit := 1; limit <= 4; limit++ {
		var all []channel.Decision
		p := channel.PageRequest{Limit: limit}
		for pages := 0; ; pages++ {
			part := d.decisions(robot, p)
			all = append(all, part.Items...)
			if len(part.Items) > limit || pages > 4 {
				t.Fatalf("page %d of %d has %d", pages, limit, len(part.Items))
			}
			if p.Cursor = part.Next; part.Next == "" {
				break
			}
		}
		if fmt.Sprint(all) != fmt.Sprint(got.Items) {
			t.Errorf("by %d: %v", limit, all)
		}
	}
	// What people do is no decision of the channel.
	d.ok(d.desk.Open(t.Context(), ana, robot))
	d.ok(d.desk.SetState(t.Context(), ana, robot, "paused"))
	d.ok(d.desk.Assign(t.Context(), ana, robot, ben.ID))
	if n := len(d.decisions(robot, channel.PageRequest{}).Items); n != 3 {
		t.Errorf("%d decisions", n)
	}
	if _, err := d.read.Decisions(t.Context(), dora, robot, channel.PageRequest{}); !errors.Is(err, channel.ErrForbidden) {
		t.Errorf("to another queue's agent: %v", err)
	}
	var bad *channel.Invalid
	for _, p := range []channel.PageRequest{{Limit: 201}, {Cursor: "1.x"}, {Cursor: "x"}} {
		if _, err := d.read.Decisions(t.Context(), sam, robot, p); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// Who ranked before the chosen agent is named with the reason.
func TestRouteNamesWhoWasPassedOver(t *testing.T) {
	d := newDesks(t)
	d.put("support", func(q *channel.Queue) { q.Assign = route.Policy{On: true, DailyLimit: 1} })
	first := d.inbound("support")
	d.drain(d.assigner(), "support")
	d.ok(d.desk.Open(t.Context(), ana, first))
	d.ok(d.desk.SetState(t.Context(), ana, first, "resolved")) // ana has none open, but had one today
	d.ok(d.desk.Assign(t.Context(), sam, d.inbound("support"), ben.ID))
	third := d.inbound("support")
	d.drain(d.assigner(), "support")
	h := d.assignment(third)
	if h.To != ben.ID || !slices.ContainsFunc(h.Inputs, func(in string) bool { return strings.HasPrefix(in, "passed:ana@example.com daily-limit open:0") }) {
		t.Errorf("to %s by %q", h.To, h.Inputs)
	}
}

func TestWhyASessionWaits(t *testing.T) {
	d := newDesks(t)
	older, id := d.inbound("support"), d.inbound("support")
	settings := func(change func(*channel.Settings)) {
		t.Helper()
		s := doc[channel.Settings](d, "settings/channel")
		change(&s)
		if _, err := d.admin.PutSettings(t.Context(), s, ""); err != nil {
			t.Fatal(err)
		}
	}
	policy := func(p route.Policy) func() {
		return func() { d.put("support", func(q *channel.Queue) { q.Assign = p }) }
	}
	now := d.now
	for _, step := range []struct {
		name string
		do   func()
		want route.Refusal
	}{
		{"assignment is off", func() {}, route.Off},
		{"nobody is logged in", policy(route.Policy{On: true, OnlyLoggedIn: true}), route.NotLoggedIn},
		{"its turn is near", policy(route.Policy{On: true}), ""},
		{"all at the limit", func() {
			policy(route.Policy{On: true, DailyLimit: 1})()
			day := channel.Daily{Day: d.clock().Format(time.DateOnly), N: 1}
			if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
				tx.Patch("agents/"+ana.ID, map[string]any{"daily.support": day})
				tx.Patch("agents/"+ben.ID, map[string]any{"daily.support": day, "logged_in": true})
			}); err != nil {
				t.Fatal(err)
			}
		}, route.DailyLimit},
		{"one for this, one for that", policy(route.Policy{On: true, DailyLimit: 1, OnlyLoggedIn: true}), route.NobodyLeft},
		{"outside its hours", func() {
			d.put("support", func(q *channel.Queue) {
				q.Assign = route.Policy{On: true, OnlyInHours: true}
				q.Hours = open(now.Truncate(time.Hour).Add(5*time.Hour), now.Truncate(time.Hour).Add(6*time.Hour))
			})
		}, route.OutsideHours},
		{"nobody serves it", func() {
			d.put("support", func(q *channel.Queue) { q.Teams, q.Hours = nil, hours.Hours{} })
		}, route.NoAgents},
		{"the queue is off", func() { d.put("support", func(q *channel.Queue) { q.On = false }) }, route.QueueOff},
		{"all queues are off", func() { settings(func(s *channel.Settings) { s.Queues = false }) }, route.QueuesOff},
		{"the channel is off", func() { settings(func(s *channel.Settings) { s.Email = false }) }, route.ChannelOff},
	} {
		step.do()
		w := d.waits(id)
		if w == nil || w.Reason != step.want || w.Ahead != 1 {
			t.Errorf("%s: %+v, want %q", step.name, w, step.want)
			continue
		}
		if opens := now.Truncate(time.Hour).Add(5 * time.Hour); step.want == route.OutsideHours && !w.Opens.Equal(opens) {
			t.Errorf("opens at %s, not %s", w.Opens, opens)
		}
		if a := w.Agents; step.want == route.NobodyLeft && a != (channel.Standing{Looked: 2, NotLoggedIn: 1, DailyLimit: 1}) {
			t.Errorf("%+v", a)
		}
	}
	if w := d.waits(older); w.Ahead != 0 {
		t.Errorf("%d before the oldest", w.Ahead)
	}
	d.ok(d.desk.SetState(t.Context(), sam, d.ok(d.desk.Open(t.Context(), sam, id)).ID, "resolved"))
	if w := d.waits(id); w != nil {
		t.Errorf("a resolved session waits: %+v", w)
	}
}
