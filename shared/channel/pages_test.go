package channel

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// numbered is a database whose one query finds the numbers below n.
type numbered struct {
	Docs
	n     int
	reads *int
}

func (d numbered) Find(_ context.Context, q Query, each func(string, func(any) error) error) error {
	from := 0
	if len(q.After) > 0 {
		from = q.After[0].(int)
	}
	for i := from; i < min(from+q.Limit, d.n); i++ {
		*d.reads++
		err := each(fmt.Sprint(i), func(into any) error {
			ref := into.(*Ref)
			*ref.Into.(*int), ref.Cursor = i, []any{i + 1}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestPagesPassOverFailures(t *testing.T) {
	for _, n := range []int{0, 1, pageSize - 1, pageSize, pageSize + 1, 3 * pageSize} {
		reads, next := 0, 0
		err := pages(t.Context(), numbered{n: n, reads: &reads}, Query{}, time.Now().Add(time.Hour), func(d found[int]) error {
			if d.v != next || d.id != fmt.Sprint(next) {
				t.Errorf("%s is %d, not %d", d.id, d.v, next)
			}
			next++
			return ErrMissing
		})
		if next != n || reads != n || errors.Is(err, ErrMissing) != (n > 0) {
			t.Errorf("%d of %d, read %d times: %v", next, n, reads, err)
		}
	}
}

func TestPagesEndWithTheirTimeAndTheirCaller(t *testing.T) {
	reads, done := 0, 0
	docs := numbered{n: 3 * pageSize, reads: &reads}
	count := func(found[int]) error { done++; return nil }
	if err := pages(t.Context(), docs, Query{}, time.Now(), count); err != nil || reads > 0 {
		t.Errorf("without time it read %d: %v", reads, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := pages(ctx, docs, Query{}, time.Now().Add(time.Hour), func(d found[int]) error {
		if d.v == 10 {
			cancel()
		}
		return count(d)
	})
	if done != 11 || reads != pageSize || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled at the eleventh, it did %d of %d: %v", done, reads, err)
	}
}

// Each step has its share of what those before have left.
func TestInTurn(t *testing.T) {
	end := time.Now().Add(time.Hour)
	var given []time.Time
	step := func(err error) func(time.Time) error {
		return func(until time.Time) error { given = append(given, until); return err }
	}
	err := inTurn(end, step(ErrMissing), step(nil), step(ErrChanged), step(nil))
	if !errors.Is(err, ErrMissing) || !errors.Is(err, ErrChanged) || len(given) != 4 {
		t.Fatalf("%d steps: %v", len(given), err)
	}
	for i, share := range []time.Duration{15, 20, 30, 60} { // of 60, 60, 60 and 60 minutes, as none took any time
		if off := end.Add(-time.Hour + share*time.Minute).Sub(given[i]).Abs(); off > time.Minute {
			t.Errorf("step %d ends %s from where it should", i, off)
		}
	}
}
