package firestore

import "slices"

// breakCycles looks for cycles of waiting owners through the new request r and aborts the youngest transaction
// of each until r waits for nobody who waits for r.
func (t *lockTable) breakCycles(r *request) {
	for r.owner.waiting == r {
		cycle := t.cycle(r.owner)
		if cycle == nil {
			return
		}
		victim := r.owner
		for _, o := range cycle {
			if victim.anonymous || !o.anonymous && o.age > victim.age {
				victim = o
			}
		}
		t.killLocked(victim, contention())
	}
}

// cycle returns the owners on a path of waits from o back to o, or nil.
func (t *lockTable) cycle(o *owner) []*owner {
	seen := map[*owner]bool{}
	var path []*owner
	var visit func(x *owner) bool
	visit = func(x *owner) bool {
		if x.waiting == nil || seen[x] {
			return false
		}
		seen[x] = true
		path = append(path, x)
		for _, next := range t.blockedBy(x.waiting) {
			if next == o || visit(next) {
				return true
			}
		}
		path = slices.Delete(path, len(path)-1, len(path))
		return false
	}
	if visit(o) {
		return path
	}
	return nil
}
