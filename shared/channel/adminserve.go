package channel

import (
	"context"
	"fmt"
	"slices"
)

// world is what queues, teams and agents are checked against. It is read in
// the transaction that writes, so that Agent.Queues, which repeats what the
// queues say, is right after every commit.
type world struct {
	queues   map[string]Queue
	teams    map[string]Team
	accounts map[string]Account
}

func read(ctx context.Context, r Reader) (w world, err error) {
	if w.queues, err = all(ctx, r, "queues", queueID); err != nil {
		return w, err
	}
	if w.teams, err = all(ctx, r, "teams", teamID); err != nil {
		return w, err
	}
	w.accounts, err = all(ctx, r, "accounts", accountID)
	return w, err
}

// served lists the queues that name the agent or one of his teams.
func (w world) served(ag Agent) []string {
	out := []string{}
	for _, q := range sorted(w.queues) {
		inTeam := slices.ContainsFunc(q.Teams, func(t string) bool { return slices.Contains(ag.Teams, t) })
		if inTeam || slices.Contains(q.Agents, ag.ID) {
			out = append(out, q.ID)
		}
	}
	return out
}

// members reads the agents with these IDs and those of these teams.
func (w world) members(ctx context.Context, r Reader, agents, teams []string) (map[string]Agent, error) {
	out := map[string]Agent{}
	docs, refs := make([]Agent, len(agents)), make([]*Ref, len(agents))
	for i, id := range agents {
		refs[i] = &Ref{Path: agentPath(id), Into: &docs[i]}
	}
	if err := r.Get(ctx, refs...); err != nil {
		return nil, err
	}
	for i, ref := range refs {
		if ref.Found {
			out[agents[i]] = docs[i]
		}
	}
	for _, t := range teams {
		list, err := find[Agent](ctx, r, Query{Collection: "agents", Where: []Where{{"teams", "array-contains", t}}})
		if err != nil {
			return nil, err
		}
		for _, ag := range list {
			out[ag.ID] = ag
		}
	}
	return out, nil
}

// serve writes the queues of those agents for whom they changed, and nothing
// else of them: their counters belong to the assignment.
func (w world) serve(tx Tx, agents map[string]Agent) {
	for _, ag := range sorted(agents) {
		before := ag
		if w.settle(&ag, before); !slices.Equal(before.Queues, ag.Queues) {
			tx.Patch(agentPath(ag.ID), map[string]any{"queues": ag.Queues, "leaving": ag.leaving()})
		}
	}
}

// changed lists what is in one of two lists only.
func changed(a, b []string) []string {
	var out []string
	for _, v := range a {
		if !slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	for _, v := range b {
		if !slices.Contains(a, v) {
			out = append(out, v)
		}
	}
	return out
}

// admit names what is wrong with a queue among the others; agents are those
// that it names, as far as they exist.
func (w world) admit(q Queue, agents map[string]Agent) error {
	var bad Invalid
	w.addresses(q, &bad)
	named := map[string]bool{}
	for i, id := range q.Agents {
		field := fmt.Sprintf("agents[%d]", i)
		if ag, ok := agents[id]; !ok || ag.Role != RoleAgent {
			bad.add(field, "%q is no agent", id)
		} else if named[id] {
			bad.add(field, "%q is named twice", id)
		}
		named[id] = true
	}
	for i, id := range q.Teams {
		field := fmt.Sprintf("teams[%d]", i)
		if _, ok := w.teams[id]; !ok {
			bad.add(field, "there is no team %q", id)
		} else if slices.Contains(q.Teams[:i], id) {
			bad.add(field, "%q is named twice", id)
		}
	}
	w.parent(q, &bad)
	return bad.err()
}

// member names the teams of a user that do not exist.
func (w world) member(f AgentForm) error {
	var bad Invalid
	for i, t := range f.Teams {
		if _, ok := w.teams[t]; !ok {
			bad.add(fmt.Sprintf("teams[%d]", i), "there is no team %q", t)
		}
	}
	return bad.err()
}

// alone refuses an address that another account has, and an outbound-only
// account that is a queue's address (AC-4).
func (w world) alone(acc Account) error {
	var bad Invalid
	for _, other := range w.accounts {
		if other.ID != acc.ID && other.Address == acc.Address {
			bad.add("address", "account %s has it already", other.ID)
		}
	}
	if !acc.OutboundOnly {
		return bad.err()
	}
	for _, q := range sorted(w.queues) {
		if slices.Contains(q.Accounts, acc.ID) {
			bad.add("outbound_only", "it is an address of queue %s (%s)", q.ID, q.Name)
		}
	}
	return bad.err()
}

// addresses checks the accounts of a queue: each receives (AC-4) and belongs
// to no other queue, or nobody could tell whose mail it is.
func (w world) addresses(q Queue, bad *Invalid) {
	for i, id := range q.Accounts {
		field := fmt.Sprintf("accounts[%d]", i)
		acc, ok := w.accounts[id]
		switch {
		case !ok:
			bad.add(field, "there is no account %q", id)
		case acc.OutboundOnly:
			bad.add(field, "account %s is outbound only and receives no mail", id)
		case slices.Contains(q.Accounts[:i], id):
			bad.add(field, "%q is named twice", id)
		}
		for _, other := range w.queues {
			if other.ID != q.ID && slices.Contains(other.Accounts, id) {
				bad.add(field, "account %s belongs to queue %s", id, other.ID)
			}
		}
	}
	if id := q.Response.Account; id != "" {
		if _, ok := w.accounts[id]; !ok {
			bad.add("response.account", "there is no account %q", id)
		}
	}
}

// parent checks the nesting (QU-5).
func (w world) parent(q Queue, bad *Invalid) {
	for up, depth := q.Parent, 0; up != ""; depth++ {
		parent, ok := w.queues[up]
		switch {
		case up == q.ID || depth > len(w.queues):
			bad.add("parent", "queue %s would be inside of itself", q.ID)
			return
		case !ok:
			bad.add("parent", "there is no queue %q", up)
			return
		}
		up = parent.Parent
	}
}

func plainIDs(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !plainID(id) })
}
