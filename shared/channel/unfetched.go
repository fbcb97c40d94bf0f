package channel

import (
	"context"
	"errors"
	"fmt"

	"emailchannel.dev/emailchannel/shared/event"
)

// Unfetched is the error of a [Folder] that fails at one mail: the server was
// logged in to and lists it, but does not deliver it whole. The connection is
// gone with it.
type Unfetched struct {
	UID uint32
	Err error
}

func (u *Unfetched) Error() string { return fmt.Sprintf("UID %d: %v", u.UID, u.Err) }
func (u *Unfetched) Unwrap() error { return u.Err }

// maxTakes is after how many failures a mail that the server cannot deliver is passed.
const maxTakes = 5

// blame counts the failures at one mail in the cursor, and lets the cursor pass
// it when there were too many, so that it blocks nothing (AC-7).
func (r *round) blame(ctx context.Context, cur Cursor, next *Cursor, err error) error {
	var bad *Unfetched
	if !errors.As(err, &bad) {
		return nil
	}
	next.FailedUID, next.Tries = bad.UID, 1
	if cur.FailedUID == bad.UID && cur.UIDValidity == next.UIDValidity {
		next.Tries = cur.Tries + 1
	}
	if next.Tries < maxTakes {
		return nil
	}
	src := event.Source{Account: r.account.ID, Folder: r.folder, UIDValidity: next.UIDValidity, UID: bad.UID}
	if err := r.pass(ctx, src, bad, next.Tries, 0); err != nil {
		return err
	}
	next.LastUID, next.FailedUID, next.Tries = bad.UID, 0, 0
	return nil
}

// pass sets a mail aside that cannot be fetched. Its event has no object: a
// retry fetches it again. It comes back by itself, in case the server is mended.
func (p *Poll) pass(ctx context.Context, src event.Source, cause error, tries, round int) error {
	now := p.Now().UTC()
	q := Quarantined{
		ID: digest(src.Key()), Event: event.Received{Source: src, Round: round}, Reason: "cannot be fetched: " + cause.Error(),
		Tries: tries, At: now, Retry: now.Add(min(retryFirst<<min(round, 10), retryMost)),
	}
	if err := p.settle(ctx, func(tx Tx) { tx.Set(quarantinePath(src.Key()), q) }); err != nil {
		return fmt.Errorf("set UID %d aside: %w", src.UID, err)
	}
	return nil
}

// refetch takes one mail that was set aside. Under another UIDVALIDITY polling
// has it, and one that is gone is gone. Whatever fails sets it aside once more:
// its event is all that is left of it, and does not outlast a server that is down.
func (p *Poll) refetch(ctx context.Context, a Account, src event.Source, round int) error {
	if err := p.again(ctx, a, src); err != nil {
		return p.pass(ctx, src, err, 1, round)
	}
	return nil
}

func (p *Poll) again(ctx context.Context, a Account, src event.Source) error {
	secret, err := p.Secrets.Get(ctx, a.Secret)
	if err != nil {
		return fmt.Errorf("secret of account %s: %w", a.ID, err)
	}
	f, err := p.Mail.Open(ctx, a, secret, src.Folder)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.UIDValidity() != src.UIDValidity {
		return nil
	}
	cur := Cursor{UIDValidity: src.UIDValidity, LastUID: src.UID - 1}
	_, err = newSpan(p.times).timed(ctx, f, cur, 1, func(ctx context.Context, m Fetched) error {
		if m.UID != src.UID {
			return nil
		}
		return p.take(ctx, a, src.Folder, m)
	})
	return err
}
