package firestore

import (
	"context"
	"strings"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

// Sweep deletes the documents whose TTL field, by the policies of Options.Indexes, holds a timestamp not later
// than now. A document that a transaction has locked is left for the next sweep. As in the cloud, subcollections
// stay and each document counts as a delete.
func (s *Server) Sweep(now time.Time) {
	if s.indexes == nil {
		return
	}
	for _, ttl := range s.indexes.ttl {
		for _, root := range s.store.rootsWith(ttl.group) {
			for _, d := range s.store.due(root, ttl, now) {
				s.deleteDue(d)
			}
		}
	}
}

// rootsWith lists the databases that have documents in this collection group.
func (s *store) rootsWith(group string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []string
	for key := range s.groups {
		if root, ok := strings.CutSuffix(key, "/"+group); ok {
			out = append(out, root)
		}
	}
	return out
}

func (s *store) due(root string, p ttlPolicy, now time.Time) []*document {
	limit := orderKey(&pb.Value{ValueType: &pb.Value_TimestampValue{TimestampValue: timestamp(now.UnixMicro())}})
	q := &query{
		scope: scope{root: root, parent: root, id: p.group, group: true},
		where: filter{cond: &condition{path: p.path, op: opLessEqual, keys: [][]byte{limit}}},
		limit: -1,
	}
	if q.compileOrders(nil) != nil {
		return nil
	}
	q.disjuncts = q.where.cond.disjuncts()
	r, err := s.run(q, latest)
	if err != nil {
		return nil // only reads of the past fail
	}
	return r.docs
}

// deleteDue deletes d unless it is locked or has changed since it was found.
func (s *Server) deleteDue(d *document) {
	try, cancel := context.WithCancel(context.Background())
	cancel()
	o := &owner{anonymous: true}
	defer s.locks.release(o)
	if s.locks.write(try, o, []string{d.name()}) != nil || s.store.current(d.name()) != d {
		return
	}
	if _, err := s.apply(try, o, []change{{name: d.name(), before: d}}); err == nil {
		s.meter.of(try).deletes.Add(1)
	}
}
