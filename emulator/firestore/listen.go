package firestore

import (
	"io"
	"slices"
	"strings"
	"sync"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// listeners wakes the streams that watch something a commit touched.
type listeners struct {
	mu      sync.RWMutex
	streams map[*listener]struct{}
}

// listener is one Listen stream with its targets.
type listener struct {
	server *Server
	out    pb.Firestore_ListenServer
	wake   chan struct{} // buffered: any number of commits is one wake-up

	mu      sync.Mutex
	targets map[int32]*target
}

// target is one watched query or list of documents, and what the client has been told of it.
type target struct {
	id        int32
	query     *query
	documents []string
	reset     bool // the client may hold results of an earlier stream
	current   bool
	known     map[string]int64 // document name → update time
}

func (l *listeners) notify(changes []change) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for s := range l.streams {
		if s.watches(changes) {
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
	}
}

func (l *listeners) add(s *listener) (remove func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams == nil {
		l.streams = map[*listener]struct{}{}
	}
	l.streams[s] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.streams, s)
	}
}

func (s *listener) watches(changes []change) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.targets {
		if slices.ContainsFunc(changes, func(c change) bool { return c.before != c.after && t.watches(c.name) }) {
			return true
		}
	}
	return false
}

func (t *target) watches(name string) bool {
	if t.query == nil {
		return slices.Contains(t.documents, name)
	}
	collection, _ := cutLast(name)
	return t.query.contains(collection)
}

// Listen implements google.firestore.v1.Firestore. A resume token does not save the client anything: the target is
// reset and sent again as a whole.
func (s *Server) Listen(stream pb.Firestore_ListenServer) error {
	l := &listener{server: s, out: stream, wake: make(chan struct{}, 1), targets: map[int32]*target{}}
	defer s.listeners.add(l)()
	requests := make(chan *pb.ListenRequest)
	failed := make(chan error, 1)
	go receive(stream, requests, failed)
	for {
		select {
		case r := <-requests:
			if err := l.handle(r); err != nil {
				return err
			}
		case err := <-failed:
			if err == io.EOF {
				return nil
			}
			return err
		case <-l.wake:
			if err := l.update(); err != nil {
				return err
			}
		}
	}
}

// receive forwards requests until the stream ends, which also cancels its context.
func receive(stream pb.Firestore_ListenServer, requests chan<- *pb.ListenRequest, failed chan<- error) {
	for {
		r, err := stream.Recv()
		if err != nil {
			failed <- err
			return
		}
		select {
		case requests <- r:
		case <-stream.Context().Done():
			failed <- stream.Context().Err()
			return
		}
	}
}

func (l *listener) handle(r *pb.ListenRequest) error {
	switch x := r.TargetChange.(type) {
	case *pb.ListenRequest_AddTarget:
		t, err := l.server.newTarget(x.AddTarget)
		if err != nil {
			return err
		}
		l.mu.Lock()
		_, taken := l.targets[t.id]
		l.targets[t.id] = t
		l.mu.Unlock()
		if taken {
			return invalid("target %d exists already", t.id)
		}
		if err := l.change(pb.TargetChange_ADD, []int32{t.id}, 0); err != nil {
			return err
		}
		return l.update()
	case *pb.ListenRequest_RemoveTarget:
		l.mu.Lock()
		delete(l.targets, x.RemoveTarget)
		l.mu.Unlock()
		return l.change(pb.TargetChange_REMOVE, []int32{x.RemoveTarget}, 0)
	}
	return invalid("a listen request adds or removes a target")
}

func (s *Server) newTarget(r *pb.Target) (*target, error) {
	t := &target{id: r.TargetId, reset: r.GetResumeType() != nil, known: map[string]int64{}}
	if t.id == 0 {
		t.id = 1
	}
	switch x := r.TargetType.(type) {
	case *pb.Target_Documents:
		t.documents = x.Documents.GetDocuments()
		for _, n := range t.documents {
			if err := checkDocumentName(n); err != nil {
				return nil, err
			}
		}
		return t, nil
	case *pb.Target_Query:
		q, err := compileQuery(x.Query.GetParent(), x.Query.GetStructuredQuery())
		if err != nil {
			return nil, err
		}
		if s.indexes != nil {
			if err := s.indexes.check(q); err != nil {
				return nil, err
			}
		}
		t.query = q
		return t, nil
	}
	return nil, status.Error(codes.Unimplemented, "unknown kind of target")
}

