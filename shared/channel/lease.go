package channel

import (
	"context"
	"errors"
	"time"
)

// Lease keeps a second worker away: leases/{name}. It runs out by itself when
// its holder dies.
type Lease struct {
	Holder  string    `json:"holder"`
	Until   time.Time `json:"until"`
	Again   bool      `json:"again,omitempty"` // somebody asked for the same meanwhile
	Expires time.Time `json:"expires"`         // TTL
}

// errBusy means that somebody else holds the lease, errAgain that somebody who
// left a word by askAgain found it held and f should run once more.
var (
	errBusy  = errors.New("lease is held")
	errAgain = errors.New("asked for once more while the lease was held")
)

// locked runs f while holding a lease, and returns errBusy when another holds
// it, and errAgain when f is through and was asked for meanwhile.
func locked(ctx context.Context, docs Docs, now Clock, name, holder string, d time.Duration, f func() error) error {
	err := docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, err := get[Lease](ctx, tx, leasePath(name))
		if err != nil {
			return err
		}
		t := now().UTC()
		if have != nil && t.Before(have.Until) {
			return errBusy
		}
		tx.Set(leasePath(name), Lease{Holder: holder, Until: t.Add(d), Expires: t.Add(24 * time.Hour)})
		return nil
	})
	if err != nil {
		return err
	}
	if err = f(); err != nil {
		_, released := release(context.WithoutCancel(ctx), docs, name, holder)
		return errors.Join(err, released)
	}
	asked, err := release(context.WithoutCancel(ctx), docs, name, holder)
	if err == nil && asked {
		return errAgain
	}
	return err
}

// askAgain leaves a word with the holder of a lease. It returns errBusy when
// nobody holds it any more: then the caller may have it.
func askAgain(ctx context.Context, docs Docs, now Clock, name string) error {
	return docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, err := get[Lease](ctx, tx, leasePath(name))
		if err != nil {
			return err
		}
		if have == nil || !now().UTC().Before(have.Until) {
			return errBusy
		}
		if !have.Again {
			tx.Patch(leasePath(name), map[string]any{"again": true})
		}
		return nil
	})
}

// release gives a lease back, unless it ran out and somebody else has it now,
// and tells whether somebody left a word.
func release(ctx context.Context, docs Docs, name, holder string) (asked bool, err error) {
	err = docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, err := get[Lease](ctx, tx, leasePath(name))
		if err == nil && have != nil && have.Holder == holder {
			asked = have.Again
			tx.Delete(leasePath(name))
		}
		return err
	})
	return asked, err
}
