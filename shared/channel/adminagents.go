package channel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
)

// AgentForm is what an admin says of a user. What the assignment counts is
// not part of it.
type AgentForm struct {
	Name  string   `json:"name"`
	Alias string   `json:"alias"`
	Role  string   `json:"role"`
	Teams []string `json:"teams"`
}

// Agents lists the users. Who was not heard of for too long is shown as logged
// out, as he counts, also before Sweep stores it.
func (a *Admin) Agents(ctx context.Context) ([]Agent, error) {
	m, err := all(ctx, a.Docs, "agents", agentID)
	list := sorted(m)
	if err != nil {
		return list, err
	}
	set, err := a.Settings(ctx)
	if err != nil {
		return nil, err
	}
	for i, ag := range list {
		list[i].LoggedIn = set.Presence.here(ag, a.Now())
	}
	return list, nil
}

// Serving counts the agents who serve a queue, by themselves or by a team (QU-3).
func (a *Admin) Serving(ctx context.Context, queue string) (int, error) {
	n, err := a.Docs.Count(ctx, Query{Collection: "agents", Where: []Where{{"queues", "array-contains", queue}, {"role", "==", RoleAgent}}}, maxServing)
	if err != nil {
		return 0, fmt.Errorf("agents of queue %s: %w", queue, err)
	}
	return n, nil
}

// maxServing is up to where agents are counted.
const maxServing = 100_000

// User returns one user as he is stored.
func User(ctx context.Context, r Reader, id string) (*Agent, error) {
	return one[Agent](ctx, r, "agent", email.Normalize(id), agentPath)
}

// Agent returns one user, as [Admin.Agents] has him.
func (a *Admin) Agent(ctx context.Context, id string) (*Agent, error) {
	ag, err := User(ctx, a.Docs, id)
	if err != nil {
		return nil, err
	}
	set, err := a.Settings(ctx)
	if err != nil {
		return nil, err
	}
	ag.LoggedIn = set.Presence.here(*ag, a.Now())
	return ag, nil
}

// PutAgent saves a user. His counters stay; his queues follow from his teams.
func (a *Admin) PutAgent(ctx context.Context, id string, f AgentForm) (*Agent, error) {
	id = email.Normalize(id)
	if !plainID(id) { // not for a path
		return nil, &Invalid{[]Field{{"id", fmt.Sprintf("%q is no email address that can be a user's", id)}}}
	}
	var ag Agent
	var queues []string
	err := a.save(ctx, thingID{ThingAgent, id}, func(ctx context.Context, tx *edit, now time.Time) error {
		w, err := read(ctx, tx)
		if err != nil {
			return err
		}
		var bad Invalid
		_, _ = bad.under("", f.check(id)), bad.under("", w.member(f))
		if err := a.verdict(bad.err()); err != nil {
			return err
		}
		have, err := get[Agent](ctx, tx, agentPath(id))
		if err != nil {
			return err
		}
		ag = Agent{ID: id}
		var before Agent
		if have != nil {
			ag, before = *have, *have
		}
		ag.Name, ag.Alias, ag.Role, ag.Teams = f.Name, f.Alias, f.Role, f.Teams
		if have == nil || ThingAgent.differ(*have, ag) {
			ag.UpdatedAt = now
		}
		w.settle(&ag, before)
		ag.keep(tx, have == nil)
		queues = slices.Concat(ag.Queues, changed(before.Queues, ag.Queues))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("save agent %s: %w", id, err)
	}
	slices.Sort(queues)
	return &ag, a.drain(ctx, slices.Compact(queues)...)
}

// keep writes a user, of one that exists only what admins decide.
func (ag Agent) keep(tx Tx, isNew bool) {
	if isNew {
		tx.Create(agentPath(ag.ID), ag)
		return
	}
	tx.Patch(agentPath(ag.ID), map[string]any{"name": ag.Name, "alias": ag.Alias, "role": ag.Role, "teams": ag.Teams, "queues": ag.Queues, "leaving": ag.leaving(), "updated_at": ag.UpdatedAt})
}

func (f AgentForm) check(id string) error {
	var bad Invalid
	if !isAddress(id) {
		bad.add("id", "%q is not an email address", id)
	}
	if strings.TrimSpace(f.Name) == "" {
		bad.add("name", "missing")
	}
	bad.line("name", f.Name, 200)
	if f.Alias != "" && !isAddress(f.Alias) {
		bad.add("alias", "%q is not an email address", f.Alias)
	}
	bad.oneOf("role", f.Role, RoleAgent, RoleSupervisor, RoleAdmin)
	return bad.err()
}

// DeleteAgent removes a user. First he gets nothing new, then his sessions
// lose him, and those that count as open wait again. It may be repeated until
// it is done.
func (a *Admin) DeleteAgent(ctx context.Context, id string) error {
	ag, err := a.Agent(ctx, id)
	if err != nil {
		return err
	}
	err = a.save(ctx, thingID{ThingAgent, ag.ID}, func(ctx context.Context, tx *edit, now time.Time) error {
		queues, err := find[Queue](ctx, tx, Query{Collection: "queues", Where: []Where{{"agents", "array-contains", ag.ID}}})
		if err != nil {
			return err
		}
		for _, q := range queues {
			tx.Patch(queuePath(q.ID), map[string]any{"agents": without(q.Agents, ag.ID), "updated_at": now})
		}
		tx.Patch(agentPath(ag.ID), map[string]any{"role": "", "queues": []string{}, "teams": []string{}, "logged_in": false})
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete agent %s: %w", ag.ID, err)
	}
	his := Query{Collection: "sessions", Where: []Where{{"agent", "==", ag.ID}}}
	if err := pages(ctx, a.Docs, his, time.Now().Add(sweepFor), func(d found[Session]) error { return orphan(ctx, a.Docs, a.Bus, a.Now, d.id, ag.ID) }); err != nil {
		return fmt.Errorf("sessions of agent %s: %w", ag.ID, err)
	}
	if left, err := a.Docs.Count(ctx, his, 1); err != nil || left > 0 {
		return errors.Join(err, conflict("agent %s has sessions left; delete him again", ag.ID))
	}
	return a.If(Precondition{}).save(ctx, thingID{ThingAgent, ag.ID}, func(ctx context.Context, tx *edit, _ time.Time) error { // it was checked before
		have, err := get[Agent](ctx, tx, agentPath(ag.ID))
		if err != nil {
			return err
		}
		if have != nil && have.Role != "" { // and may have sessions again
			return conflict("agent %s was saved by somebody else meanwhile; delete him again", ag.ID)
		}
		tx.Delete(agentPath(ag.ID))
		return nil
	})
}

func without(list []string, v string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return x == v })
}

