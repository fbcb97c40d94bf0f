package firestore

import (
	"context"
	"net"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"

	"emailchannel.dev/emailchannel/emulator/grpctest"
)

func TestTransactionsEndWithTheirConnection(t *testing.T) {
	s, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	on := func(port int) (context.Context, *net.TCPAddr) {
		addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
		return peer.NewContext(t.Context(), &peer.Peer{Addr: addr}), addr
	}
	begin := func(ctx context.Context) []byte {
		r, err := s.BeginTransaction(ctx, &pb.BeginTransactionRequest{Database: "projects/p/databases/(default)"})
		if err != nil {
			t.Fatal(err)
		}
		return r.Transaction
	}
	dying, addr := on(1)
	living, _ := on(2)
	lost, kept := begin(dying), begin(living)
	h := s.Connections()
	h.HandleConn(h.TagConn(t.Context(), &stats.ConnTagInfo{RemoteAddr: addr}), &stats.ConnEnd{})

	commit := func(id []byte) error {
		_, err := s.Commit(t.Context(), &pb.CommitRequest{Database: "projects/p/databases/(default)", Transaction: id})
		return err
	}
	if err := commit(lost); err == nil {
		t.Error("a transaction of a connection that ended can be committed")
	}
	if err := commit(kept); err != nil {
		t.Errorf("a transaction of another connection: %v", err)
	}
}

// beginBy reads documents in a transaction that the read begins.
func beginBy(ctx context.Context, c pb.FirestoreClient, ids ...string) error {
	r := &pb.BatchGetDocumentsRequest{Database: testDatabase, ConsistencySelector: &pb.BatchGetDocumentsRequest_NewTransaction{NewTransaction: &pb.TransactionOptions{}}}
	for _, id := range ids {
		r.Documents = append(r.Documents, testRoot+"/c/"+id)
	}
	in, err := c.BatchGetDocuments(ctx, r)
	if err == nil {
		_, err = in.Recv()
	}
	return err
}

// writable holds that nobody has the document locked.
func writable(t *testing.T, c pb.FirestoreClient, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lockTimeout/2)
	defer cancel()
	if _, err := c.Commit(ctx, &pb.CommitRequest{Database: testDatabase, Writes: []*pb.Write{setWrite(id, 1)}}); err != nil {
		t.Errorf("write %s: %v", id, err)
	}
}

func TestTransactionBegunByAReadEndsWithItsConnection(t *testing.T) {
	s, _ := start(t, Options{})
	addr := grpctest.Serve(t, s.Register, grpc.StatsHandler(s.Connections()))
	dying := dial(t, addr)
	if err := beginBy(t.Context(), pb.NewFirestoreClient(dying), "a"); err != nil {
		t.Fatal(err)
	}
	if err := dying.Close(); err != nil {
		t.Fatal(err)
	}
	writable(t, raw(t, addr), "a")
}

// TestFailedReadLeavesNoTransaction: the client of a read that failed never learns the ID of the transaction that it
// began, and cannot roll it back.
func TestFailedReadLeavesNoTransaction(t *testing.T) {
	s, addr := start(t, Options{})
	c := raw(t, addr)
	holder, err := c.BeginTransaction(t.Context(), &pb.BeginTransactionRequest{Database: testDatabase})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.GetDocument(t.Context(), &pb.GetDocumentRequest{Name: testRoot + "/c/a", ConsistencySelector: &pb.GetDocumentRequest_Transaction{Transaction: holder.Transaction}})
	waiting := make(chan error, 1)
	go func() {
		_, err := c.Commit(context.WithoutCancel(t.Context()), &pb.CommitRequest{Database: testDatabase, Writes: []*pb.Write{setWrite("a", 1)}})
		waiting <- err
	}()
	for s.locks.queued(testRoot+"/c/a") == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := beginBy(ctx, c, "b", "a"); err == nil {
		t.Fatal("a read did not wait behind a waiting write")
	}
	writable(t, raw(t, addr), "b")
	if _, err := c.Rollback(t.Context(), &pb.RollbackRequest{Database: testDatabase, Transaction: holder.Transaction}); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Error(err)
	}
}

// queued is how many requests wait for a document's lock.
func (t *lockTable) queued(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.locks[name]; l != nil {
		return len(l.queue)
	}
	return 0
}
