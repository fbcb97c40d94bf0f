package firestore

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
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
