package firestore

import (
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// requirement is what an index, or several merged ones, must offer for one conjunction of a query:
// the filtered fields in any order, then the sort order with exactly these directions. An order by __name__ in the
// direction of the last field is part of every index and left out.
type requirement struct {
	group    bool
	id       string
	filtered []indexedField // equalities (direction irrelevant) and at most one array
	sorted   []indexedField
}

// check answers whether the cloud would serve q with the declared and the automatic indexes: FAILED_PRECONDITION
// naming the missing index if not.
func (d *declared) check(q *query) error {
	if q.id == "" {
		return nil // recursive deletes and exports walk the documents themselves
	}
	for _, conditions := range q.disjuncts {
		r := q.requirement(conditions)
		if !d.covers(&r) {
			return status.Errorf(codes.FailedPrecondition,
				"The query requires an index. Add it to firestore.indexes.json: %s", r.suggestion())
		}
	}
	return nil
}

func (q *query) requirement(conditions []condition) requirement {
	r := requirement{group: q.group, id: q.id}
	equal := map[string]bool{}
	for _, c := range conditions {
		if c.path.isName() || c.op.inequality() || equal[c.path.text] {
			continue
		}
		dir := ascending
		if c.op == opContains {
			dir = contains
		} else {
			equal[c.path.text] = true
		}
		r.filtered = append(r.filtered, indexedField{c.path.text, dir})
	}
	for _, o := range q.orders {
		if equal[o.path.text] {
			continue // constant, sorts nothing
		}
		r.sorted = append(r.sorted, indexedField{o.path.text, directionOf(o.desc)})
	}
	r.dropImpliedName()
	return r
}

func directionOf(desc bool) direction {
	if desc {
		return descending
	}
	return ascending
}

// dropImpliedName removes an order by __name__ that the preceding field's index implies.
func (r *requirement) dropImpliedName() {
	last := len(r.sorted) - 1
	if last < 0 || r.sorted[last].path != nameField {
		return
	}
	if last == 0 || r.sorted[last-1].direction == r.sorted[last].direction {
		r.sorted = r.sorted[:last]
	}
}

func (d *declared) covers(r *requirement) bool {
	if len(r.sorted) == 0 && d.mergeSingles(r) {
		return true
	}
	if len(r.sorted) == 1 && len(r.filtered) == 0 {
		return d.single(r.group, r.id, r.sorted[0].path, r.sorted[0].direction)
	}
	return d.mergeComposites(r)
}

// mergeSingles: any number of equalities is served by intersecting single-field indexes.
func (d *declared) mergeSingles(r *requirement) bool {
	for _, f := range r.filtered {
		if !d.single(r.group, r.id, f.path, f.direction) &&
			(f.direction == contains || !d.single(r.group, r.id, f.path, descending)) {
			return false
		}
	}
	return true
}

// mergeComposites intersects composite indexes that end with the sort order and start with filtered fields: together
// they must start with all of them (https://firebase.google.com/docs/firestore/query-data/index-overview#taking_advantage_of_index_merging).
// Single-field indexes join where there is nothing to sort by, or where the sorted field is the filtered array itself.
func (d *declared) mergeComposites(r *requirement) bool {
	found := make(map[indexedField]bool)
	for _, c := range d.composites[r.id] {
		if head, ok := c.prefixOf(r); ok {
			for _, f := range head {
				found[f] = true
			}
			if len(head) == 0 && len(r.filtered) == 0 {
				return true
			}
		}
	}
	for _, f := range r.filtered {
		free := len(r.sorted) == 0 && d.single(r.group, r.id, f.path, f.direction)
		if !found[f] && !free {
			return false
		}
	}
	return len(r.filtered) > 0
}

// prefixOf returns the filtered fields that c starts with, provided the rest is the sort order.
func (c *composite) prefixOf(r *requirement) ([]indexedField, bool) {
	fields := c.fields
	if len(r.sorted) == 0 || r.sorted[len(r.sorted)-1].path != nameField {
		fields = withoutImpliedName(fields)
	}
	n := len(fields) - len(r.sorted)
	if c.group != r.group || n < 0 || !slices.Equal(fields[n:], r.sorted) {
		return nil, false
	}
	var head []indexedField
	for _, f := range fields[:n] {
		if f.direction == descending {
			f.direction = ascending
		}
		if !slices.Contains(r.filtered, f) {
			return nil, false
		}
		head = append(head, f)
	}
	return head, true
}

func withoutImpliedName(fields []indexedField) []indexedField {
	last := len(fields) - 1
	if fields[last].path == nameField && fields[last].direction == fields[last-1].direction {
		return fields[:last]
	}
	return fields
}

// suggestion is the index to add, in the file's format.
func (r *requirement) suggestion() string {
	fields := slices.Clone(r.filtered)
	slices.SortStableFunc(fields, func(a, b indexedField) int { return strings.Compare(a.path, b.path) })
	c := composite{group: r.group, fields: slices.Concat(fields, r.sorted)}
	return c.describe(r.id)
}
