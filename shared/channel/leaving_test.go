package channel_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/session"
)

// named has the queue support name its agents instead of their team.
func (d *desks) named() {
	d.Helper()
	d.put("support", func(q *channel.Queue) { q.Teams, q.Agents = nil, []string{ana.ID, ben.ID} })
}

// held are four sessions of Ana's in support: open, paused, resolved and closed.
func (d *desks) held() (open, paused, resolved, closed string) {
	d.Helper()
	ids := make([]string, 4)
	for i := range ids {
		ids[i] = d.inbound("support")
		d.ok(d.desk.Assign(d.Context(), sam, ids[i], ana.ID))
		d.ok(d.desk.Open(d.Context(), ana, ids[i]))
	}
	d.ok(d.desk.SetState(d.Context(), ana, ids[1], session.Paused))
	d.ok(d.desk.SetState(d.Context(), ana, ids[2], session.Resolved))
	d.ok(d.desk.SetState(d.Context(), ana, ids[3], session.Resolved))
	d.set("sessions/"+ids[3], map[string]any{"state": session.Closed})
	return ids[0], ids[1], ids[2], ids[3]
}

// An agent who serves a queue no longer cannot open its sessions: they must not stay with him.
func TestWhoLeavesAQueueLeavesItsSessions(t *testing.T) {
	queue := func(d *desks, change func(*channel.Queue)) error {
		q := doc[channel.Queue](d, "queues/support")
		change(&q)
		_, err := d.admin.PutQueue(d.Context(), q)
		return err
	}
	agent := func(d *desks, role string, teams ...string) error {
		_, err := d.admin.PutAgent(d.Context(), ana.ID, channel.AgentForm{Name: "Ana", Role: role, Teams: teams})
		return err
	}
	for name, c := range map[string]struct {
		named bool // by herself, not by her team
		leave func(*desks) error
	}{
		"the queue is saved without her": {true, func(d *desks) error {
			return queue(d, func(q *channel.Queue) { q.Agents = []string{ben.ID} })
		}},
		"the queue is saved without her team": {false, func(d *desks) error {
			return queue(d, func(q *channel.Queue) { q.Teams, q.Agents = nil, []string{ben.ID} })
		}},
		"she leaves the team": {false, func(d *desks) error { return agent(d, channel.RoleAgent) }},
		"the team goes":       {false, func(d *desks) error { return d.admin.DeleteTeam(d.Context(), "first") }},
		"she was a supervisor": {false, func(d *desks) error {
			return errors.Join(agent(d, channel.RoleSupervisor), agent(d, channel.RoleAgent))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesks(t)
			if c.named {
				d.named()
			}
			open, paused, resolved, closed := d.held()
			told := d.bus.count(event.TopicQueue)
			if err := c.leave(d); err != nil {
				t.Fatal(err)
			}
			if d.bus.count(event.TopicQueue) == told {
				t.Error("route is not told")
			}
			d.drain(d.assigner(), "support")
			for id, waits := range map[string]bool{open: true, paused: false, resolved: false} {
				if s := d.session(id); s.Agent == ana.ID || s.Waiting != (waits && s.Agent == "") {
					t.Errorf("%+v", s)
				}
			}
			if s := d.session(closed); s.Agent != ana.ID {
				t.Errorf("the closed session forgot its agent: %+v", s)
			}
			if ag := doc[channel.Agent](d, "agents/"+ana.ID); ag.Leaving || ag.Open != 0 {
				t.Errorf("%+v", ag)
			}
			d.reopens(closed)
			if s := d.session(closed); s.State != session.Reopened || s.Agent != "" || !s.Waiting {
				t.Errorf("opened again: %+v", s)
			}
		})
	}
}