// update brings every target up to date and, if anything changed, closes with a consistent snapshot.
func (l *listener) update() error {
	l.mu.Lock()
	targets := make([]*target, 0, len(l.targets))
	for _, t := range l.targets {
		targets = append(targets, t)
	}
	l.mu.Unlock()
	at := l.server.store.clock.read() // one moment for all targets of the stream
	changed := false
	for _, t := range targets {
		c, err := l.refresh(t, at)
		if err != nil {
			return err
		}
		changed = changed || c
	}
	if !changed {
		return nil
	}
	return l.change(pb.TargetChange_NO_CHANGE, nil, at)
}

// refresh sends the difference between what the client knows of t and the state at the given time.
func (l *listener) refresh(t *target, at int64) (changed bool, err error) {
	docs, mask, err := l.server.watched(t, at)
	if err != nil {
		return false, err
	}
	ids := []int32{t.id}
	if t.reset {
		if err := l.change(pb.TargetChange_RESET, ids, 0); err != nil {
			return false, err
		}
		t.reset = false
	}
	sent := 0
	now := make(map[string]int64, len(docs))
	for _, d := range docs {
		name := d.name()
		now[name] = d.updated
		if at, ok := t.known[name]; ok && at == d.updated {
			continue
		}
		sent++
		c := &pb.DocumentChange{Document: d.project(mask), TargetIds: ids}
		if err := l.out.Send(&pb.ListenResponse{ResponseType: &pb.ListenResponse_DocumentChange{DocumentChange: c}}); err != nil {
			return false, err
		}
	}
	gone, err := l.sendGone(t, now, at)
	if err != nil {
		return false, err
	}
	t.known = now
	first := !t.current
	l.server.meter.of(l.out.Context()).reads.Add(t.billed(sent))
	if first {
		t.current = true
		err = l.change(pb.TargetChange_CURRENT, ids, at)
	}
	return first || sent+gone > 0, err
}

// billed is the number of reads for sent documents: an empty first result costs one as well.
func (t *target) billed(sent int) int64 {
	if !t.current {
		return int64(max(1, sent))
	}
	return int64(sent)
}

// watched reads the documents of a target.
func (s *Server) watched(t *target, at int64) ([]*document, []fieldPath, error) {
	if t.query != nil {
		r, err := s.store.run(t.query, at)
		return r.docs, t.query.mask, err
	}
	docs, _, err := s.store.lookup(t.documents, at)
	return slices.DeleteFunc(docs, func(d *document) bool { return d == nil }), nil, err
}

// sendGone tells the client of documents that were deleted or no longer match.
func (l *listener) sendGone(t *target, now map[string]int64, at int64) (int, error) {
	var names []string
	for n := range t.known {
		if _, ok := now[n]; !ok {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return 0, nil
	}
	slices.SortFunc(names, strings.Compare)
	docs, _, err := l.server.store.lookup(names, at)
	if err != nil {
		return 0, err
	}
	ids, readTime := []int32{t.id}, timestamp(at)
	for i, n := range names {
		m := &pb.ListenResponse{ResponseType: &pb.ListenResponse_DocumentDelete{
			DocumentDelete: &pb.DocumentDelete{Document: n, RemovedTargetIds: ids, ReadTime: readTime}}}
		if docs[i] != nil {
			m.ResponseType = &pb.ListenResponse_DocumentRemove{
				DocumentRemove: &pb.DocumentRemove{Document: n, RemovedTargetIds: ids, ReadTime: readTime}}
		}
		if err := l.out.Send(m); err != nil {
			return 0, err
		}
	}
	return len(names), nil
}

// change sends a target change; time 0 means without read time.
func (l *listener) change(kind pb.TargetChange_TargetChangeType, ids []int32, at int64) error {
	c := &pb.TargetChange{TargetChangeType: kind, TargetIds: ids}
	if at != 0 {
		c.ReadTime = timestamp(at)
		c.ResumeToken = []byte(c.ReadTime.AsTime().Format("20060102150405.000000"))
	}
	return l.out.Send(&pb.ListenResponse{ResponseType: &pb.ListenResponse_TargetChange{TargetChange: c}})
}
