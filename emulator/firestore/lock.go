package firestore

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// lockMode is the strength of a document lock. Update is a shared lock whose holder is expected to write: it
// admits other readers but no second update or exclusive lock, so two transactions that read and then write the
// same document queue up at the read instead of deadlocking at the write.
type lockMode int

const (
	shared lockMode = iota + 1
	update
	exclusive
)

func compatible(a, b lockMode) bool {
	return a != exclusive && b != exclusive && (a == shared || b == shared)
}

// owner holds locks: a read-write transaction or a single commit without one.
type owner struct {
	age       uint64 // the smaller, the older; the youngest in a deadlock gives way
	anonymous bool   // a commit without transaction; it cannot be retried by its client and never gives way

	// guarded by lockTable.mu
	held    map[string]lockMode
	intents []*intent
	waiting *request // at most one: requests of a transaction run one after the other
	killed  error    // why the owner lost its locks
}

// request waits for a document lock or for an intent.
type request struct {
	owner  *owner
	name   string
	mode   lockMode
	intent *intent
	ready  chan error // buffered
}

type lock struct {
	holders []holder
	queue   []*request
}

type holder struct {
	owner *owner
	mode  lockMode
}

// lockTable is the lock manager: document locks granted first come, first served, and intents (see intent.go).
// A wait that closes a cycle ends at once with ABORTED for the youngest transaction in it.
type lockTable struct {
	mu      sync.Mutex
	locks   map[string]*lock
	intents []*intent // in order of arrival
	writers predictor
	timeout time.Duration
}

// lockTimeout is how long a request waits for a lock held by an idle transaction before it is ABORTED.
const lockTimeout = 20 * time.Second

func newLockTable() *lockTable {
	return &lockTable{locks: map[string]*lock{}, writers: predictor{seed: maphash.MakeSeed()}, timeout: lockTimeout}
}

func contention() error {
	return status.Error(codes.Aborted, "Too much contention on these documents. Please try again.")
}

// read locks a document for reading in a transaction: shared, or update where readers tend to write.
func (t *lockTable) read(ctx context.Context, o *owner, name string) error {
	mode := shared
	if t.writers.expects(name) {
		mode = update
	}
	return t.acquire(ctx, o, name, mode)
}

// write locks documents exclusively, in one order for everybody. With a cancelled context it only tries.
func (t *lockTable) write(ctx context.Context, o *owner, names []string) error {
	names = slices.Clone(names)
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		if err := t.acquire(ctx, o, n, exclusive); err != nil {
			return err
		}
	}
	return nil
}

func (t *lockTable) acquire(ctx context.Context, o *owner, name string, mode lockMode) error {
	t.mu.Lock()
	if o.killed != nil {
		t.mu.Unlock()
		return o.killed
	}
	had := o.held[name]
	if mode == exclusive && had != 0 {
		t.writers.wrote(name)
	}
	if had == exclusive || had != 0 && mode != exclusive {
		t.mu.Unlock()
		return nil
	}
	l := t.locks[name]
	if l == nil {
		l = &lock{}
		t.locks[name] = l
	}
	r := &request{owner: o, name: name, mode: mode}
	if len(t.blockers(r, l, len(l.queue))) == 0 {
		l.grant(r)
		t.mu.Unlock()
		return nil
	}
	if had != 0 {
		l.queue = slices.Insert(l.queue, 0, r) // who holds the lock cannot wait behind those who wait for it
	} else {
		l.queue = append(l.queue, r)
	}
	return t.wait(ctx, r)
}

// wait blocks until r is granted. It is called with mu held and returns without.
func (t *lockTable) wait(ctx context.Context, r *request) error {
	r.ready = make(chan error, 1)
	r.owner.waiting = r
	t.breakCycles(r)
	t.mu.Unlock()
	timer := time.NewTimer(t.timeout)
	defer timer.Stop()
	var err error
	select {
	case err = <-r.ready:
		return err
	case <-timer.C:
		err = contention()
	case <-ctx.Done():
		err = status.FromContextError(ctx.Err()).Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case granted := <-r.ready: // decided in the meantime
		return granted
	default:
	}
	t.withdraw(r)
	return err
}

// blockers returns the owners that r waits for, given that it stands at position pos of the queue.
func (t *lockTable) blockers(r *request, l *lock, pos int) []*owner {
	var out []*owner
	for _, h := range l.holders {
		if h.owner != r.owner && !compatible(h.mode, r.mode) {
			out = append(out, h.owner)
		}
	}
	if r.owner.held[r.name] != 0 {
		return out
	}
	for _, q := range l.queue[:pos] {
		if q.owner != r.owner {
			out = append(out, q.owner)
		}
	}
	return out
}

// blockedBy returns the owners that a waiting request waits for now.
func (t *lockTable) blockedBy(r *request) []*owner {
	if r.intent != nil {
		return t.intentBlockers(r.intent)
	}
	l := t.locks[r.name]
	return t.blockers(r, l, slices.Index(l.queue, r))
}

func (l *lock) grant(r *request) {
	o := r.owner
	if o.held == nil {
		o.held = map[string]lockMode{}
	}
	if o.held[r.name] != 0 {
		i := slices.IndexFunc(l.holders, func(h holder) bool { return h.owner == o })
		l.holders[i].mode = r.mode
	} else {
		l.holders = append(l.holders, holder{o, r.mode})
	}
	o.held[r.name] = r.mode
}

// withdraw takes a waiting request back and lets others pass.
func (t *lockTable) withdraw(r *request) {
	r.owner.waiting = nil
	if r.intent != nil {
		t.removeIntent(r.intent)
		t.promoteIntents()
		return
	}
	l := t.locks[r.name]
	l.queue = slices.DeleteFunc(l.queue, func(q *request) bool { return q == r })
	t.promote(r.name, l)
}

// promote grants what has become possible, in the order of the queue.
func (t *lockTable) promote(name string, l *lock) {
	for len(l.queue) > 0 && len(t.blockers(l.queue[0], l, 0)) == 0 {
		r := l.queue[0]
		l.queue = slices.Delete(l.queue, 0, 1)
		l.grant(r)
		r.answer(nil)
	}
	if len(l.holders) == 0 && len(l.queue) == 0 {
		delete(t.locks, name)
	}
}

func (r *request) answer(err error) {
	r.owner.waiting = nil
	r.ready <- err
}

// release ends o: everything it holds is given back, and it gets nothing any more.
func (t *lockTable) release(o *owner) { t.kill(o, expired()) }

func (t *lockTable) releaseLocked(o *owner) {
	for name, mode := range o.held {
		if mode == update {
			t.writers.onlyRead(name)
		}
		l := t.locks[name]
		l.holders = slices.DeleteFunc(l.holders, func(h holder) bool { return h.owner == o })
		t.promote(name, l)
	}
	o.held = nil
	for _, in := range o.intents {
		t.intents = slices.DeleteFunc(t.intents, func(x *intent) bool { return x == in })
	}
	o.intents = nil
	t.promoteIntents()
}

// kill takes o's locks away; a request of o that waits, and any later one, fails with err.
func (t *lockTable) kill(o *owner, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.killLocked(o, err)
}

func (t *lockTable) killLocked(o *owner, err error) {
	if o.killed == nil {
		o.killed = err
	}
	if r := o.waiting; r != nil {
		t.withdraw(r)
		r.ready <- o.killed
	}
	t.releaseLocked(o)
}
