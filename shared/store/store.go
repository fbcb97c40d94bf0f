// Package store keeps the channel's documents in Firestore.
//
// It knows no use case: paths, transactions and queries come from package
// channel. Here the client's types and errors are translated, in one place, and
// nothing else happens. Contention is retried by the client; what remains is an
// error that the caller's event comes back for.
package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"emailchannel.dev/emailchannel/shared/channel"
)

// Store is a Firestore database (native mode).
type Store struct{ c *firestore.Client }

var _ channel.Docs = (*Store)(nil)

// Open connects to the database of a project; database is empty for the
// default one.
func Open(ctx context.Context, project, database string, opts ...option.ClientOption) (*Store, error) {
	if database == "" {
		database = firestore.DefaultDatabaseID
	}
	c, err := firestore.NewClientWithDatabase(ctx, project, database, opts...)
	if err != nil {
		return nil, fmt.Errorf("firestore %s/%s: %w", project, database, err)
	}
	return &Store{c}, nil
}

// Close ends the connections.
func (s *Store) Close() error { return s.c.Close() }

// Get implements channel.Reader.
func (s *Store) Get(ctx context.Context, refs ...*channel.Ref) error {
	if len(refs) == 0 {
		return nil
	}
	docs, err := s.c.GetAll(ctx, s.refs(refs))
	return fill(refs, docs, err)
}

// Find implements channel.Reader.
func (s *Store) Find(ctx context.Context, q channel.Query, each func(string, func(any) error) error) error {
	return iterate(s.query(q).Documents(ctx), q, each)
}

// Count implements channel.Reader.
func (s *Store) Count(ctx context.Context, q channel.Query, limit int) (int, error) {
	fq := s.query(q).Limit(limit)
	return count(ctx, fq.NewAggregationQuery())
}

// maxAttempts of a transaction under contention before its event comes back.
const maxAttempts = 10

// Update implements channel.Docs.
func (s *Store) Update(ctx context.Context, f func(context.Context, channel.Tx) error) error {
	committing := false // or the error may be about a query without an index
	err := s.c.RunTransaction(ctx, func(ctx context.Context, t *firestore.Transaction) error {
		tx := &tx{Store: s, t: t}
		committing = false
		if err := f(ctx, tx); err != nil {
			return err
		}
		committing = tx.err == nil
		return tx.err
	}, firestore.MaxAttempts(maxAttempts))
	if committing && status.Code(err) == codes.FailedPrecondition {
		return fmt.Errorf("%w: %w", channel.ErrChanged, err)
	}
	return translate(err)
}

// Write implements channel.Docs. Without reads a single commit is enough.
func (s *Store) Write(ctx context.Context, f func(channel.Tx)) error {
	//lint:ignore SA1019 one atomic request: BulkWriter is not atomic, a transaction takes two more
	b := &batch{Store: s, b: s.c.Batch()}
	f(b)
	if b.err != nil || b.n == 0 {
		return b.err
	}
	_, err := b.b.Commit(ctx)
	if status.Code(err) == codes.FailedPrecondition { // there is no query here whose index could be missing
		return fmt.Errorf("%w: %w", channel.ErrChanged, err)
	}
	return translate(err)
}

func (s *Store) refs(refs []*channel.Ref) []*firestore.DocumentRef {
	out := make([]*firestore.DocumentRef, len(refs))
	for i, r := range refs {
		out[i] = s.c.Doc(r.Path)
	}
	return out
}

func fill(refs []*channel.Ref, docs []*firestore.DocumentSnapshot, err error) error {
	if err != nil {
		return translate(err)
	}
	for i, d := range docs {
		if refs[i].Found = d.Exists(); !refs[i].Found {
			continue
		}
		refs[i].Version = d.UpdateTime
		if err := decode(d.Data(), refs[i].Into); err != nil {
			return fmt.Errorf("decode %s: %w", refs[i].Path, err)
		}
	}
	return nil
}

