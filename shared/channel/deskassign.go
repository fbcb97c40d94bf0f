package channel

import (
	"context"
	"fmt"
	"slices"

	"emailchannel.dev/emailchannel/shared/session"
)

// Who may say whose a session is:
//
//   - an agent, of the sessions of the queues that he serves, also of those that
//     another agent has; to himself, to another agent of the queue, or away to
//     any queue and to an agent who serves that one;
//   - a supervisor and an admin, of all sessions; not to themselves, as only
//     agents have sessions;
//   - a service never, as it answers to nobody.
func (d *Desk) deal(ctx context.Context, who Actor, id string, f func(ctx context.Context, a *act) (*History, error)) (*Session, error) {
	if who.Role == RoleService {
		return nil, fmt.Errorf("session %s: a service gives and takes no sessions: %w", id, ErrForbidden)
	}
	return d.change(ctx, who, id, f)
}

// Assign gives a session to an agent by hand (AS-1): to oneself or another who
// has the role agent and serves the queue. The one who has it already keeps it.
func (d *Desk) Assign(ctx context.Context, who Actor, id, agent string) (*Session, error) {
	return d.deal(ctx, who, id, func(ctx context.Context, a *act) (*History, error) {
		if a.s.Agent == agent && agent != "" {
			return nil, nil
		}
		if err := a.hand(ctx, agent, a.s.Queue); err != nil {
			return nil, err
		}
		return a.entry(session.KindAssigned, a.before.Agent, agent), nil
	})
}

// Unassign takes a session from its agent. It waits again where it counts as
// open; else the end user's next mail makes it wait.
func (d *Desk) Unassign(ctx context.Context, who Actor, id string) (*Session, error) {
	return d.deal(ctx, who, id, func(_ context.Context, a *act) (*History, error) {
		if a.s.Agent == "" {
			return nil, nil
		}
		a.drop()
		return a.entry(session.KindUnassigned, a.before.Agent, ""), nil
	})
}

// Transfer passes a session on: to another queue, where it waits for an agent
// unless one is named, or to an agent of its own queue. The ID stays (AG-1).
func (d *Desk) Transfer(ctx context.Context, who Actor, id, queue, agent string) (*Session, error) {
	if queue == "" && agent == "" {
		return nil, &Invalid{[]Field{{"queue", "name a queue, an agent or both"}}}
	}
	return d.deal(ctx, who, id, func(ctx context.Context, a *act) (*History, error) {
		to := queue
		if to == "" {
			to = a.s.Queue
		}
		if to == a.s.Queue && (agent == a.s.Agent || agent == "") {
			return nil, nil
		}
		if err := a.enter(ctx, to); err != nil {
			return nil, err
		}
		if agent == "" {
			a.drop()
		} else if err := a.hand(ctx, agent, to); err != nil {
			return nil, err
		}
		return a.transferred(), nil
	})
}

func (a *act) transferred() *History {
	h := a.entry(session.KindTransferred, a.before.Queue, a.s.Queue)
	if a.before.Queue == a.s.Queue {
		h.From, h.To = a.before.Agent, a.s.Agent
	}
	h.Inputs = []string{"queue:" + a.before.Queue, "agent:" + a.before.Agent}
	return h
}

// enter moves the session into a queue. Answers go out by the queue's own
// address, so that what comes back comes to the queue.
func (a *act) enter(ctx context.Context, queue string) error {
	if !plainID(queue) {
		return &Invalid{[]Field{{"queue", "is no queue's ID"}}}
	}
	q, err := get[Queue](ctx, a.tx, queuePath(queue))
	if err != nil {
		return err
	}
	if q == nil {
		return &Invalid{[]Field{{"queue", "there is no queue " + queue}}}
	}
	a.s.Queue = queue
	if len(q.Accounts) > 0 && !slices.Contains(q.Accounts, a.s.Account) {
		a.s.Account = q.Accounts[0]
	}
	return nil
}

// hand gives the session to an agent of the queue.
func (a *act) hand(ctx context.Context, agent, queue string) error {
	if !plainID(agent) {
		return &Invalid{[]Field{{"agent", "is no agent's ID"}}}
	}
	ag, err := get[Agent](ctx, a.tx, agentPath(agent))
	switch {
	case err != nil:
		return err
	case ag == nil || ag.Role != RoleAgent:
		return &Invalid{[]Field{{"agent", agent + " is no agent"}}}
	case !slices.Contains(ag.Queues, queue):
		return &Invalid{[]Field{{"agent", agent + " does not serve queue " + queue}}}
	}
	a.tick()
	a.take(*ag)
	return nil
}

// take makes ag the session's agent; who got one last ranks last in a tie (AS-4).
func (a *act) take(ag Agent) {
	a.s.Agent, a.s.Waiting = ag.ID, false
	a.tx.Patch(agentPath(ag.ID), map[string]any{"last_assigned": ag.assigned(a.now)})
}

// drop leaves the session without an agent.
func (a *act) drop() {
	a.s.Agent = ""
	if session.Counted(a.s.State) {
		a.s.wait(a.now)
	}
}
