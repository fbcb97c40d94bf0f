package channel_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/route"
)

// present configures who counts as being there.
func (d *desks) present(p channel.Presence) {
	d.Helper()
	s := doc[channel.Settings](d, "settings/channel")
	s.Presence = p
	if _, err := d.admin.PutSettings(d.Context(), s, ""); err != nil {
		d.Fatal(err)
	}
}

func (d *desks) login(who channel.Actor) {
	d.Helper()
	if _, err := d.admin.SetPresence(d.Context(), who, who.ID, true); err != nil {
		d.Fatal(err)
	}
}

func (d *desks) sets(who channel.Actor, s channel.Status) {
	d.Helper()
	if _, err := d.admin.SetStatus(d.Context(), who, who.ID, s); err != nil {
		d.Fatal(err)
	}
}

func (d *desks) sweep() {
	d.Helper()
	s := channel.Sweep{Docs: d.docs, Bus: d.bus, Config: d.fresh(), Now: d.clock}
	if err := s.Handle(d.Context()); err != nil {
		d.Fatal(err)
	}
}

func TestPresenceSettings(t *testing.T) {
	d := newDesks(t)
	for name, c := range map[string]struct {
		p    channel.Presence
		want []string
	}{
		"never":          {channel.Presence{}, nil},
		"good":           {channel.Presence{Timeout: 15, Statuses: []channel.CustomStatus{{Name: "coaching"}, {Name: "back-office", TakesMail: true}}}, nil},
		"negative":       {channel.Presence{Timeout: -1}, []string{"presence.timeout_minutes"}},
		"over a day":     {channel.Presence{Timeout: 1441}, []string{"presence.timeout_minutes"}},
		"one of ours":    {channel.Presence{Statuses: []channel.CustomStatus{{Name: "in-email"}}}, []string{"presence.statuses[0].name"}},
		"twice":          {channel.Presence{Statuses: []channel.CustomStatus{{Name: "a"}, {Name: "a"}}}, []string{"presence.statuses[1].name"}},
		"no name":        {channel.Presence{Statuses: []channel.CustomStatus{{}, {Name: "Two words"}}}, []string{"presence.statuses[0].name", "presence.statuses[1].name"}},
		"one too many":   {channel.Presence{Statuses: make([]channel.CustomStatus, 21)}, []string{"presence.statuses"}},
		"as many as can": {channel.Presence{Statuses: statuses(20)}, nil},
	} {
		s := doc[channel.Settings](d, "settings/channel")
		s.Presence = c.p
		if _, err := d.admin.PutSettings(t.Context(), s, ""); !slices.Equal(fields(err), c.want) || err != nil && c.want == nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func statuses(n int) []channel.CustomStatus {
	var out []channel.CustomStatus
	for i := range n {
		out = append(out, channel.CustomStatus{Name: channel.Status("s" + string(rune('a'+i))), TakesMail: true})
	}
	return out
}

// Where a queue assigns only to agents who are logged in, the status decides
// (AS-2); elsewhere it does not matter.
func TestStatusDecidesWhoTakesMail(t *testing.T) {
	d := newDesks(t)
	d.present(channel.Presence{Statuses: append(statuses(19), channel.CustomStatus{Name: "coaching"})})
	logged := func(only bool) {
		d.put("support", func(q *channel.Queue) {
			q.Teams, q.Agents, q.Assign = nil, []string{ana.ID}, route.Policy{On: true, OnlyLoggedIn: only}
		})
	}
	logged(true)
	d.login(ana)
	for status, takes := range map[channel.Status]bool{channel.Available: true, channel.InEmail: true, channel.Unavailable: false, "coaching": false, "sa": true, "ss": true} {
		d.sets(ana, status)
		id := d.inbound("support")
		d.drain(d.assigner(), "support")
		if got := d.session(id).Agent != ""; got != takes {
			t.Errorf("%s: assigned %t, want %t", status, got, takes)
		}
		if w := d.waits(id); !takes && (w == nil || w.Reason != route.Unavailable || w.Agents.Unavailable != 1) {
			t.Errorf("%s: waits %+v", status, w)
		}
		n := d.bus.count(event.TopicQueue)
		d.sets(ana, channel.Available) // has what waits looked at
		if d.bus.count(event.TopicQueue) == n {
			t.Errorf("%s: nobody looks at what waits", status)
		}
		d.drain(d.assigner(), "support")
		if d.session(id).Agent != ana.ID {
			t.Errorf("%s: not assigned once available", status)
		}
	}
	d.sets(ana, channel.Unavailable)
	logged(false)
	id := d.inbound("support")
	d.drain(d.assigner(), "support")
	if d.session(id).Agent != ana.ID {
		t.Error("the status matters where log-ins do not")
	}
	// A status that the settings no longer have takes no mail.
	d.sets(ana, "sa")
	d.present(channel.Presence{})
	logged(true)
	id = d.inbound("support")
	d.drain(d.assigner(), "support")
	if d.session(id).Agent != "" {
		t.Error("a status that there is no more takes mail")
	}
	// A log-in begins with available; one more changes nothing.
	if _, err := d.admin.SetPresence(t.Context(), ana, ana.ID, false); err != nil {
		t.Fatal(err)
	}
	d.login(ana)
	d.drain(d.assigner(), "support")
	if d.session(id).Agent != ana.ID {
		t.Error("not assigned after a new log-in")
	}
	d.sets(ana, channel.InEmail)
	d.login(ana)
	if got := doc[channel.Agent](d, "agents/"+ana.ID).Status; got != channel.InEmail {
		t.Errorf("a second log-in made the status %s", got)
	}
}

// An agent of whom nothing is heard is logged out (AS-2).
func TestNoHeartbeatLogsOut(t *testing.T) {
	d := newDesks(t)
	d.put("support", func(q *channel.Queue) { q.Assign = route.Policy{On: true, OnlyLoggedIn: true} })
	in := func(who channel.Actor) bool { return doc[channel.Agent](d, "agents/"+who.ID).LoggedIn }
	d.login(ana)
	d.login(ben)
	d.pass(100 * 24 * time.Hour)
	d.sweep()
	if !in(ana) || !in(ben) {
		t.Fatal("logged out, and no timeout is set")
	}
	d.login(ana) // which is a heartbeat
	d.login(ben)
	d.present(channel.Presence{Timeout: 15})
	d.pass(10 * time.Minute)
	if _, err := d.admin.Heartbeat(t.Context(), ana, ana.ID); err != nil {
		t.Fatal(err)
	}
	d.pass(10 * time.Minute)
	// Before any sweep he gets no mail, though he would rank first.
	id := d.inbound("support")
	for range 3 {
		d.ok(d.desk.Assign(t.Context(), sam, d.inbound("support"), ana.ID))
	}
	d.drain(d.assigner(), "support")
	if got := d.session(id).Agent; got != ana.ID {
		t.Errorf("assigned to %q", got)
	}
	d.sweep()
	if !in(ana) || in(ben) {
		t.Errorf("ana logged in %t, ben %t", in(ana), in(ben))
	}
	var gone *channel.Conflict
	if _, err := d.admin.Heartbeat(t.Context(), ben, ben.ID); !errors.As(err, &gone) {
		t.Errorf("a heartbeat after the log-out: %v", err)
	}
	if _, err := d.admin.SetStatus(t.Context(), ben, ben.ID, channel.Available); !errors.As(err, &gone) {
		t.Errorf("a status after the log-out: %v", err)
	}
	n := d.bus.count(event.TopicQueue)
	d.login(ben)
	if d.bus.count(event.TopicQueue) == n || !in(ben) {
		t.Error("the log-in has nothing looked at")
	}
}

func TestWhoMayChangeAPresence(t *testing.T) {
	d := newDesks(t)
	d.login(ana)
	acts := map[string]func(who channel.Actor) error{
		"login": func(who channel.Actor) error {
			_, err := d.admin.SetPresence(t.Context(), who, ana.ID, true)
			return err
		},
		"heartbeat": func(who channel.Actor) error { _, err := d.admin.Heartbeat(t.Context(), who, ana.ID); return err },
		"status": func(who channel.Actor) error {
			_, err := d.admin.SetStatus(t.Context(), who, ana.ID, channel.InEmail)
			return err
		},
	}
	for name, act := range acts {
		for who, may := range map[channel.Actor]bool{
			ana: true, ben: false, sam: true, {ID: "adam@example.com", Role: channel.RoleAdmin}: true, {ID: "svc", Role: channel.RoleService}: false,
		} {
			if err := act(who); may && err != nil || !may && !errors.Is(err, channel.ErrForbidden) {
				t.Errorf("%s by %s: %v", name, who.ID, err)
			}
		}
	}
	var bad *channel.Invalid
	if _, err := d.admin.SetStatus(t.Context(), ana, ana.ID, "asleep"); !errors.As(err, &bad) || bad.Fields[0].Name != "status" {
		t.Errorf("an unknown status: %v", err)
	}
	for _, id := range []string{"nobody@example.com", "a/b", ""} {
		if _, err := d.admin.Heartbeat(t.Context(), sam, id); !errors.Is(err, channel.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestShownAsHeCounts: who was not heard of for too long is shown as logged out
// at once, as he gets no mail and has to log in again, and not only from the next sweep on.
func TestShownAsHeCounts(t *testing.T) {
	d := newDesks(t)
	d.present(channel.Presence{Timeout: 10})
	d.login(ana)
	for _, want := range []bool{true, false} {
		one, err := d.admin.Agent(t.Context(), ana.ID)
		if err != nil {
			t.Fatal(err)
		}
		list, err := d.admin.Agents(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(ag channel.Agent) bool { return ag.ID == ana.ID })
		if one.LoggedIn != want || list[i].LoggedIn != want {
			t.Errorf("logged in: %t, in the list %t, want %t", one.LoggedIn, list[i].LoggedIn, want)
		}
		d.pass(10 * time.Minute)
	}
}
