package firestore

import (
	"bytes"
	"iter"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// hit is a result with its place in the query's order.
type hit struct {
	doc *document
	at  []byte
}

// latest is the read time of reads that are not of the past.
const latest = int64(-1)

// result is what a query found. skipped counts the documents that the offset passed over.
type result struct {
	docs    []*document
	skipped int
	time    int64
	// last is the position of the last document when the limit was reached, nil otherwise: nothing behind
	// it can change the result.
	last []byte
}

// run evaluates q at the given time, or at latest.
func (s *store) run(q *query, at int64) (result, error) {
	for {
		s.mu.RLock()
		hits, missing, err := s.hits(q, at)
		time := at
		if at == latest {
			time = s.clock.read()
		}
		s.mu.RUnlock()
		if err != nil {
			return result{}, err
		}
		if missing != nil {
			s.build(q, *missing)
			continue
		}
		return q.cut(hits, time), nil
	}
}

// lookup returns the named documents, nil for missing ones, as of one moment.
func (s *store) lookup(names []string, at int64) ([]*document, int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	past, err := s.past(at)
	if err != nil {
		return nil, 0, err
	}
	docs := make([]*document, len(names))
	for i, n := range names {
		d, changed := past[n]
		if !changed {
			d = s.get(n)
		}
		docs[i] = d
	}
	if at == latest {
		at = s.clock.read()
	}
	return docs, at, nil
}

func (s *store) past(at int64) (map[string]*document, error) {
	if at == latest {
		return nil, nil
	}
	if at < s.history.horizon {
		return nil, status.Error(codes.FailedPrecondition, "The requested read_time is too old.")
	}
	return s.history.overlay(at), nil
}

func (q *query) cut(hits []hit, time int64) result {
	r := result{time: time, skipped: min(q.offset, len(hits))}
	hits = hits[r.skipped:]
	if q.limit >= 0 && len(hits) >= q.limit {
		hits = hits[:q.limit]
		r.last = []byte{}
		if len(hits) > 0 {
			r.last, _ = q.position(hits[len(hits)-1].doc)
		}
	}
	r.docs = make([]*document, len(hits))
	for i, h := range hits {
		r.docs[i] = h.doc
	}
	return r
}

// hits returns at least the first q.want() results in order, or the shape of an index that must be built first.
func (s *store) hits(q *query, at int64) ([]hit, *shape, error) {
	past, err := s.past(at)
	if err != nil {
		return nil, nil, err
	}
	indexes, size := s.indexed(q)
	var lists [][]hit
	for _, conditions := range q.disjuncts {
		var list []hit
		if named, ok := namedBy(conditions); ok {
			list = s.named(q, named, past)
		} else if indexes == nil || size < s.scanBelow {
			list = q.filter(s.documents(&q.scope), past)
			lists = append(lists[:0], list)
			break // evaluates the whole filter at once
		} else {
			sh, b := q.plan(conditions)
			ix := indexes.get(sh.signature())
			if ix == nil {
				return nil, &sh, nil
			}
			list = q.scan(ix, b, past)
		}
		lists = append(lists, list)
	}
	if over := q.overlaid(past); len(over) > 0 {
		lists = append(lists, over)
	}
	return merge(lists), nil, nil
}

// indexed returns the indexes that can serve q and the number of documents they cover.
func (s *store) indexed(q *query) (*indexSet, int) {
	switch {
	case q.id == "":
		return nil, 0
	case q.group:
		if g := s.groups[q.root+"/"+q.id]; g != nil {
			return &g.indexes, g.size
		}
	default:
		if c := s.collections[q.collectionPath()]; c != nil {
			return &c.indexes, len(c.docs)
		}
	}
	return nil, 0
}

// build adds the index under the exclusive lock, unless someone else was faster.
func (s *store) build(q *query, sh shape) {
	s.mu.Lock()
	defer s.mu.Unlock()
	whole := q.scope
	whole.parent = q.root // a group's index covers the database
	if !q.group {
		whole = q.scope
	}
	if set, _ := s.indexed(q); set != nil && set.get(sh.signature()) == nil {
		set.add(sh, s.documents(&whole))
	}
}

// documents iterates over the scope in no particular order.
func (s *store) documents(sc *scope) iter.Seq[*document] {
	return func(yield func(*document) bool) {
		for c := range s.within(sc) {
			for _, d := range c.docs {
				if !yield(d) {
					return
				}
			}
		}
	}
}

func (s *store) within(sc *scope) iter.Seq[*collection] {
	switch {
	case !sc.group:
		if c := s.collections[sc.collectionPath()]; c != nil {
			return func(yield func(*collection) bool) { yield(c) }
		}
	case sc.id == "":
		return func(yield func(*collection) bool) {
			for _, c := range s.paths.scan(sc.parent+"/", sc.parent+"0", false) { // '0' follows '/'
				if !yield(c) {
					return
				}
			}
		}
	case s.groups[sc.root+"/"+sc.id] != nil:
		return func(yield func(*collection) bool) {
			for c := range maps.Values(s.groups[sc.root+"/"+sc.id].members) {
				if strings.HasPrefix(c.path, sc.parent+"/") && !yield(c) {
					return
				}
			}
		}
	}
	return func(func(*collection) bool) {}
}

// named serves an equality on __name__.
func (s *store) named(q *query, c condition, past map[string]*document) []hit {
	var out []hit
	for _, name := range c.names {
		if _, changed := past[name]; changed {
			continue
		}
		d := s.get(name)
		if d == nil || !q.contains(d.collection) {
			continue
		}
		if at, ok := q.selects(d); ok {
			out = append(out, hit{d, at})
		}
	}
	return out
}

// filter serves a query without an index.
func (q *query) filter(docs iter.Seq[*document], past map[string]*document) []hit {
	var out []hit
	for d := range docs {
		if changedSince(past, d) {
			continue
		}
		if at, ok := q.selects(d); ok {
			out = append(out, hit{d, at})
		}
	}
	return out
}

// scan serves one conjunction from its range of an index.
func (q *query) scan(ix *index, b bounds, past map[string]*document) []hit {
	var out []hit
	want := q.want()
	single := len(q.disjuncts) == 1 && len(past) == 0
	partial := q.group && q.parent != q.root
	for _, d := range ix.entries.scan(b.lo, b.hi, b.reverse) {
		if want >= 0 && len(out) >= want {
			break
		}
		if changedSince(past, d) || partial && !q.contains(d.collection) {
			continue
		}
		h := hit{doc: d}
		if !b.exact || !single {
			var ok bool
			if h.at, ok = q.selects(d); !ok {
				continue
			}
		}
		out = append(out, h)
	}
	return out
}

func changedSince(past map[string]*document, d *document) bool {
	if past == nil {
		return false
	}
	_, changed := past[d.name()]
	return changed
}

// overlaid returns the past versions of since changed documents that q selects.
func (q *query) overlaid(past map[string]*document) []hit {
	var out []hit
	for _, d := range past {
		if d == nil || !q.contains(d.collection) {
			continue
		}
		if at, ok := q.selects(d); ok {
			out = append(out, hit{d, at})
		}
	}
	return out
}

// merge unites the disjuncts' results in the query's order. A single index scan is in order already.
func merge(lists [][]hit) []hit {
	if len(lists) == 1 && (len(lists[0]) == 0 || lists[0][0].at == nil) {
		return lists[0]
	}
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b hit) int { return bytes.Compare(a.at, b.at) })
	return slices.CompactFunc(all, func(a, b hit) bool { return a.doc == b.doc })
}
