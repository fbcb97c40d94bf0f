package firestore

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Lifetimes of a transaction, https://firebase.google.com/docs/firestore/quotas#writes_and_transactions. They
// run on the real clock: moving the suite's clock by a month must not expire what is under way.
const (
	transactionIdle  = 60 * time.Second
	transactionTotal = 270 * time.Second
)

// transaction is an open transaction. Its requests run one after the other.
type transaction struct {
	owner    owner
	id       string
	conn     string // the connection on which it began
	database string
	readOnly bool
	snapshot int64 // read time of a read-only transaction

	serial  sync.Mutex // held by the request under way
	started time.Time
	timer   *time.Timer
}

// transactions is the registry of open transactions. Whoever takes a transaction out of it ends it, so a commit,
// a rollback and the expiry never meet.
type transactions struct {
	locks *lockTable

	mu   sync.Mutex
	open map[string]*transaction
	next uint64
	salt uint64 // makes IDs of an earlier process unknown to this one
}

func newTransactions(locks *lockTable) *transactions {
	return &transactions{locks: locks, open: map[string]*transaction{}, salt: rand.Uint64()}
}

// begin opens a transaction. An ID is salt, number and age: a retry inherits the age of its first attempt from
// the ID it names, so it wins deadlocks against younger ones sooner or later.
func (r *transactions) begin(conn, database string, o *pb.TransactionOptions, now func() int64) (*transaction, error) {
	tx := &transaction{conn: conn, database: database, started: time.Now()}
	if ro := o.GetReadOnly(); ro != nil {
		tx.readOnly, tx.snapshot = true, now()
		if t := ro.GetReadTime(); t != nil {
			at := t.AsTime().UnixMicro()
			if at > tx.snapshot {
				return nil, invalid("read_time is in the future")
			}
			tx.snapshot = at
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	tx.owner.age = r.next
	if prior := []byte(o.GetReadWrite().GetRetryTransaction()); len(prior) == 24 && binary.BigEndian.Uint64(prior) == r.salt {
		tx.owner.age = binary.BigEndian.Uint64(prior[16:])
	}
	id := binary.BigEndian.AppendUint64(nil, r.salt)
	id = binary.BigEndian.AppendUint64(id, r.next)
	tx.id = string(binary.BigEndian.AppendUint64(id, tx.owner.age))
	r.open[tx.id] = tx
	tx.timer = time.AfterFunc(transactionIdle, func() { r.expire(tx) })
	return tx, nil
}

func expired() error {
	return status.Error(codes.InvalidArgument, "The referenced transaction has expired or is no longer valid.")
}

// enter begins a request within a transaction; the caller must call leave.
func (r *transactions) enter(id []byte, database string) (*transaction, error) {
	r.mu.Lock()
	tx := r.open[string(id)]
	r.mu.Unlock()
	if tx == nil {
		return nil, expired()
	}
	if tx.database != database {
		return nil, invalid("the transaction belongs to another database")
	}
	tx.serial.Lock()
	tx.timer.Stop()
	return tx, nil
}

func (r *transactions) leave(tx *transaction) {
	rest := transactionTotal - time.Since(tx.started)
	tx.timer.Reset(max(0, min(transactionIdle, rest)))
	tx.serial.Unlock()
}

// take removes a transaction from the registry; the caller ends it. It is nil when someone else did.
func (r *transactions) take(id []byte) *transaction {
	r.mu.Lock()
	defer r.mu.Unlock()
	tx := r.open[string(id)]
	delete(r.open, string(id))
	if tx != nil {
		tx.timer.Stop()
	}
	return tx
}

// drop ends a transaction without committing it; a request of it that waits for a lock fails.
func (r *transactions) drop(id []byte, why error) {
	if tx := r.take(id); tx != nil {
		r.locks.kill(&tx.owner, why)
	}
}

func (r *transactions) expire(tx *transaction) {
	if !tx.serial.TryLock() {
		return // a request has just begun; it sets the timer again
	}
	defer tx.serial.Unlock()
	r.drop([]byte(tx.id), expired())
}
