package firestore

import (
	"bytes"
	"context"
	"slices"
)

// intent keeps phantoms out: a transaction declares each query before it runs, a commit declares the versions it
// is about to replace and to store. A commit waits for the transactions whose queries' results it would change; a
// query waits for the commits under way that would change its own. First come, first served.
type intent struct {
	owner   *owner
	query   *query   // set for a query
	last    []byte   // what lies behind cannot change the query's result; nil: everything can
	changes []change // set for a commit
	granted bool
}

// declareQuery registers q for the rest of the owner's transaction and returns once no commit can change its
// results any more.
func (t *lockTable) declareQuery(ctx context.Context, o *owner, q *query) (*intent, error) {
	in := &intent{owner: o, query: q}
	return in, t.declare(ctx, in)
}

// declareWrite registers a commit's changes and returns once no transaction's query is affected.
func (t *lockTable) declareWrite(ctx context.Context, o *owner, changes []change) error {
	return t.declare(ctx, &intent{owner: o, changes: changes})
}

func (t *lockTable) declare(ctx context.Context, in *intent) error {
	t.mu.Lock()
	if in.owner.killed != nil {
		t.mu.Unlock()
		return in.owner.killed
	}
	t.intents = append(t.intents, in)
	in.owner.intents = append(in.owner.intents, in)
	if len(t.intentBlockers(in)) == 0 {
		in.granted = true
		t.mu.Unlock()
		return nil
	}
	return t.wait(ctx, &request{owner: in.owner, intent: in})
}

// narrow limits a query's intent to what lies before the last document of a filled limit.
func (t *lockTable) narrow(in *intent, last []byte) {
	if last == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	in.last = last
	t.promoteIntents()
}

// intentBlockers returns the owners of the conflicting intents that come before in.
func (t *lockTable) intentBlockers(in *intent) []*owner {
	var out []*owner
	before := true
	for _, x := range t.intents {
		if x == in {
			before = false
			continue
		}
		if x.owner == in.owner || !x.granted && !before || !conflict(in, x) {
			continue
		}
		// A commit that waits for this transaction anyway is not waited for.
		if in.query != nil && !x.granted && in.owner.blocks(x) {
			continue
		}
		out = append(out, x.owner)
	}
	return out
}

// blocks tells whether one of o's granted queries stands in the way of the commit in.
func (o *owner) blocks(in *intent) bool {
	return slices.ContainsFunc(o.intents, func(q *intent) bool { return q.granted && conflict(q, in) })
}

func conflict(a, b *intent) bool {
	if a.query == nil {
		a, b = b, a
	}
	if a.query == nil || b.query != nil {
		return false
	}
	return slices.ContainsFunc(b.changes, a.affectedBy)
}

func (in *intent) affectedBy(c change) bool {
	path, _ := cutLast(c.name)
	return in.query.contains(path) && c.before != c.after && (in.covers(c.before) || in.covers(c.after))
}

func (in *intent) covers(d *document) bool {
	if d == nil {
		return false
	}
	at, ok := in.query.selects(d)
	return ok && (in.last == nil || bytes.Compare(at, in.last) <= 0)
}

func (t *lockTable) removeIntent(in *intent) {
	same := func(x *intent) bool { return x == in }
	t.intents = slices.DeleteFunc(t.intents, same)
	in.owner.intents = slices.DeleteFunc(in.owner.intents, same)
}

// promoteIntents grants what has become possible, in order of arrival.
func (t *lockTable) promoteIntents() {
	for _, in := range t.intents {
		if !in.granted && len(t.intentBlockers(in)) == 0 {
			in.granted = true
			in.owner.waiting.answer(nil)
		}
	}
}
