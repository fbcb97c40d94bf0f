package channel

import (
	"context"
	"fmt"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/session"
)

// An agent who serves a queue no longer cannot open its sessions, so those that
// he has there are taken from him: those that count as open wait again. The
// save that takes a queue from him marks him, and route, which is told of the
// queue, does the work; its next tick does what a crash left. Closed sessions
// keep him until they open again.

// leavingFor bounds one run; the next goes on.
const leavingFor = 2 * time.Minute

// works tells whether the user can open the sessions of a queue.
func (ag *Agent) works(queue string) bool {
	return ag != nil && ag.Role != "" && (ag.Role != RoleAgent || slices.Contains(ag.Queues, queue))
}

// letGo takes a session that opens from the agent that it kept, if he can no
// longer open it.
func (s *Session) letGo(ctx context.Context, r Reader) error {
	if s.Agent == "" {
		return nil
	}
	ag, err := get[Agent](ctx, r, agentPath(s.Agent))
	if err == nil && !ag.works(s.Queue) {
		s.Agent = ""
	}
	return err
}

// settle gives a user the queues that he serves by now, and marks him when he
// may have sessions that he can no longer open. before is what he was, without
// an ID when he is new.
func (w world) settle(ag *Agent, before Agent) {
	ag.Queues = w.served(*ag)
	if before.ID == "" {
		return
	}
	lost := before.Role != RoleAgent || slices.ContainsFunc(before.Queues, func(q string) bool { return !slices.Contains(ag.Queues, q) })
	ag.Leaving = before.Leaving || lost && ag.Role == RoleAgent
}

// leaving is the mark as it is stored: no field where there is none.
func (ag Agent) leaving() any {
	if ag.Leaving {
		return true
	}
	return nil
}

// leave takes their sessions from the agents who left queues.
func (a *Assign) leave(ctx context.Context) error {
	until := time.Now().Add(leavingFor)
	left := Query{Collection: "agents", Where: []Where{{"leaving", "==", true}}}
	return pages(ctx, a.Docs, left, until, func(d found[Agent]) error {
		if err := a.release(ctx, d.v, until); err != nil {
			return fmt.Errorf("sessions of agent %s: %w", d.id, err)
		}
		return nil
	})
}

// release takes the sessions of the queues that the agent does not serve, and
// then the mark, unless he was saved again meanwhile or time is over.
func (a *Assign) release(ctx context.Context, ag Agent, until time.Time) error {
	his := Query{Collection: "sessions", Where: []Where{{"agent", "==", ag.ID}, {"state", "in", []string{
		string(session.Unopened), string(session.Active), string(session.Paused), string(session.Resolved), string(session.Reopened),
	}}}}
	err := pages(ctx, a.Docs, his, until, func(d found[Session]) error {
		if ag.works(d.v.Queue) {
			return nil
		}
		return orphan(ctx, a.Docs, a.Bus, a.Now, d.id, ag.ID)
	})
	if err != nil || !time.Now().Before(until) {
		return err
	}
	return a.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		now, err := get[Agent](ctx, tx, agentPath(ag.ID))
		if err != nil || now == nil || now.Role != ag.Role || !slices.Equal(now.Queues, ag.Queues) {
			return err
		}
		tx.Patch(agentPath(ag.ID), map[string]any{"leaving": nil})
		return nil
	})
}

// orphan takes a session from an agent who leaves, unless somebody was faster.
func orphan(ctx context.Context, docs Docs, bus Bus, clock Clock, id, agent string) error {
	var h *History
	err := docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		h = nil
		s, err := get[Session](ctx, tx, sessionPath(id))
		if err != nil || s == nil || s.Agent != agent {
			return err
		}
		ag, err := get[Agent](ctx, tx, agentPath(agent))
		if err != nil || ag.works(s.Queue) { // he is back, or the session has moved to where he works
			return err
		}
		now := clock().UTC()
		ac := act{tx: tx, who: Actor{ID: ActorChannel}, key: "left-" + digest(agent, now.String()), now: now, s: *s, before: *s}
		ac.drop()
		h = ac.entry(session.KindUnassigned, agent, "")
		ac.store(*h)
		return nil
	})
	if err != nil || h == nil {
		return err
	}
	return announce(ctx, bus, docs, "admin", *h)
}
