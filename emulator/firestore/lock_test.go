package firestore

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
)

// local drives a server without a network, so that synctest's clock rules every wait.
type local struct {
	testing.TB
	*Server
}

func newLocal(t testing.TB, o Options) local {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return local{t, s}
}

func (l local) begin(o *pb.TransactionOptions) []byte {
	l.Helper()
	r, err := l.BeginTransaction(context.Background(), &pb.BeginTransactionRequest{Database: testDatabase, Options: o})
	if err != nil {
		l.Fatal(err)
	}
	return r.Transaction
}

func (l local) get(tx []byte, id string) (*pb.Document, error) {
	r := &pb.GetDocumentRequest{Name: testRoot + "/c/" + id}
	if tx != nil {
		r.ConsistencySelector = &pb.GetDocumentRequest_Transaction{Transaction: tx}
	}
	return l.GetDocument(context.Background(), r)
}

// find runs a query for documents of c with n == value and returns how many there are.
func (l local) find(tx []byte, value int64, limit int) (int, error) {
	sq := &pb.StructuredQuery{
		From:  []*pb.StructuredQuery_CollectionSelector{{CollectionId: "c"}},
		Where: fieldFilter("n", pb.StructuredQuery_FieldFilter_EQUAL, integerValue(value)),
	}
	q, err := compileQuery(testRoot, sq)
	if err != nil {
		l.Fatal(err)
	}
	if limit > 0 {
		q.limit = limit
	}
	rd, done, err := l.open(context.Background(), consistency{database: testDatabase, existing: tx})
	if err != nil {
		return 0, err
	}
	defer done()
	res, err := l.query(context.Background(), rd, q)
	return len(res.docs), err
}

func setWrite(id string, n int64) *pb.Write {
	return &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{
		Name: testRoot + "/c/" + id, Fields: map[string]*pb.Value{"n": integerValue(n)}}}}
}

func (l local) set(tx []byte, id string, n int64) error {
	_, err := l.Commit(context.Background(), &pb.CommitRequest{Database: testDatabase, Transaction: tx, Writes: []*pb.Write{setWrite(id, n)}})
	return err
}

func (l local) ok(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func later(f func() error) chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

func blocked(t testing.TB, what string, c chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-c:
		t.Fatalf("%s did not wait: %v", what, err)
	default:
	}
}

func TestWriteWaitsForReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, Options{})
		l.ok(l.set(nil, "a", 1))
		tx := l.begin(nil)
		_, err := l.get(tx, "a")
		l.ok(err)
		outside := later(func() error { return l.set(nil, "a", 2) })
		blocked(t, "a write to a document that a transaction has read", outside)
		l.ok(l.set(tx, "b", 1))
		l.ok(<-outside)
	})
}

func TestReadersShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, Options{})
		l.ok(l.set(nil, "settings", 1))
		first, second := l.begin(nil), l.begin(nil)
		_, err := l.get(first, "settings")
		l.ok(err)
		_, err = l.get(second, "settings")
		l.ok(err)
		l.ok(l.set(first, "a", 1))
		l.ok(l.set(second, "b", 1))
	})
}

func TestRollbackReleasesAndFailsWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, Options{})
		holder, waiter := l.begin(nil), l.begin(nil)
		_, _ = l.get(holder, "a")
		_, _ = l.get(waiter, "b")
		write := later(func() error { return l.set(waiter, "a", 1) })
		blocked(t, "the commit", write)
		_, err := l.Rollback(context.Background(), &pb.RollbackRequest{Database: testDatabase, Transaction: holder})
		l.ok(err)
		l.ok(<-write)
		_, err = l.get(holder, "a")
		wantCode(t, "read after rollback", err, codes.InvalidArgument)
	})
}

func TestDeadlockAbortsTheYounger(t *testing.T) {
	for _, tt := range []struct {
		name string
		lock func(l local, older, younger []byte)
	}{
		{"documents", func(l local, older, younger []byte) {
			_, _ = l.get(older, "a")
			_, _ = l.get(younger, "b")
		}},
		{"queries", func(l local, older, younger []byte) {
			_, err := l.find(older, 1, 0)
			l.ok(err)
			_, err = l.find(younger, 1, 0)
			l.ok(err)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLocal(t, Options{})
				older, younger := l.begin(nil), l.begin(nil)
				tt.lock(l, older, younger)
				first := later(func() error { return l.set(older, "b", 1) })
				blocked(t, "the older commit", first)
				wantCode(t, "the younger commit", l.set(younger, "a", 1), codes.Aborted)
				l.ok(<-first)
			})
		})
	}
}

func TestRetryKeepsItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, Options{})
		aborted := l.begin(nil)
		younger := l.begin(nil)
		retry := l.begin(&pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadWrite_{
			ReadWrite: &pb.TransactionOptions_ReadWrite{RetryTransaction: aborted}}})
		_, _ = l.get(younger, "a")
		_, _ = l.get(retry, "b")
		first := later(func() error { return l.set(younger, "b", 1) })
		blocked(t, "the younger commit", first)
		second := later(func() error { return l.set(retry, "a", 1) })
		wantCode(t, "the younger commit", <-first, codes.Aborted)
		l.ok(<-second)
	})
}