func (s *Store) query(q channel.Query) firestore.Query {
	fq := s.c.Collection(q.Collection).Query
	if q.Group {
		fq = s.c.CollectionGroup(q.Collection).Query
	}
	for _, w := range q.Where {
		fq = fq.Where(w.Field, w.Op, encode(w.Value))
	}
	for _, o := range q.Order {
		dir := firestore.Asc
		if o.Desc {
			dir = firestore.Desc
		}
		fq = fq.OrderBy(o.Field, dir)
	}
	if len(q.After) > 0 {
		fq = s.after(fq, q)
	}
	if q.Limit > 0 {
		fq = fq.Limit(q.Limit)
	}
	return fq
}

// after has the query begin behind a document. Its path breaks ties in the
// direction that an index implies, so that no other index is needed.
func (s *Store) after(fq firestore.Query, q channel.Query) firestore.Query {
	after := make([]any, 0, len(q.After))
	for _, v := range q.After[:min(len(q.Order), len(q.After))] {
		after = append(after, encode(v))
	}
	if n := len(q.Order); len(q.After) > n {
		dir := firestore.Asc
		if n > 0 && q.Order[n-1].Desc {
			dir = firestore.Desc
		}
		fq = fq.OrderBy(firestore.DocumentID, dir)
		after = append(after, s.c.Doc(fmt.Sprint(q.After[n])))
	}
	return fq.StartAfter(after...)
}

func iterate(it *firestore.DocumentIterator, q channel.Query, each func(string, func(any) error) error) error {
	defer it.Stop()
	for {
		d, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return translate(err)
		}
		if err := each(d.Ref.ID, func(into any) error { return found(d, q, into) }); err != nil {
			return err
		}
	}
}

// found decodes a document of a query into a value, or into a Ref.
func found(d *firestore.DocumentSnapshot, q channel.Query, into any) error {
	if ref, ok := into.(*channel.Ref); ok {
		_, ref.Path, _ = strings.Cut(d.Ref.Path, "/documents/")
		ref.Found, ref.Version, ref.Cursor = true, d.UpdateTime, nil
		for _, o := range q.Order {
			v, err := d.DataAt(o.Field)
			if err != nil {
				return fmt.Errorf("%s of %s, by which it was found: %w", o.Field, ref.Path, err)
			}
			ref.Cursor = append(ref.Cursor, v)
		}
		ref.Cursor = append(ref.Cursor, ref.Path)
		into = ref.Into
	}
	if err := decode(d.Data(), into); err != nil {
		return fmt.Errorf("decode %s: %w", d.Ref.Path, err)
	}
	return nil
}

func count(ctx context.Context, q *firestore.AggregationQuery) (int, error) {
	res, err := q.WithCount("n").Get(ctx)
	if err != nil {
		return 0, translate(err)
	}
	v, ok := res["n"].(*pb.Value)
	if !ok {
		return 0, fmt.Errorf("count: unexpected %T", res["n"])
	}
	return int(v.GetIntegerValue()), nil
}

// translate names the failures that use cases tell apart.
func translate(err error) error {
	switch status.Code(err) {
	case codes.AlreadyExists:
		return fmt.Errorf("%w: %w", channel.ErrExists, err)
	case codes.NotFound:
		return fmt.Errorf("%w: %w", channel.ErrMissing, err)
	}
	return err
}

// changes makes the client's updates of a Patch.
func changes(fields map[string]any) []firestore.Update {
	var out []firestore.Update
	for k, v := range fields {
		switch v := v.(type) {
		case nil:
			out = append(out, firestore.Update{Path: k, Value: firestore.Delete})
		case channel.Inc:
			out = append(out, firestore.Update{Path: k, Value: firestore.Increment(int64(v))})
		case time.Time:
			out = append(out, firestore.Update{Path: k, Value: v})
		default:
			out = append(out, firestore.Update{Path: k, Value: encodeValue(reflect.ValueOf(v))})
		}
	}
	return out
}
