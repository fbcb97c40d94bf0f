package firestore

import (
	"iter"
	"slices"
	"strings"
	"sync/atomic"
)

// shape is what distinguishes one physical index from another: fields compared for equality, an array field
// whose elements are entries, and the order, whose first direction is always ascending because an index is
// scanned in both directions.
//
// Physical indexes are made on first use, one per shape of query, and kept up to date from then on: a query
// always finds the one contiguous range that holds its results, and fields nobody queries cost nothing.
// Which queries the cloud would refuse is decided elsewhere (declared.go).
type shape struct {
	equal  []fieldPath
	array  *fieldPath
	orders []order
}

func (s *shape) signature() string {
	var b strings.Builder
	for _, p := range s.equal {
		b.WriteString("=" + p.text + ",")
	}
	if s.array != nil {
		b.WriteString("@" + s.array.text + ",")
	}
	for _, o := range s.orders {
		if o.desc {
			b.WriteByte('-')
		}
		b.WriteString(o.path.text + ",")
	}
	return b.String()
}

// index is a physical index over one collection or one collection group.
type index struct {
	shape
	entries sorted[*document]
	used    atomic.Int64 // the set's counter at the last use, for replacing the least useful one
}

// keys returns the entries of d: none when a field is missing, several for an array.
func (ix *index) keys(d *document) []string {
	head, ok := make([]byte, 0, 96), true
	for _, p := range ix.equal {
		if head, ok = d.appendKey(head, p); !ok {
			return nil
		}
	}
	var tail []byte
	for _, o := range ix.orders {
		if tail, ok = d.appendDirected(tail, o); !ok {
			return nil
		}
	}
	if ix.array == nil {
		return []string{string(append(head, tail...))}
	}
	var keys []string
	for _, e := range d.field(*ix.array).GetArrayValue().GetValues() {
		keys = append(keys, string(slices.Concat(head, orderKey(e), tail)))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// replace moves the index from one version of a document to the next; either may be nil.
func (ix *index) replace(before, after *document) {
	var old, now []string
	if before != nil {
		old = ix.keys(before)
	}
	if after != nil {
		now = ix.keys(after)
	}
	for _, k := range old {
		if !slices.Contains(now, k) {
			ix.entries.remove(k)
		}
	}
	for _, k := range now {
		ix.entries.put(k, after)
	}
}

// maxIndexes bounds the physical indexes of one collection; the least recently used one makes room.
const maxIndexes = 48

type indexSet struct {
	indexes map[string]*index
	clock   atomic.Int64
}

func (s *indexSet) get(signature string) *index {
	ix := s.indexes[signature]
	if ix != nil {
		ix.used.Store(s.clock.Add(1))
	}
	return ix
}

func (s *indexSet) add(sh shape, docs iter.Seq[*document]) {
	if s.indexes == nil {
		s.indexes = map[string]*index{}
	}
	if len(s.indexes) >= maxIndexes {
		s.evict()
	}
	ix := &index{shape: sh}
	ix.used.Store(s.clock.Add(1))
	var entries []entry[*document]
	for d := range docs {
		for _, k := range ix.keys(d) {
			entries = append(entries, entry[*document]{k, d})
		}
	}
	ix.entries.fill(entries)
	s.indexes[sh.signature()] = ix
}

func (s *indexSet) evict() {
	var victim string
	for sig, ix := range s.indexes {
		if v := s.indexes[victim]; v == nil || ix.used.Load() < v.used.Load() {
			victim = sig
		}
	}
	delete(s.indexes, victim)
}

func (s *indexSet) replace(before, after *document) {
	for _, ix := range s.indexes {
		ix.replace(before, after)
	}
}

// bounds is a range of an index's keys.
type bounds struct {
	lo, hi  string
	reverse bool
	// exact says that every entry in the range is a result; otherwise each is checked against the query.
	exact bool
}

// plan maps one conjunction of q to a shape and the range of keys that contains its results.
func (c *query) plan(conditions []condition) (shape, bounds) {
	var sh shape
	head, used := c.planEqualities(conditions, &sh)
	dropped := false
	for _, o := range c.orders {
		if slices.ContainsFunc(sh.equal, func(p fieldPath) bool { return p.text == o.path.text }) {
			dropped = true // constant within the range
			continue
		}
		sh.orders = append(sh.orders, o)
	}
	b := bounds{reverse: sh.orders[0].desc}
	if b.reverse {
		sh.orders = slices.Clone(sh.orders)
		for i := range sh.orders {
			sh.orders[i].desc = !sh.orders[i].desc
		}
	}
	lo, hi := slices.Clone(head), append(slices.Clone(head), afterAll)
	for _, d := range conditions {
		if d.op < opLess || d.op > opGreaterEqual || d.path.text != sh.orders[0].path.text {
			continue
		}
		used++
		l, h := d.rangeKeys(head)
		lo, hi = maxBytes(lo, l), minBytes(hi, h)
	}
	b.exact = used == len(conditions) && (!dropped || c.start == nil && c.end == nil)
	if !dropped {
		lo, hi = c.cursorBounds(head, lo, hi, b.reverse)
	}
	b.lo, b.hi = string(lo), string(hi)
	return sh, b
}

// planEqualities fills the shape's equality part and returns the common prefix of the keys, and how many
// conditions it expresses. A second condition on a field stays to be checked document by document.
func (c *query) planEqualities(conditions []condition, sh *shape) (head []byte, used int) {
	sortedConditions := slices.Clone(conditions)
	slices.SortStableFunc(sortedConditions, func(a, b condition) int { return strings.Compare(a.path.text, b.path.text) })
	var array *condition
	for i, d := range sortedConditions {
		switch {
		case d.op == opEqual && !d.path.isName() && (len(sh.equal) == 0 || sh.equal[len(sh.equal)-1].text != d.path.text):
			sh.equal = append(sh.equal, d.path)
			head = append(head, d.keys[0]...)
			used++
		case d.op == opContains:
			array = &sortedConditions[i]
		}
	}
	if array != nil {
		sh.array = &array.path
		head = append(head, array.keys[0]...)
		used++
	}
	return head, used
}

// rangeKeys returns the range of keys behind head that an inequality allows, within the operand's type.
func (d *condition) rangeKeys(head []byte) (lo, hi []byte) {
	key := slices.Concat(head, d.keys[0])
	tag := d.keys[0][0]
	lo, hi = append(slices.Clone(head), tag), append(slices.Clone(head), tag+1)
	switch d.op {
	case opLess:
		hi = key
	case opLessEqual:
		hi = append(key, afterAll)
	case opGreater:
		lo = append(key, afterAll)
	case opGreaterEqual:
		lo = key
	}
	return lo, hi
}

func (c *query) cursorBounds(head, lo, hi []byte, reverse bool) (newLo, newHi []byte) {
	edge := func(p *cursor) (at, behind []byte) {
		key := slices.Clone(head)
		for i, k := range p.keys {
			key = appendDirected(key, k, c.orders[i].desc != reverse)
		}
		return key, append(slices.Clone(key), afterAll)
	}
	if c.start != nil {
		at, behind := edge(c.start)
		switch {
		case !reverse && c.start.before:
			lo = maxBytes(lo, at)
		case !reverse:
			lo = maxBytes(lo, behind)
		case c.start.before:
			hi = minBytes(hi, behind)
		default:
			hi = minBytes(hi, at)
		}
	}
	if c.end != nil {
		at, behind := edge(c.end)
		switch {
		case !reverse && c.end.before:
			hi = minBytes(hi, at)
		case !reverse:
			hi = minBytes(hi, behind)
		case c.end.before:
			lo = maxBytes(lo, behind)
		default:
			lo = maxBytes(lo, at)
		}
	}
	return lo, hi
}

func maxBytes(a, b []byte) []byte {
	if string(a) < string(b) {
		return b
	}
	return a
}

func minBytes(a, b []byte) []byte {
	if string(b) < string(a) {
		return b
	}
	return a
}

// namedBy returns the value of an equality on __name__, which needs no index.
func namedBy(conditions []condition) (condition, bool) {
	i := slices.IndexFunc(conditions, func(d condition) bool { return d.path.isName() && d.op == opEqual })
	if i < 0 {
		return condition{}, false
	}
	return conditions[i], true
}