// Teams lists the teams.
func (a *Admin) Teams(ctx context.Context) ([]Team, error) {
	m, err := all(ctx, a.Docs, "teams", teamID)
	return sorted(m), err
}

// Team returns one team.
func (a *Admin) Team(ctx context.Context, id string) (*Team, error) {
	return one[Team](ctx, a.Docs, "team", id, teamPath)
}

// PutTeam saves a team.
func (a *Admin) PutTeam(ctx context.Context, t Team) (*Team, error) {
	if err := a.verdict(t.check()); err != nil {
		return nil, err
	}
	err := a.save(ctx, thingID{ThingTeam, t.ID}, func(ctx context.Context, tx *edit, now time.Time) error {
		have, err := get[Team](ctx, tx, teamPath(t.ID))
		if err != nil {
			return err
		}
		t.UpdatedAt = now
		if have != nil && !ThingTeam.differ(*have, t) {
			t.UpdatedAt = have.UpdatedAt
		}
		tx.Set(teamPath(t.ID), t)
		return nil
	})
	return &t, err
}

func (t Team) check() error {
	var bad Invalid
	bad.slug("id", t.ID)
	if strings.TrimSpace(t.Name) == "" {
		bad.add("name", "missing")
	}
	bad.line("name", t.Name, 200)
	return bad.err()
}

// DeleteTeam removes a team from its queues and agents, and then itself.
func (a *Admin) DeleteTeam(ctx context.Context, id string) error {
	if _, err := a.Team(ctx, id); err != nil {
		return err
	}
	var left []string
	err := a.save(ctx, thingID{ThingTeam, id}, func(ctx context.Context, tx *edit, now time.Time) error {
		left = nil
		w, err := read(ctx, tx)
		if err != nil {
			return err
		}
		members, err := w.members(ctx, tx, nil, []string{id})
		if err != nil {
			return err
		}
		for _, q := range sorted(w.queues) {
			if slices.Contains(q.Teams, id) {
				q.Teams = without(q.Teams, id)
				w.queues[q.ID] = q
				left = append(left, q.ID)
				tx.Patch(queuePath(q.ID), map[string]any{"teams": q.Teams, "updated_at": now})
			}
		}
		for _, ag := range sorted(members) {
			before := ag
			ag.Teams, ag.UpdatedAt = without(ag.Teams, id), now
			w.settle(&ag, before)
			ag.keep(tx, false)
		}
		tx.Delete(teamPath(id))
		return nil
	})
	if err != nil {
		return err
	}
	return a.drain(ctx, left...)
}
