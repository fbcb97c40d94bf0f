package channel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Lease keeps a second worker away: leases/{name}. Its holder renews it as long
// as he works, and it runs out by itself when he dies.
type Lease struct {
	Holder  string    `json:"holder"`
	Until   time.Time `json:"until"`
	Expires time.Time `json:"expires"` // TTL
}

var (
	errBusy = errors.New("lease is held") // by somebody else
	errLost = errors.New("the lease was lost")
)

// leaseLasts is how long a lease outlives its holder, and others then wait.
const leaseLasts = 30 * time.Second

// leaseLook is how often a holder looks whether it is time to renew. It is less
// than the lease lasts, as the channel's clock may jump in the emulator.
const leaseLook = time.Second

// held is a lease and who holds it.
type held struct {
	docs         Docs
	now          Clock
	name, holder string
	until        time.Time
}

// locked runs f while holding a lease, and returns errBusy when another holds
// it. The context of f ends when the lease could not be kept.
func locked(ctx context.Context, docs Docs, now Clock, name string, f func(context.Context) error) error {
	l := &held{docs: docs, now: now, name: name, holder: rand.Text()}
	if err := l.take(ctx); err != nil {
		return err
	}
	work, end := context.WithCancelCause(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { l.keep(work, end) })
	defer end(nil) // also when f panics
	err := f(work)
	lost := context.Cause(work)
	end(nil)
	keeper.Wait()
	if errors.Is(lost, errLost) {
		return errors.Join(lost, err)
	}
	return errors.Join(err, l.release(context.WithoutCancel(ctx)))
}

// take takes or renews the lease.
func (l *held) take(ctx context.Context) error {
	var until time.Time
	err := l.docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, err := get[Lease](ctx, tx, leasePath(l.name))
		if err != nil {
			return err
		}
		t := l.now().UTC()
		if have != nil && have.Holder != l.holder && t.Before(have.Until) {
			return errBusy
		}
		until = t.Add(leaseLasts)
		tx.Set(leasePath(l.name), Lease{Holder: l.holder, Until: until, Expires: t.Add(24 * time.Hour)})
		return nil
	})
	if err == nil {
		l.until = until
	}
	return err
}

// keep renews the lease, each time when a third of it is over, until the work
// ends, and ends the work when somebody else has the lease or could have it.
func (l *held) keep(work context.Context, end context.CancelCauseFunc) {
	look := time.NewTicker(leaseLook)
	defer look.Stop()
	for {
		select {
		case <-work.Done():
			return
		case <-look.C:
		}
		if l.now().Before(l.until.Add(-leaseLasts * 2 / 3)) {
			continue
		}
		err := l.take(work)
		switch {
		case err == nil || work.Err() != nil:
		case errors.Is(err, errBusy), !l.now().Before(l.until):
			end(fmt.Errorf("%w: %s: %w", errLost, l.name, err))
		default:
			slog.WarnContext(work, "a lease was not renewed and will be tried again", "lease", l.name, "error", err)
		}
	}
}

// release gives the lease back unless it ran out and somebody else has it now.
func (l *held) release(ctx context.Context) error {
	return l.docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, err := get[Lease](ctx, tx, leasePath(l.name))
		if err == nil && have != nil && have.Holder == l.holder {
			tx.Delete(leasePath(l.name))
		}
		return err
	})
}