// reopens has the customer of a session write again.
func (d *desks) reopens(id string) {
	d.Helper()
	m := doc[channel.Message](d, "sessions/"+id+"/messages/"+d.session(id).FirstMessage)
	again := cleo
	again.id, again.uid, again.inReplyTo = "again-"+m.MessageID, 77, m.MessageID
	if got := d.receives(again); got != id {
		d.Fatalf("it is in %s", got)
	}
}

// Who loses one queue keeps what he has in another, and a supervisor works everywhere.
func TestWhoStaysKeepsHisSessions(t *testing.T) {
	for name, leave := range map[string]func(*desks) error{
		"the queue changes otherwise": func(d *desks) error {
			q := doc[channel.Queue](d, "queues/support")
			q.Name = "Help"
			_, err := d.admin.PutQueue(d.Context(), q)
			return err
		},
		"she leaves and comes back before route runs": func(d *desks) error {
			q := doc[channel.Queue](d, "queues/support")
			all := q.Agents
			q.Agents = []string{ben.ID}
			_, err := d.admin.PutQueue(d.Context(), q)
			q.Agents = all
			_, again := d.admin.PutQueue(d.Context(), q)
			return errors.Join(err, again)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesks(t)
			d.named()
			open, paused, _, closed := d.held()
			if err := leave(d); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				d.drain(d.assigner(), "")
			}
			d.reopens(closed)
			for _, id := range []string{open, paused, closed} {
				if s := d.session(id); s.Agent != ana.ID {
					t.Errorf("%+v", s)
				}
			}
			if doc[channel.Agent](d, "agents/"+ana.ID).Leaving {
				t.Error("she is still leaving")
			}
		})
	}
}

// What a run does not finish is left to the next.
func TestLeavingGoesOn(t *testing.T) {
	t.Run("after a crash", func(t *testing.T) {
		leavingGoesOn(t, func(d *desks) error {
			ctx, cancel := context.WithCancel(d.Context())
			defer cancel()
			steps := fault.WithSteps(ctx, func(at string) {
				if at == "admin.committed" { // of the first session
					cancel()
				}
			})
			return d.assigner().Queue(steps, event.Queue{})
		})
	})
	t.Run("after failures", func(t *testing.T) {
		leavingGoesOn(t, func(d *desks) error {
			d.bus.down = errors.New("no bus")
			defer func() { d.bus.down = nil }()
			return d.assigner().Queue(d.Context(), event.Queue{})
		})
	})
}

func leavingGoesOn(t *testing.T, cut func(*desks) error) {
	d := newDesks(t)
	d.named()
	open, paused, resolved, _ := d.held()
	d.put("support", func(q *channel.Queue) { q.Agents = []string{ben.ID} })
	if err := cut(d); err == nil {
		t.Fatal("it was not cut")
	}
	if !doc[channel.Agent](d, "agents/"+ana.ID).Leaving {
		t.Fatal("the mark is gone before the work is done")
	}
	d.pass(time.Minute)
	d.drain(d.assigner(), "")
	for _, id := range []string{open, paused, resolved} {
		if s := d.session(id); s.Agent == ana.ID {
			t.Errorf("%+v", s)
		}
	}
}

// Who is put back while his sessions are taken keeps the rest.
func TestComesBackWhileLeaving(t *testing.T) {
	d := newDesks(t)
	d.named()
	open, paused, resolved, _ := d.held()
	d.put("support", func(q *channel.Queue) { q.Agents = []string{ben.ID} })
	back := false
	ctx := fault.WithSteps(t.Context(), func(at string) {
		if at == "admin.committed" && !back { // of the first session that she loses
			back = true
			d.put("support", func(q *channel.Queue) { q.Agents = []string{ana.ID, ben.ID} })
		}
	})
	if err := d.assigner().Queue(ctx, event.Queue{}); err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, id := range []string{open, paused, resolved} {
		if d.session(id).Agent == ana.ID {
			kept++
		}
	}
	if !back || kept != 2 {
		t.Errorf("she is back: %t, and keeps %d of the 2 that were not taken yet", back, kept)
	}
}
