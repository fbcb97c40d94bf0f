package firestore

import (
	"context"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// BeginTransaction implements google.firestore.v1.Firestore.
func (s *Server) BeginTransaction(ctx context.Context, r *pb.BeginTransactionRequest) (*pb.BeginTransactionResponse, error) {
	if _, _, err := splitName(r.Database + documentsPart); err != nil {
		return nil, err
	}
	tx, err := s.transactions.begin(connection(ctx), r.Database, r.Options, s.store.clock.read)
	if err != nil {
		return nil, err
	}
	return &pb.BeginTransactionResponse{Transaction: []byte(tx.id)}, nil
}

// Rollback implements google.firestore.v1.Firestore. Rolling back what has ended already is no error: the client
// does so after every failure.
func (s *Server) Rollback(_ context.Context, r *pb.RollbackRequest) (*emptypb.Empty, error) {
	s.transactions.drop(r.Transaction, expired())
	return &emptypb.Empty{}, nil
}

// Commit implements google.firestore.v1.Firestore, inside and outside of a transaction.
func (s *Server) Commit(ctx context.Context, r *pb.CommitRequest) (*pb.CommitResponse, error) {
	o := &owner{anonymous: true}
	if len(r.Transaction) > 0 {
		tx := s.transactions.take(r.Transaction)
		if tx == nil {
			return nil, expired()
		}
		if tx.readOnly && len(r.Writes) > 0 {
			return nil, invalid("Cannot modify entities in a read-only transaction.")
		}
		o = &tx.owner
	}
	defer s.locks.release(o)
	if err := checkWrites(r.Database, r.Writes, proto.Size(r)); err != nil {
		return nil, err
	}
	out, at, err := s.write(ctx, o, r.Writes)
	if err != nil {
		return nil, err
	}
	return &pb.CommitResponse{WriteResults: out.results, CommitTime: timestamp(at)}, nil
}

func checkWrites(database string, writes []*pb.Write, size int) error {
	if size > maxRequest {
		return invalid("the request is %d bytes large, the maximum is %d bytes", size, maxRequest)
	}
	for _, w := range writes {
		if err := inDatabase(database, writeTarget(w)); err != nil {
			return err
		}
	}
	return nil
}

// write locks, evaluates and commits writes on behalf of o, which the caller releases.
func (s *Server) write(ctx context.Context, o *owner, writes []*pb.Write) (*staged, int64, error) {
	names := make([]string, len(writes))
	for i, w := range writes {
		names[i] = writeTarget(w)
	}
	if err := s.locks.write(ctx, o, names); err != nil {
		return nil, 0, err
	}
	out, err := stage(s.store.current, writes, s.store.clock.read())
	if err != nil {
		return nil, 0, err
	}
	at, err := s.apply(ctx, o, out.changes)
	if err != nil {
		return nil, 0, err
	}
	out.stamp()
	s.meter.of(ctx).wrote(out)
	return out, at, nil
}

// apply waits until no transaction's query is affected, stores the changes and tells the listeners.
func (s *Server) apply(ctx context.Context, o *owner, changes []change) (int64, error) {
	if err := s.locks.declareWrite(ctx, o, changes); err != nil {
		return 0, err
	}
	at, err := s.store.commit(changes)
	if err != nil {
		return 0, err
	}
	s.listeners.notify(changes)
	return at, nil
}

// BatchWrite implements google.firestore.v1.Firestore: every write stands for itself.
func (s *Server) BatchWrite(ctx context.Context, r *pb.BatchWriteRequest) (*pb.BatchWriteResponse, error) {
	if len(r.Writes) > maxBatchWrites {
		return nil, invalid("a batch has at most %d writes", maxBatchWrites)
	}
	if err := checkWrites(r.Database, r.Writes, proto.Size(r)); err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(r.Writes))
	for _, w := range r.Writes {
		if name := writeTarget(w); seen[name] {
			return nil, invalid("a batch writes document %s more than once", name)
		}
		seen[writeTarget(w)] = true
	}
	out := &pb.BatchWriteResponse{}
	for _, w := range r.Writes {
		result, err := s.writeOne(ctx, w)
		st := status.Convert(err)
		out.Status = append(out.Status, &rpcstatus.Status{Code: int32(st.Code()), Message: st.Message()})
		out.WriteResults = append(out.WriteResults, result)
	}
	return out, nil
}

// writeOne commits a single write; on error the result is empty.
func (s *Server) writeOne(ctx context.Context, w *pb.Write) (*pb.WriteResult, error) {
	o := &owner{anonymous: true}
	defer s.locks.release(o)
	out, _, err := s.write(ctx, o, []*pb.Write{w})
	if err != nil {
		return &pb.WriteResult{}, err
	}
	return out.results[0], nil
}