func TestUpgradeDeadlockTeachesThePredictor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, Options{})
		l.ok(l.set(nil, "a", 0))
		first, second := l.begin(nil), l.begin(nil)
		_, _ = l.get(first, "a")
		_, _ = l.get(second, "a")
		win := later(func() error { return l.set(first, "a", 1) })
		blocked(t, "the first upgrade", win)
		wantCode(t, "the second upgrade", l.set(second, "a", 2), codes.Aborted)
		l.ok(<-win)

		third, fourth := l.begin(nil), l.begin(nil)
		_, _ = l.get(third, "a")
		read := later(func() error { _, err := l.get(fourth, "a"); return err })
		blocked(t, "the read of a likely writer", read)
		l.ok(l.set(third, "a", 3))
		l.ok(<-read)
		l.ok(l.set(fourth, "a", 4))
	})
}

func TestLocksAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, Options{})
		tx := l.begin(nil)
		_, _ = l.get(tx, "a")
		write := later(func() error { return l.set(nil, "a", 1) })
		blocked(t, "the write", write)
		reader := l.begin(nil)
		read := later(func() error { _, err := l.get(reader, "a"); return err })
		blocked(t, "a read behind a waiting write", read)
		l.ok(l.set(tx, "b", 1))
		l.ok(<-write)
		l.ok(<-read)
	})
}

func TestQueryKeepsPhantomsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, Options{})
		l.ok(l.set(nil, "x", 2))
		tx := l.begin(nil)
		n, err := l.find(tx, 1, 0)
		l.ok(err)
		equal(t, "results", n, 0)
		l.ok(l.set(nil, "unrelated", 3))
		insert := later(func() error { return l.set(nil, "new", 1) })
		change := later(func() error { return l.set(nil, "x", 1) })
		blocked(t, "an insert into the queried range", insert)
		blocked(t, "a change into the queried range", change)
		n, err = l.find(tx, 1, 0)
		l.ok(err)
		equal(t, "results when repeated", n, 0)
		l.ok(l.set(tx, "y", 1))
		l.ok(<-insert)
		l.ok(<-change)
	})
}

func TestQueryWithLimitLocksOnlyItsRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, Options{})
		l.ok(l.set(nil, "b", 1))
		l.ok(l.set(nil, "d", 1))
		tx := l.begin(nil)
		n, err := l.find(tx, 1, 1)
		l.ok(err)
		equal(t, "results", n, 1)
		l.ok(l.set(nil, "c", 1)) // behind the last result
		before := later(func() error { return l.set(nil, "a", 1) })
		blocked(t, "an insert before the last result", before)
		l.ok(l.set(tx, "z", 9))
		l.ok(<-before)
	})
}

func TestTransactionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, Options{})
		tx := l.begin(nil)
		for range 4 {
			_, _ = l.get(tx, "a")
			time.Sleep(59 * time.Second)
		}
		_, _ = l.get(tx, "a") // 236 s old, never idle for long
		time.Sleep(33 * time.Second)
		_, err := l.get(tx, "a")
		wantCode(t, "before 270 s", err, codes.NotFound)
		time.Sleep(2 * time.Second)
		wantCode(t, "commit after 270 s", l.set(tx, "a", 1), codes.InvalidArgument)

		idle := l.begin(nil)
		_, _ = l.get(idle, "a")
		time.Sleep(61 * time.Second)
		l.ok(l.set(nil, "a", 1)) // the lock is gone
		wantCode(t, "commit after 61 s idle", l.set(idle, "a", 2), codes.InvalidArgument)
	})
}

func TestLockTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, Options{})
		tx := l.begin(nil)
		_, _ = l.get(tx, "a")
		began := time.Now()
		wantCode(t, "a write behind an idle transaction", l.set(nil, "a", 1), codes.Aborted)
		equal(t, "waited", time.Since(began), lockTimeout)
		l.ok(l.set(tx, "a", 2))
	})
}

func TestReadOnlyTransactionSeesOneMoment(t *testing.T) {
	l := newLocal(t, Options{})
	l.store.scanBelow = 0
	l.ok(l.set(nil, "a", 1))
	l.ok(l.set(nil, "b", 1))
	tx := l.begin(&pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadOnly_{ReadOnly: &pb.TransactionOptions_ReadOnly{}}})
	l.ok(l.set(nil, "a", 2)) // does not wait either
	l.ok(l.set(nil, "c", 1))
	for range 2 {
		n, err := l.find(tx, 1, 0)
		l.ok(err)
		equal(t, "results at the transaction's moment", n, 2)
	}
	n, err := l.find(nil, 1, 0)
	l.ok(err)
	equal(t, "results now", n, 2) // b and c
	wantCode(t, "a write", l.set(tx, "a", 3), codes.InvalidArgument)
}

func TestReadTimeTooOld(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := newLocal(t, Options{Now: func() time.Time { return now }})
	l.ok(l.set(nil, "a", 1))
	now = now.Add(time.Minute)
	l.ok(l.set(nil, "a", 2))
	at := &pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadOnly_{ReadOnly: &pb.TransactionOptions_ReadOnly{
		ConsistencySelector: &pb.TransactionOptions_ReadOnly_ReadTime{ReadTime: timestamp(now.Add(-time.Second).UnixMicro())}}}}
	n, err := l.find(l.begin(at), 1, 0)
	l.ok(err)
	equal(t, "results a second earlier", n, 1)
	now = now.Add(2 * time.Hour)
	l.ok(l.set(nil, "a", 3))
	_, err = l.find(l.begin(at), 1, 0)
	wantCode(t, "a read from two hours ago", err, codes.FailedPrecondition)
}
