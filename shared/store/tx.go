package store

import (
	"context"
	"time"

	"cloud.google.com/go/firestore"

	"emailchannel.dev/emailchannel/shared/channel"
)

// tx is one attempt of a read-write transaction.
type tx struct {
	*Store
	t   *firestore.Transaction
	err error // of the first write that the client refused
}

func (t *tx) Get(_ context.Context, refs ...*channel.Ref) error {
	if len(refs) == 0 {
		return nil
	}
	docs, err := t.t.GetAll(t.refs(refs))
	return fill(refs, docs, err)
}

func (t *tx) Find(_ context.Context, q channel.Query, each func(string, func(any) error) error) error {
	return iterate(t.t.Documents(t.query(q)), q, each)
}

func (t *tx) Count(ctx context.Context, q channel.Query, limit int) (int, error) {
	fq := t.query(q).Limit(limit)
	return count(ctx, fq.NewAggregationQuery().Transaction(t.t))
}

func (t *tx) Create(path string, v any)           { t.keep(t.t.Create(t.c.Doc(path), encode(v))) }
func (t *tx) Set(path string, v any)              { t.keep(t.t.Set(t.c.Doc(path), encode(v))) }
func (t *tx) Patch(path string, f map[string]any) { t.keep(t.t.Update(t.c.Doc(path), changes(f))) }
func (t *tx) PatchAt(path string, version time.Time, f map[string]any) {
	t.keep(t.t.Update(t.c.Doc(path), changes(f), firestore.LastUpdateTime(version)))
}
func (t *tx) Delete(path string) { t.keep(t.t.Delete(t.c.Doc(path))) }

func (t *tx) keep(err error) {
	if t.err == nil {
		t.err = err
	}
}

// batch is a commit without reads. Its Reader is the plain store's.
type batch struct {
	*Store
	//lint:ignore SA1019 see Write
	b   *firestore.WriteBatch
	n   int
	err error
}

func (b *batch) Create(path string, v any) {
	b.n++
	b.b.Create(b.c.Doc(path), encode(v))
}

func (b *batch) Set(path string, v any) {
	b.n++
	b.b.Set(b.c.Doc(path), encode(v))
}

func (b *batch) Patch(path string, f map[string]any) {
	b.n++
	b.b.Update(b.c.Doc(path), changes(f))
}

func (b *batch) PatchAt(path string, version time.Time, f map[string]any) {
	b.n++
	b.b.Update(b.c.Doc(path), changes(f), firestore.LastUpdateTime(version))
}

func (b *batch) Delete(path string) {
	b.n++
	b.b.Delete(b.c.Doc(path))
}
