package channel

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/wire"
)

// edit is the transaction of one save. It holds the writes back until the save
// is over, compares each document that admins decide about before and after,
// and writes what changed together with its entries of the audit log.
type edit struct {
	Tx
	writes  []write
	log     []Audit              // what commit wrote
	secrets map[thingID][]string // the fields of secrets that were given anew
}

// write is one held-back write: what it does to a document's tree, and to the database.
type write struct {
	path  string
	after func(before map[string]any) map[string]any
	do    func(Tx)
	quiet bool // of fields only that admins do not decide
}

// has tells whether a document is written.
func (e *edit) has(path string) bool {
	return slices.ContainsFunc(e.writes, func(w write) bool { return w.path == path })
}

func (e *edit) keep(path string, after func(map[string]any) map[string]any, do func(Tx)) {
	e.writes = append(e.writes, write{path: path, after: after, do: do})
}

func (e *edit) Create(path string, v any) {
	e.keep(path, func(map[string]any) map[string]any { return tree(v) }, func(tx Tx) { tx.Create(path, v) })
}

func (e *edit) Set(path string, v any) {
	e.keep(path, func(map[string]any) map[string]any { return tree(v) }, func(tx Tx) { tx.Set(path, v) })
}

func (e *edit) Patch(path string, fields map[string]any) {
	e.keep(path, patched(fields), func(tx Tx) { tx.Patch(path, fields) })
	e.writes[len(e.writes)-1].quiet = quietly(path, fields)
}

func (e *edit) PatchAt(path string, version time.Time, fields map[string]any) {
	e.keep(path, patched(fields), func(tx Tx) { tx.PatchAt(path, version, fields) })
	e.writes[len(e.writes)-1].quiet = quietly(path, fields)
}

func (e *edit) Delete(path string) {
	e.keep(path, func(map[string]any) map[string]any { return nil }, func(tx Tx) { tx.Delete(path) })
}

// secret notes that a secret of a thing was given anew; the audit log tells
// that, and never the secret.
func (e *edit) secret(t thingID, field string) {
	if e.secrets == nil {
		e.secrets = map[thingID][]string{}
	}
	e.secrets[t] = append(e.secrets[t], field)
}

func patched(fields map[string]any) func(map[string]any) map[string]any {
	return func(before map[string]any) map[string]any {
		after := map[string]any{} // of what is not there the commit fails
		maps.Copy(after, before)
		for name, v := range fields {
			if v == nil {
				delete(after, name)
			} else {
				after[name] = wire.Encode(v)
			}
		}
		return after
	}
}

// quietly tells whether a patch leaves alone what admins decide.
func quietly(path string, fields map[string]any) bool {
	for _, t := range thingsAt(path) {
		for name := range fields {
			if forms[t.Thing].has(name) {
				return false
			}
		}
	}
	return true
}

// commit writes what changes something, with an entry for each change of a
// thing, and tells whether there is one.
func (e *edit) commit(ctx context.Context, who Actor, now time.Time) (changed bool, err error) {
	before, after, err := e.compare(ctx)
	if err != nil {
		return false, err
	}
	for _, w := range e.writes {
		if b, ok := before[w.path]; ok && (b == nil) == (after[w.path] == nil) && len(wire.Compare(b, after[w.path])) == 0 {
			continue
		}
		w.do(e.Tx)
	}
	e.log = e.entries(before, after)
	for i := range e.log {
		entry := &e.log[i]
		entry.ID, entry.At, entry.Actor, entry.Role = rand.Text(), now, who.ID, who.Role
		if entry.Actor == "" {
			entry.Actor = ActorChannel
		}
		e.Tx.Create(auditPath(entry.ID), *entry)
	}
	return len(e.log) > 0, nil
}

// compare makes the trees of the documents with things as they are and as they
// will be.
func (e *edit) compare(ctx context.Context) (before, after map[string]map[string]any, err error) {
	if before, err = e.before(ctx); err != nil {
		return nil, nil, err
	}
	after = maps.Clone(before)
	for _, w := range e.writes {
		if _, ok := before[w.path]; ok {
			after[w.path] = w.after(after[w.path])
		}
	}
	return before, after, nil
}

// before reads the documents with things that are written to.
func (e *edit) before(ctx context.Context) (map[string]map[string]any, error) {
	out := map[string]map[string]any{}
	var refs []*Ref
	for _, w := range e.writes {
		if _, ok := out[w.path]; ok || w.quiet || len(thingsAt(w.path)) == 0 {
			continue
		}
		out[w.path] = nil
		refs = append(refs, &Ref{Path: w.path, Into: blank(w.path)})
	}
	if len(refs) == 0 {
		return out, nil
	}
	err := e.Tx.Get(ctx, refs...)
	for _, ref := range refs {
		if ref.Found {
			out[ref.Path] = tree(ref.Into)
		}
	}
	return out, err
}

// entries are those of what changed, in the order of the writes.
func (e *edit) entries(before, after map[string]map[string]any) []Audit {
	var out []Audit
	done := map[string]bool{}
	for _, w := range e.writes {
		if _, ok := before[w.path]; !ok || done[w.path] {
			continue
		}
		done[w.path] = true
		for _, t := range thingsAt(w.path) {
			if entry := t.audit(t.decided(t.part(before[w.path])), t.decided(t.part(after[w.path])), e.secrets[t]); entry != nil {
				out = append(out, *entry)
			}
		}
	}
	return out
}
