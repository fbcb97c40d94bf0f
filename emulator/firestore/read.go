package firestore

import (
	"context"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// reading is the consistency of one read request: the latest state, a moment of the past, or a transaction.
type reading struct {
	tx    *transaction // nil outside of a transaction
	at    int64
	begun []byte // ID of a transaction that the request began
}

// consistency is what read requests have in common.
type consistency struct {
	database string
	existing []byte
	begin    *pb.TransactionOptions
	readTime *timestamppb.Timestamp
}

// open resolves the consistency of a request. The caller must call the returned function at the end.
func (s *Server) open(ctx context.Context, c consistency) (reading, func(), error) {
	nothing := func() {}
	if c.readTime != nil {
		at := c.readTime.AsTime().UnixMicro()
		if at > s.store.clock.read() {
			return reading{}, nothing, invalid("read_time is in the future")
		}
		return reading{at: at}, nothing, nil
	}
	r := reading{at: latest}
	id := c.existing
	if c.begin != nil {
		tx, err := s.transactions.begin(connection(ctx), c.database, c.begin, s.store.clock.read)
		if err != nil {
			return r, nothing, err
		}
		id, r.begun = []byte(tx.id), []byte(tx.id)
	}
	if len(id) == 0 {
		return r, nothing, nil
	}
	tx, err := s.transactions.enter(id, c.database)
	if err != nil {
		return r, nothing, err
	}
	r.tx = tx
	if tx.readOnly {
		r.at = tx.snapshot
	}
	return r, func() { s.transactions.leave(tx) }, nil
}

// locking tells whether reads take locks.
func (r *reading) locking() bool { return r.tx != nil && !r.tx.readOnly }

// forsake ends the transaction that a failed request began: its ID was never told, so nobody else will.
func (s *Server) forsake(r reading, err error) {
	if err != nil && r.begun != nil {
		s.transactions.drop(r.begun, err)
	}
}

// documents reads by name.
func (s *Server) documents(ctx context.Context, r reading, names []string) (docs []*document, at int64, err error) {
	defer func() { s.forsake(r, err) }()
	if r.locking() {
		for _, n := range names {
			if err := s.locks.read(ctx, &r.tx.owner, n); err != nil {
				return nil, 0, err
			}
		}
	}
	return s.store.lookup(names, r.at)
}

// query runs q; in a transaction its results cannot change until the end.
func (s *Server) query(ctx context.Context, r reading, q *query) (res result, err error) {
	defer func() { s.forsake(r, err) }()
	if !r.locking() {
		return s.store.run(q, r.at)
	}
	in, err := s.locks.declareQuery(ctx, &r.tx.owner, q)
	if err != nil {
		return result{}, err
	}
	res, err = s.store.run(q, latest)
	if err == nil {
		s.locks.narrow(in, res.last)
	}
	return res, err
}

// maskOf parses an optional mask; nil means whole documents.
func maskOf(m *pb.DocumentMask) ([]fieldPath, error) {
	if m == nil {
		return nil, nil
	}
	return parseMask(m)
}

// databaseOf cuts "/documents..." off a parent.
func databaseOf(root string) string { return root[:len(root)-len(documentsPart)] }

// BatchGetDocuments implements google.firestore.v1.Firestore.
func (s *Server) BatchGetDocuments(r *pb.BatchGetDocumentsRequest, out pb.Firestore_BatchGetDocumentsServer) error {
	for _, n := range r.Documents {
		if err := inDatabase(r.Database, n); err != nil {
			return err
		}
	}
	mask, err := maskOf(r.Mask)
	if err != nil {
		return err
	}
	rd, done, err := s.open(out.Context(), consistency{r.Database, r.GetTransaction(), r.GetNewTransaction(), r.GetReadTime()})
	if err != nil {
		return err
	}
	defer done()
	docs, at, err := s.documents(out.Context(), rd, r.Documents)
	if err != nil {
		return err
	}
	s.meter.of(out.Context()).reads.Add(int64(len(docs)))
	if len(docs) == 0 && rd.begun != nil {
		return out.Send(&pb.BatchGetDocumentsResponse{Transaction: rd.begun, ReadTime: timestamp(at)})
	}
	readTime := timestamp(at)
	for i, d := range docs {
		m := &pb.BatchGetDocumentsResponse{ReadTime: readTime, Transaction: rd.begun}
		rd.begun = nil // only in the first message
		if d == nil {
			m.Result = &pb.BatchGetDocumentsResponse_Missing{Missing: r.Documents[i]}
		} else {
			m.Result = &pb.BatchGetDocumentsResponse_Found{Found: d.project(mask)}
		}
		if err := out.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// GetDocument implements google.firestore.v1.Firestore.
func (s *Server) GetDocument(ctx context.Context, r *pb.GetDocumentRequest) (*pb.Document, error) {
	if err := checkDocumentName(r.Name); err != nil {
		return nil, err
	}
	mask, err := maskOf(r.Mask)
	if err != nil {
		return nil, err
	}
	root, _, err := splitName(r.Name)
	if err != nil {
		return nil, err
	}
	rd, done, err := s.open(ctx, consistency{databaseOf(root), r.GetTransaction(), nil, r.GetReadTime()})
	if err != nil {
		return nil, err
	}
	defer done()
	docs, _, err := s.documents(ctx, rd, []string{r.Name})
	if err != nil {
		return nil, err
	}
	s.meter.of(ctx).reads.Add(1)
	if docs[0] == nil {
		return nil, status.Errorf(codes.NotFound, "Document %q not found.", r.Name)
	}
	return docs[0].project(mask), nil
}

// RunQuery implements google.firestore.v1.Firestore.
func (s *Server) RunQuery(r *pb.RunQueryRequest, out pb.Firestore_RunQueryServer) error {
	q, err := compileQuery(r.Parent, r.GetStructuredQuery())
	if err != nil {
		return err
	}
	if s.indexes != nil {
		if err := s.indexes.check(q); err != nil {
			return err
		}
	}
	rd, done, err := s.open(out.Context(), consistency{databaseOf(q.root), r.GetTransaction(), r.GetNewTransaction(), r.GetReadTime()})
	if err != nil {
		return err
	}
	defer done()
	res, err := s.query(out.Context(), rd, q)
	if err != nil {
		return err
	}
	s.meter.of(out.Context()).reads.Add(max(1, int64(len(res.docs)+res.skipped)))
	return sendResults(out, res, q.mask, rd.begun)
}

func sendResults(out pb.Firestore_RunQueryServer, res result, mask []fieldPath, begun []byte) error {
	readTime := timestamp(res.time)
	if len(res.docs) == 0 {
		return out.Send(&pb.RunQueryResponse{Transaction: begun, ReadTime: readTime, SkippedResults: int32(res.skipped)})
	}
	for i, d := range res.docs {
		m := &pb.RunQueryResponse{ReadTime: readTime, Document: d.project(mask)}
		if i == 0 {
			m.Transaction, m.SkippedResults = begun, int32(res.skipped)
		}
		if err := out.Send(m); err != nil {
			return err
		}
	}
	return nil
}
