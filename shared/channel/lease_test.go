package channel

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// leases is a database that has one lease and can be down.
type leases struct {
	Docs
	mu   sync.Mutex
	have *Lease
	down error
	sets int
}

func (l *leases) Update(ctx context.Context, f func(context.Context, Tx) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.down, ctx.Err()); err != nil {
		return err
	}
	return f(ctx, leaseTx{l: l})
}

func (l *leases) put(v *Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.have = v
}

func (l *leases) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = err
}

type leaseTx struct {
	Tx
	l *leases
}

func (t leaseTx) Get(_ context.Context, refs ...*Ref) error {
	if t.l.have != nil {
		*refs[0].Into.(*Lease), refs[0].Found = *t.l.have, true
	}
	return nil
}

func (t leaseTx) Set(_ string, v any) {
	lease := v.(Lease)
	t.l.have = &lease
	t.l.sets++
}

func (t leaseTx) Delete(string) { t.l.have = nil }

func (l *leases) locked(ctx context.Context, f func(context.Context) error) error {
	return locked(ctx, l, time.Now, "x", f)
}

func TestALeaseIsKeptForAsLongAsTheWorkTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &leases{}
		err := l.locked(t.Context(), func(ctx context.Context) error {
			for range 20 {
				time.Sleep(29 * time.Second)
				if err := l.locked(t.Context(), func(context.Context) error { return nil }); !errors.Is(err, errBusy) {
					t.Errorf("another: %v", err)
				}
			}
			return ctx.Err()
		})
		if err != nil || l.have != nil {
			t.Errorf("%v, left %+v", err, l.have)
		}
		if most := 20 * 29 / 10; l.sets > most+1 {
			t.Errorf("renewed %d times in 580 s", l.sets)
		}
	})
}

func TestTheLeaseOfWhoDiedRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &leases{have: &Lease{Holder: "dead", Until: time.Now().Add(30 * time.Second)}}
		ran := 0
		work := func(context.Context) error { ran++; return nil }
		time.Sleep(29 * time.Second)
		if err := l.locked(t.Context(), work); !errors.Is(err, errBusy) || ran != 0 {
			t.Errorf("before: %v", err)
		}
		time.Sleep(time.Second)
		if err := l.locked(t.Context(), work); err != nil || ran != 1 {
			t.Errorf("after: %v", err)
		}
	})
}

func TestWorkEndsWithItsLease(t *testing.T) {
	wait := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	synctest.Test(t, func(t *testing.T) {
		l := &leases{}
		go func() {
			time.Sleep(5 * time.Second)
			l.put(&Lease{Holder: "another", Until: time.Now().Add(time.Hour)})
		}()
		if err := l.locked(t.Context(), wait); !errors.Is(err, errLost) || l.have == nil || l.have.Holder != "another" {
			t.Errorf("taken by another: %v, %+v", err, l.have)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l, begin := &leases{}, time.Now()
		go func() {
			time.Sleep(15 * time.Second)
			l.fail(errors.New("no database"))
		}()
		err := l.locked(t.Context(), wait)
		if took := time.Since(begin); !errors.Is(err, errLost) || took < 30*time.Second || took > 42*time.Second {
			t.Errorf("the database is down for too long: %v after %s", err, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := &leases{}
		go func() {
			time.Sleep(9 * time.Second)
			l.fail(errors.New("no database"))
			time.Sleep(15 * time.Second)
			l.fail(nil)
		}()
		if err := l.locked(t.Context(), func(ctx context.Context) error { time.Sleep(time.Minute); return ctx.Err() }); err != nil || l.have != nil {
			t.Errorf("the database was down for a while: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := &leases{}
		func() {
			defer func() { _ = recover() }()
			_ = l.locked(t.Context(), func(context.Context) error { panic("a defect") })
		}()
		time.Sleep(time.Minute) // the keeper ended, or the lease would be there for ever
		if !l.have.Until.Before(time.Now()) {
			t.Errorf("kept after a panic: %+v", l.have)
		}
	})
}

// written tells whether a write could have worked.
type written struct {
	Docs
	err error
}

func (w *written) Write(ctx context.Context, _ func(Tx)) error {
	w.err = ctx.Err()
	return w.err
}

// What an ended function did is written down, but not by one who lost the lease.
func TestSettleEndsWithTheLease(t *testing.T) {
	for cause, want := range map[error]error{context.DeadlineExceeded: nil, errLost: context.Canceled} {
		ctx, end := context.WithCancelCause(t.Context())
		end(cause)
		docs := &written{}
		if err := (&Poll{Docs: docs}).settle(ctx, func(Tx) {}); err != want || docs.err != want {
			t.Errorf("%v: %v, not %v", cause, err, want)
		}
	}
}
