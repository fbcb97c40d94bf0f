package firestore

import (
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// store holds the current documents. Readers share mu and only collect pointers to immutable versions; a commit
// holds it for as long as it takes to append to the log and to replace the pointers.
type store struct {
	clock clock

	mu          sync.RWMutex
	collections map[string]*collection
	groups      map[string]*group // by database root + "/" + collection ID
	paths       sorted[*collection]
	history     history
	journal     func(time int64, changes []change) error // nil: memory only
	scanBelow   int                                      // collections smaller than this are filtered without an index
}

// collection is one collection with at least one document.
type collection struct {
	path    string
	docs    map[string]*document
	indexes indexSet
	group   *group
}

// group is the set of collections with the same ID in one database.
type group struct {
	members map[string]*collection
	size    int
	indexes indexSet
}

// change replaces one document; a nil side means that it does not exist.
type change struct {
	name          string
	before, after *document
}

func newStore() *store {
	return &store{collections: map[string]*collection{}, groups: map[string]*group{}, scanBelow: 32}
}

// get returns the current version; the caller holds mu.
func (s *store) get(name string) *document {
	path, id := cutLast(name)
	if c := s.collections[path]; c != nil {
		return c.docs[id]
	}
	return nil
}

// current is get for callers without mu.
func (s *store) current(name string) *document {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.get(name)
}

// commit applies changes atomically and returns the commit time. The documents' locks make sure that before is
// still what is stored. When the log cannot be written, nothing is applied.
func (s *store) commit(changes []change) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.clock.commit()
	for _, c := range changes {
		if c.after == nil || c.after == c.before {
			continue
		}
		c.after.updated, c.after.created = t, t
		if c.before != nil {
			c.after.created = c.before.created
		}
	}
	if s.journal != nil && len(changes) > 0 {
		if err := s.journal(t, changes); err != nil {
			return 0, status.Errorf(codes.Internal, "write the log: %v", err)
		}
	}
	for _, c := range changes {
		if c.after == c.before {
			continue
		}
		s.replace(c.name, c.before, c.after)
		s.history.add(replaced{time: t, name: c.name, before: c.before})
	}
	return t, nil
}

// replace puts after in the place of before, in the documents and in every index.
func (s *store) replace(name string, before, after *document) {
	path, id := cutLast(name)
	c := s.collections[path]
	if c == nil {
		if after == nil {
			return
		}
		c = s.addCollection(path)
	}
	if after != nil {
		c.docs[id] = after
	} else {
		delete(c.docs, id)
	}
	c.indexes.replace(before, after)
	c.group.indexes.replace(before, after)
	switch {
	case before == nil && after != nil:
		c.group.size++
	case before != nil && after == nil:
		c.group.size--
		if len(c.docs) == 0 {
			s.removeCollection(c)
		}
	}
}

func groupKey(path string) string {
	root, _, _ := splitName(path)
	_, id := cutLast(path)
	return root + "/" + id
}

func (s *store) addCollection(path string) *collection {
	key := groupKey(path)
	g := s.groups[key]
	if g == nil {
		g = &group{members: map[string]*collection{}}
		s.groups[key] = g
	}
	c := &collection{path: path, docs: map[string]*document{}, group: g}
	g.members[path] = c
	s.collections[path] = c
	s.paths.put(path+"/", c)
	return c
}

func (s *store) removeCollection(c *collection) {
	delete(s.collections, c.path)
	delete(c.group.members, c.path)
	s.paths.remove(c.path + "/")
	if len(c.group.members) == 0 {
		delete(s.groups, groupKey(c.path))
	}
}
