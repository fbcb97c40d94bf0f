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
	Expires time.Time `json:"expires"` // TTL
}

// errBusy means that somebody else holds the lease.
var errBusy = errors.New("lease is held")

// locked runs f while holding a lease, and returns errBusy when another holds it.
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
	err = f()
	return errors.Join(err, release(context.WithoutCancel(ctx), docs, name, holder))
}

// release gives a lease back unless it ran out and somebody else has it now.
func release(ctx context.Context, docs Docs, name, holder string) error {
	return docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, err := get[Lease](ctx, tx, leasePath(name))
		if err == nil && have != nil && have.Holder == holder {
			tx.Delete(leasePath(name))
		}
		return err
	})
}
