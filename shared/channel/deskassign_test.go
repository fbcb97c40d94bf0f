package channel_test

import (
	"errors"
	"fmt"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// Who may assign, take, give up and pass on, over roles and acts. The session is
// in the queue support, of ana and ben; dora serves billing.
func TestWhoMayGiveAndTake(t *testing.T) {
	d := newDesks(t)
	adam := channel.Actor{ID: "adam@example.com", Role: channel.RoleAdmin}
	service := channel.Actor{ID: "svc", Role: channel.RoleService}
	posing := channel.Actor{ID: sam.ID, Role: channel.RoleAgent} // his document says supervisor
	stranger := channel.Actor{ID: "nobody@example.com", Role: channel.RoleAgent}
	const may, invalid, forbidden = "may", "invalid", "forbidden"

	assign := func(to string) func(channel.Actor, string) error {
		return func(who channel.Actor, id string) error {
			_, err := d.desk.Assign(t.Context(), who, id, to)
			return err
		}
	}
	transfer := func(queue, to string) func(channel.Actor, string) error {
		return func(who channel.Actor, id string) error {
			_, err := d.desk.Transfer(t.Context(), who, id, queue, to)
			return err
		}
	}
	for _, act := range []struct {
		name           string
		do             func(who channel.Actor, id string) error
		agent          string // ana, who has not got it
		lead           string // supervisor and admin
		wantAgent      string // who has it when it was allowed
		wantQueue      string
		others, nobody string
	}{
		{"assign to oneself", func(who channel.Actor, id string) error { return assign(who.ID)(who, id) }, may, invalid, ana.ID, "support", forbidden, forbidden},
		{"assign to a colleague", assign(ana.ID), may, may, ana.ID, "support", forbidden, forbidden},
		{"assign to another queue's agent", assign(dora.ID), invalid, invalid, "", "", forbidden, forbidden},
		{"assign to a supervisor", assign(sam.ID), invalid, invalid, "", "", forbidden, forbidden},
		{"unassign", func(who channel.Actor, id string) error {
			_, err := d.desk.Unassign(t.Context(), who, id)
			return err
		}, may, may, "", "support", forbidden, forbidden},
		{"transfer to a colleague", transfer("", ana.ID), may, may, ana.ID, "support", forbidden, forbidden},
		{"transfer to another queue", transfer("billing", ""), may, may, "", "billing", forbidden, forbidden},
		{"transfer to another queue's agent", transfer("billing", dora.ID), may, may, dora.ID, "billing", forbidden, forbidden},
		{"transfer to an agent who does not serve that queue", transfer("billing", ana.ID), invalid, invalid, "", "", forbidden, forbidden},
		{"transfer to an agent of another queue, who stays there", transfer("", dora.ID), invalid, invalid, "", "", forbidden, forbidden},
		{"transfer to no queue that there is", transfer("nowhere", ""), invalid, invalid, "", "", forbidden, forbidden},
	} {
		for _, c := range []struct {
			who  channel.Actor
			want string
		}{{ana, act.agent}, {sam, act.lead}, {adam, act.lead}, {dora, act.others}, {posing, act.others}, {stranger, act.nobody}, {service, act.nobody}} {
			name := fmt.Sprintf("%s by %s %s", act.name, c.who.Role, c.who.ID)
			id := d.inbound("support")
			d.ok(d.desk.Assign(t.Context(), sam, id, ben.ID))
			before := d.session(id)
			err := act.do(c.who, id)
			if got := outcome(err); got != c.want {
				t.Errorf("%s: %s (%v), want %s", name, got, err, c.want)
				continue
			}
			after := d.session(id)
			if c.want != may {
				if after.Agent != before.Agent || after.Queue != before.Queue || !after.UpdatedAt.Equal(before.UpdatedAt) {
					t.Errorf("%s: refused, and changed: %+v", name, after)
				}
				continue
			}
			if after.Agent != act.wantAgent || after.Queue != act.wantQueue || after.Waiting != (act.wantAgent == "") || after.State != session.Unopened {
				t.Errorf("%s: agent %q in %s, waits %t", name, after.Agent, after.Queue, after.Waiting)
			}
		}
	}
}

func outcome(err error) string {
	var bad *channel.Invalid
	switch {
	case err == nil:
		return "may"
	case errors.As(err, &bad):
		return "invalid"
	case errors.Is(err, channel.ErrForbidden):
		return "forbidden"
	}
	return err.Error()
}
