package firestore

import (
	"context"
	"crypto/rand"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// The unary calls on one document are commits of one write.

// CreateDocument implements google.firestore.v1.Firestore.
func (s *Server) CreateDocument(ctx context.Context, r *pb.CreateDocumentRequest) (*pb.Document, error) {
	if err := checkParent(r.Parent); err != nil {
		return nil, err
	}
	id := r.DocumentId
	if id == "" {
		id = rand.Text()[:20]
	}
	name := r.Parent + "/" + r.CollectionId + "/" + id
	w := &pb.Write{
		Operation:       &pb.Write_Update{Update: &pb.Document{Name: name, Fields: r.GetDocument().GetFields()}},
		CurrentDocument: &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: false}},
	}
	return s.writeAndRead(ctx, w, r.Mask)
}

// UpdateDocument implements google.firestore.v1.Firestore.
func (s *Server) UpdateDocument(ctx context.Context, r *pb.UpdateDocumentRequest) (*pb.Document, error) {
	w := &pb.Write{
		Operation:       &pb.Write_Update{Update: r.Document},
		UpdateMask:      r.UpdateMask,
		CurrentDocument: r.CurrentDocument,
	}
	return s.writeAndRead(ctx, w, r.Mask)
}

// DeleteDocument implements google.firestore.v1.Firestore.
func (s *Server) DeleteDocument(ctx context.Context, r *pb.DeleteDocumentRequest) (*emptypb.Empty, error) {
	w := &pb.Write{Operation: &pb.Write_Delete{Delete: r.Name}, CurrentDocument: r.CurrentDocument}
	if err := checkDocumentName(r.Name); err != nil {
		return nil, err
	}
	if _, err := s.writeOne(ctx, w); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// writeAndRead commits w and returns the document it stored.
func (s *Server) writeAndRead(ctx context.Context, w *pb.Write, returned *pb.DocumentMask) (*pb.Document, error) {
	mask, err := maskOf(returned)
	if err != nil {
		return nil, err
	}
	root, _, err := splitName(writeTarget(w))
	if err != nil {
		return nil, err
	}
	writes := []*pb.Write{w}
	if err := checkWrites(databaseOf(root), writes, proto.Size(w)); err != nil {
		return nil, err
	}
	o := &owner{anonymous: true}
	defer s.locks.release(o)
	out, _, err := s.write(ctx, o, writes)
	if err != nil {
		return nil, err
	}
	return out.changes[0].after.project(mask), nil
}
