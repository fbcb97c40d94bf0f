package firestore

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
)

// defaultPage is the page size of lists when the request names none, and the largest.
const defaultPage = 300

func pageSize(n int32) int {
	if n <= 0 {
		return defaultPage
	}
	return min(int(n), defaultPage)
}

// Page tokens name the last element of the page, so that a list goes on correctly while documents come and go.

func pageToken(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

func parsePageToken(s string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return "", invalid("page_token is not valid")
	}
	return string(b), nil
}

// ListDocuments implements google.firestore.v1.Firestore. With show_missing it also lists documents that do not exist
// but have subcollections. order_by may be "__name__", "__name__ desc" or absent.
func (s *Server) ListDocuments(ctx context.Context, r *pb.ListDocumentsRequest) (*pb.ListDocumentsResponse, error) {
	q, err := listQuery(r)
	if err != nil {
		return nil, err
	}
	mask, err := maskOf(r.Mask)
	if err != nil {
		return nil, err
	}
	rd, done, err := s.open(ctx, consistency{databaseOf(q.root), r.GetTransaction(), nil, r.GetReadTime()})
	if err != nil {
		return nil, err
	}
	defer done()
	res, err := s.query(ctx, rd, q)
	if err != nil {
		return nil, err
	}
	size := pageSize(r.PageSize)
	out := &pb.ListDocumentsResponse{}
	for _, d := range res.docs {
		out.Documents = append(out.Documents, d.project(mask))
	}
	if r.ShowMissing {
		out.Documents = append(out.Documents, s.missing(q)...)
		slices.SortFunc(out.Documents, func(a, b *pb.Document) int { return q.compareNames(a.Name, b.Name) })
	}
	if len(out.Documents) > size {
		out.Documents = out.Documents[:size]
		out.NextPageToken = pageToken(out.Documents[size-1].Name)
	}
	s.meter.of(ctx).reads.Add(max(1, int64(len(out.Documents))))
	return out, nil
}

// listQuery is the query behind a list: one document more than the page, to know whether another page follows.
func listQuery(r *pb.ListDocumentsRequest) (*query, error) {
	sq := &pb.StructuredQuery{From: []*pb.StructuredQuery_CollectionSelector{{CollectionId: r.CollectionId}}}
	field, dir, _ := strings.Cut(strings.TrimSpace(r.OrderBy), " ")
	dir = strings.ToLower(strings.TrimSpace(dir))
	if field != "" && field != nameField || dir != "" && dir != "asc" && dir != "desc" || r.ShowMissing && field != "" {
		return nil, invalid("order_by %q is not supported", r.OrderBy)
	}
	if r.PageToken != "" {
		last, err := parsePageToken(r.PageToken)
		if err != nil {
			return nil, err
		}
		ref := &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: last}}
		sq.StartAt = &pb.Cursor{Values: []*pb.Value{ref}}
	}
	q, err := compileQuery(r.Parent, sq)
	if err != nil {
		return nil, err
	}
	q.orders[0].desc = dir == "desc" // a list may do what a query may not
	q.limit = pageSize(r.PageSize) + 1
	return q, nil
}

func (q *query) compareNames(a, b string) int {
	if q.orders[0].desc {
		a, b = b, a
	}
	return strings.Compare(a, b)
}

// missing returns the documents of q's collection that have subcollections without existing themselves, behind q's start.
func (s *Server) missing(q *query) []*pb.Document {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	base := q.collectionPath()
	var out []*pb.Document
	for id := range s.store.children(base) {
		name := base + "/" + id
		at := appendPath(nil, relativePath(name))
		if s.store.get(name) == nil && q.inRange(at) {
			out = append(out, &pb.Document{Name: name})
		}
		if len(out) >= q.limit {
			break
		}
	}
	return out
}

// children yields the distinct IDs that follow path in the paths of collections below it; the caller holds mu.
func (s *store) children(path string) func(func(string) bool) {
	return func(yield func(string) bool) {
		from := path + "/\x00" // path may be a collection with documents of its own
		for {
			found := ""
			for key := range s.paths.scan(from, path+"0", false) {
				found, _, _ = strings.Cut(key[len(path)+1:], "/")
				break
			}
			if found == "" || !yield(found) {
				return
			}
			from = path + "/" + found + "0" // behind everything below path/found/
		}
	}
}

// ListCollectionIds implements google.firestore.v1.Firestore.
func (s *Server) ListCollectionIds(ctx context.Context, r *pb.ListCollectionIdsRequest) (*pb.ListCollectionIdsResponse, error) {
	if err := checkParent(r.Parent); err != nil {
		return nil, err
	}
	after, err := parsePageToken(r.PageToken)
	if err != nil {
		return nil, err
	}
	s.store.mu.RLock()
	ids := slices.Sorted(s.store.children(r.Parent))
	s.store.mu.RUnlock()
	ids = slices.DeleteFunc(ids, func(id string) bool { return id <= after })
	out := &pb.ListCollectionIdsResponse{CollectionIds: ids}
	if size := pageSize(r.PageSize); len(ids) > size {
		out.CollectionIds = ids[:size]
		out.NextPageToken = pageToken(ids[size-1])
	}
	s.meter.of(ctx).reads.Add(1)
	return out, nil
}

// PartitionQuery implements google.firestore.v1.Firestore: cursors that cut a collection group into parts of equal size.
func (s *Server) PartitionQuery(ctx context.Context, r *pb.PartitionQueryRequest) (*pb.PartitionQueryResponse, error) {
	if r.PartitionCount < 1 {
		return nil, invalid("partition_count must be positive")
	}
	q, err := compileQuery(r.Parent, r.GetStructuredQuery())
	if err != nil {
		return nil, err
	}
	if !q.group || len(q.orders) != 1 || q.orders[0].desc || q.where.count() > 0 {
		return nil, invalid("only a collection group ordered by __name__ can be partitioned")
	}
	rd, done, err := s.open(ctx, consistency{databaseOf(q.root), nil, nil, r.GetReadTime()})
	if err != nil {
		return nil, err
	}
	defer done()
	res, err := s.query(ctx, rd, q)
	if err != nil {
		return nil, err
	}
	s.meter.of(ctx).reads.Add(1)
	out := &pb.PartitionQueryResponse{}
	parts := int(r.PartitionCount) + 1
	for i := 1; i < parts; i++ {
		at := i * len(res.docs) / parts
		if at == 0 || at == (i-1)*len(res.docs)/parts {
			continue // fewer documents than partitions
		}
		ref := &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: res.docs[at].name()}}
		out.Partitions = append(out.Partitions, &pb.Cursor{Values: []*pb.Value{ref}, Before: true})
	}
	return out, nil
}
