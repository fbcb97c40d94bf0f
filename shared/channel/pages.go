package channel

import (
	"context"
	"errors"
	"time"
)

// found is a document that a query has found.
type found[T any] struct {
	id      string
	version time.Time
	v       T
}

// pageSize is how many documents are read, and held in memory, at a time.
const pageSize = 200

// inPages has work done on all documents of a query, page by page, each page
// behind the last document of the one before: so a document that failed, or
// that stays in the query, is neither read again nor in the way of others.
// Work of a run ends when the time is over; what is left, and what failed, is
// found by the next run. The time is that of the machine, not the channel's:
// it is the function's own limit that it has to do with.
func inPages[T any](ctx context.Context, docs Docs, q Query, until time.Time, work func(page []found[T], t *troubles)) error {
	q.Limit = pageSize
	var t troubles
	for time.Now().Before(until) {
		page, next, err := onePage[T](ctx, docs, q)
		if err != nil {
			t.add(err)
			break
		}
		work(page, &t)
		if len(page) < pageSize || ctx.Err() != nil {
			break
		}
		q.After = next
	}
	t.add(ctx.Err())
	return t.err()
}

// onePage reads a page, and where the next one begins.
func onePage[T any](ctx context.Context, docs Docs, q Query) (page []found[T], next []any, err error) {
	err = docs.Find(ctx, q, func(id string, decode func(any) error) error {
		d := found[T]{id: id}
		ref := Ref{Into: &d.v}
		if err := decode(&ref); err != nil {
			return err
		}
		d.version, next = ref.Version, ref.Cursor
		page = append(page, d)
		return nil
	})
	return page, next, err
}

// pages is inPages for work on one document after another.
func pages[T any](ctx context.Context, docs Docs, q Query, until time.Time, each func(found[T]) error) error {
	return inPages(ctx, docs, q, until, func(page []found[T], t *troubles) {
		for _, d := range page {
			if ctx.Err() != nil || time.Now().After(until) {
				return
			}
			t.add(each(d))
		}
	})
}

// walk calls each for every document of a query, page by page, until one
// fails, however long it takes.
func walk[T any](ctx context.Context, docs Docs, q Query, each func(T) error) error {
	q.Limit = pageSize
	for {
		page, next, err := onePage[T](ctx, docs, q)
		if err != nil {
			return err
		}
		for _, d := range page {
			if err := each(d.v); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
		q.After = next
	}
}

// inTurn takes steps one after another. Each has an equal share of the time
// that is left by then, so that much work in one leaves time for the others.
func inTurn(until time.Time, steps ...func(until time.Time) error) error {
	errs := make([]error, len(steps))
	for i, step := range steps {
		errs[i] = step(time.Now().Add(time.Until(until) / time.Duration(len(steps)-i)))
	}
	return errors.Join(errs...)
}
