package channel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
)

// Reconciliation compares a folder with what became of its mails (AC-8):
// accounts/{id}/reconciliations/{folder}. Mail on the server that nothing is
// known of is fetched again; the numbers add up to OnServer.
type Reconciliation struct {
	Account     string    `json:"account"`
	Folder      string    `json:"folder"`
	UIDValidity uint32    `json:"uid_validity"`
	At          time.Time `json:"at"`
	OnServer    int       `json:"on_server"`         // up to where polling has come
	Before      int       `json:"before"`            // accounted for by an earlier reconciliation
	Known       int       `json:"known"`             // ingested, duplicates or suppressed with the reason
	Quarantined int       `json:"quarantined"`       // set aside with the reason
	Repaired    int       `json:"repaired"`          // nothing was known of them: fetched again
	Gone        int       `json:"gone"`              // and were not there any more when they were to be
	Missing     []uint32  `json:"missing,omitempty"` // UIDs of the repaired, the first hundred
	Checked     uint32    `json:"checked"`           // UIDs up to this one are accounted for
}

const (
	reconcileEvery = 24 * time.Hour
	reconcileAsk   = 30 // sources in one query, which is the database's bound
	maxMissing     = 100
)

func reconciliationPath(account, folder string) string {
	return accountPath(account) + "/reconciliations/" + digest(folder)
}

// reconcile compares the folder, at most once a day unless it is demanded, and
// repairs what differs.
func (r *round) reconcile(ctx context.Context, f Folder) error {
	path := reconciliationPath(r.account.ID, r.folder)
	last, err := get[Reconciliation](ctx, r.Docs, path)
	now := r.Now().UTC()
	if err != nil || !r.demanded && last != nil && now.Sub(last.At) < reconcileEvery {
		return err
	}
	cur, err := get[Cursor](ctx, r.Docs, cursorPath(r.account.ID, r.folder))
	if err != nil || cur == nil || cur.UIDValidity != f.UIDValidity() {
		return err // nothing was polled under this UIDVALIDITY
	}
	c := comparison{round: r, folder: f, Reconciliation: Reconciliation{Account: r.account.ID, Folder: r.folder, UIDValidity: cur.UIDValidity, At: now}}
	if last != nil && last.UIDValidity == cur.UIDValidity {
		c.Checked = last.Checked
	}
	if err := c.run(ctx, cur.LastUID); err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	if c.Repaired+c.Gone > 0 {
		slog.ErrorContext(ctx, "mail was missing and is fetched again", "account", c.Account, "folder", c.Folder, "repaired", c.Repaired, "gone", c.Gone, "uids", c.Missing)
	}
	return r.Docs.Write(ctx, func(tx Tx) { tx.Set(path, c.Reconciliation) })
}

// comparison is one reconciliation under way.
type comparison struct {
	*round
	folder Folder
	Reconciliation
	missing []uint32
}

func (c *comparison) run(ctx context.Context, polled uint32) error {
	before := c.Checked
	err := c.folder.UIDs(ctx, func(uids []uint32) error {
		var ask []uint32
		for _, uid := range uids {
			switch {
			case uid > polled: // the next poll's
			case uid <= before:
				c.OnServer, c.Before = c.OnServer+1, c.Before+1
			default:
				ask = append(ask, uid)
			}
		}
		for ; len(ask) > 0; ask = ask[min(reconcileAsk, len(ask)):] {
			if err := c.account(ctx, ask[:min(reconcileAsk, len(ask))]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.Checked = polled
	return c.repair(ctx)
}

// account looks up what became of some mails.
func (c *comparison) account(ctx context.Context, uids []uint32) error {
	sources := make([]event.Source, len(uids))
	for i, uid := range uids {
		sources[i] = event.Source{Account: c.Account, Folder: c.Folder, UIDValidity: c.UIDValidity, UID: uid}
	}
	mails, err := find[Mail](ctx, c.Docs, Query{Collection: "mails", Where: []Where{{"sources", "array-contains-any", sources}}})
	if err != nil {
		return err
	}
	known := map[event.Source]bool{}
	for _, m := range mails {
		for _, src := range m.Sources {
			known[src] = true
		}
	}
	aside := make([]Quarantined, len(sources))
	refs := make([]*Ref, 0, len(sources))
	for i, src := range sources {
		if !known[src] {
			refs = append(refs, &Ref{Path: quarantinePath(src.Key()), Into: &aside[i]})
		}
	}
	if err := c.Docs.Get(ctx, refs...); err != nil {
		return err
	}
	for i, src := range sources {
		c.OnServer++
		switch {
		case known[src]:
			c.Known++
		case !aside[i].At.IsZero():
			c.Quarantined++
		default:
			c.missing = append(c.missing, uids[i])
		}
	}
	return nil
}

// repair takes the missing mails as a poll would have. One whose event is only
// late gets a second, which changes nothing.
func (c *comparison) repair(ctx context.Context) error {
	for _, uid := range c.missing {
		taken := false
		cur := Cursor{UIDValidity: c.UIDValidity, LastUID: uid - 1}
		_, err := c.folder.Fetch(ctx, cur, 1, func(ctx context.Context, m Fetched) error {
			if m.UID != uid {
				return nil // it is gone, and this is its successor
			}
			taken = true
			return c.take(ctx, c.round.account, c.Folder, m)
		})
		var bad *Unfetched
		if errors.As(err, &bad) { // else it would end every poll here
			src := event.Source{Account: c.Account, Folder: c.Folder, UIDValidity: c.UIDValidity, UID: uid}
			return errors.Join(err, c.pass(ctx, src, bad, 1, 0))
		}
		if err != nil {
			return err
		}
		if len(c.Missing) < maxMissing {
			c.Missing = append(c.Missing, uid)
		}
		if taken {
			c.Repaired++
		} else {
			c.Gone++
		}
	}
	return nil
}

// Reconciliations are the latest of an account's folders.
func (a *Admin) Reconciliations(ctx context.Context, account string) ([]Reconciliation, error) {
	if _, err := a.Account(ctx, account); err != nil {
		return nil, err
	}
	return find[Reconciliation](ctx, a.Docs, Query{Collection: accountPath(account) + "/reconciliations"})
}

// Reconcile asks for one now.
func (a *Admin) Reconcile(ctx context.Context, account string) error {
	if _, err := a.Account(ctx, account); err != nil {
		return err
	}
	return a.Bus.Publish(ctx, event.TopicPoll, event.Encode(event.Poll{Account: account, Reconcile: true}))
}
