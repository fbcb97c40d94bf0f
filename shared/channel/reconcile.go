package channel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	At          time.Time `json:"at"`                   // when the latest was finished; zero before the first was
	OnServer    int       `json:"on_server"`            // up to where polling has come
	Before      int       `json:"before"`               // accounted for by an earlier reconciliation
	Known       int       `json:"known"`                // ingested, duplicates or suppressed with the reason
	Quarantined int       `json:"quarantined"`          // set aside with the reason
	Repaired    int       `json:"repaired"`             // nothing was known of them: fetched again
	Gone        int       `json:"gone"`                 // and were not there any more when they were to be
	Missing     []uint32  `json:"missing,omitempty"`    // UIDs of the repaired, the first hundred
	Checked     uint32    `json:"checked"`              // UIDs up to this one are accounted for
	Unfinished  bool      `json:"unfinished,omitempty"` // its time did not suffice: the next poll goes on, and the numbers are of the mails up to Checked
}

// reconciling is a reconciliation as it is stored.
type reconciling struct {
	Reconciliation
	From uint32 `json:"from,omitempty"` // what Before counts ends with this UID
}

const (
	reconcileEvery = 24 * time.Hour
	reconcileAsk   = 30      // sources in one query, which is the database's bound
	reconcileMost  = 100_000 // mails that one poll lists to ask for
	maxMissing     = 100
)

func reconciliationPath(account, folder string) string {
	return accountPath(account) + "/reconciliations/" + digest(folder)
}

// reconcile compares the folder, at most once a day unless it is demanded, and
// repairs what differs. What it has come to is kept also when it fails.
func (r *round) reconcile(ctx context.Context) error {
	path := reconciliationPath(r.account.ID, r.folder)
	last, err := get[reconciling](ctx, r.Docs, path)
	now := r.Now().UTC()
	if err != nil || !r.demanded && last != nil && !last.Unfinished && now.Sub(last.At) < reconcileEvery {
		return err
	}
	cur, err := get[Cursor](ctx, r.Docs, cursorPath(r.account.ID, r.folder))
	if err != nil || cur == nil || cur.UIDValidity != r.box.UIDValidity() {
		return err // nothing was polled under this UIDVALIDITY
	}
	c := r.compare(last, cur.UIDValidity)
	before := c.Checked
	switch err = c.run(ctx, cur.LastUID); {
	case err == nil:
		c.At, c.Unfinished = now, false
	case errors.Is(err, errOver):
		err = nil
	default:
		err = fmt.Errorf("reconcile: %w", err)
	}
	if c.Unfinished && c.Checked == before && (err != nil || !r.demanded) { // what is demanded is so until it is finished
		return err
	}
	if len(c.found) > 0 {
		slog.ErrorContext(ctx, "mail was missing and is fetched again", "account", c.Account, "folder", c.Folder, "repaired", c.Repaired, "gone", c.Gone, "uids", c.found[:min(len(c.found), maxMissing)])
	}
	return errors.Join(err, r.settle(ctx, func(tx Tx) { tx.Set(path, c.reconciling) }))
}

// compare begins a comparison, or goes on with one.
func (r *round) compare(last *reconciling, validity uint32) *comparison {
	c := &comparison{round: r}
	c.Account, c.Folder, c.UIDValidity, c.Unfinished = r.account.ID, r.folder, validity, true
	if last == nil {
		return c
	}
	switch {
	case last.UIDValidity != validity:
	case last.Unfinished:
		c.reconciling = *last
		c.OnServer, c.Before = last.OnServer-last.Before, 0 // which is counted anew
	default:
		c.Checked, c.From = last.Checked, last.Checked
	}
	c.At = last.At
	return c
}

// comparison is one reconciliation under way.
type comparison struct {
	*round
	reconciling
	found []uint32 // were missing at this poll
}

func (c *comparison) run(ctx context.Context, polled uint32) error {
	if c.over() {
		return errOver
	}
	uids, err := c.list(ctx, polled)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(uids[:min(len(uids), reconcileMost)], reconcileAsk) {
		if err := c.part(ctx, part); err != nil {
			return err
		}
	}
	if len(uids) > reconcileMost {
		return errOver
	}
	c.Checked = polled
	return nil
}

// list counts what was accounted for before, and returns the UIDs that were
// not, at most one more than are asked for.
func (c *comparison) list(ctx context.Context, polled uint32) (ask []uint32, err error) {
	ctx, end := context.WithTimeout(ctx, c.lookFor)
	defer end()
	err = c.box.UIDs(ctx, func(uids []uint32) error {
		for _, uid := range uids {
			switch {
			case uid > polled: // the next poll's
			case uid <= c.From:
				c.OnServer, c.Before = c.OnServer+1, c.Before+1
			case uid > c.Checked && len(ask) <= reconcileMost:
				ask = append(ask, uid)
			}
		}
		return nil
	})
	return ask, err
}

// over tells whether the rest is left to the next poll, which gets further by a
// mail at least in one of the folders.
func (c *comparison) over() bool { return c.asked+c.taken > 0 && time.Since(c.start) >= c.lookFor }

// part looks up what became of some mails, and counts them one after the other.
func (c *comparison) part(ctx context.Context, uids []uint32) error {
	if c.over() {
		return errOver
	}
	sources := make([]event.Source, len(uids))
	for i, uid := range uids {
		sources[i] = event.Source{Account: c.Account, Folder: c.Folder, UIDValidity: c.UIDValidity, UID: uid}
	}
	known, aside, err := c.traces(ctx, sources)
	if err != nil {
		return err
	}
	for _, src := range sources {
		number := &c.Known
		switch {
		case known[src]:
		case aside[src]:
			number = &c.Quarantined
		case c.over():
			return errOver
		default:
			if number, err = c.repair(ctx, src); err != nil {
				return err
			}
		}
		*number++
		c.OnServer, c.Checked, c.asked = c.OnServer+1, src.UID, c.asked+1
	}
	return nil
}

// traces are the mails that became something, and those that were set aside.
func (c *comparison) traces(ctx context.Context, sources []event.Source) (known, aside map[event.Source]bool, err error) {
	mails, err := find[Mail](ctx, c.Docs, Query{Collection: "mails", Where: []Where{{"sources", "array-contains-any", sources}}})
	if err != nil {
		return nil, nil, err
	}
	known, aside = map[event.Source]bool{}, map[event.Source]bool{}
	for _, m := range mails {
		for _, src := range m.Sources {
			known[src] = true
		}
	}
	var refs []*Ref
	var unknown []event.Source
	for _, src := range sources {
		if !known[src] {
			refs, unknown = append(refs, &Ref{Path: quarantinePath(src.Key()), Into: new(Quarantined)}), append(unknown, src)
		}
	}
	if err := c.Docs.Get(ctx, refs...); err != nil {
		return nil, nil, err
	}
	for i, src := range unknown {
		aside[src] = refs[i].Found
	}
	return known, aside, nil
}

// repair takes a missing mail as a poll would have, and returns the number that
// it belongs to. One whose event is only late gets a second, which changes
// nothing. One that the server does not give is set aside, and those after it
// are gone on with over another connection.
func (c *comparison) repair(ctx context.Context, src event.Source) (*int, error) {
	taken := false
	cur := Cursor{UIDValidity: c.UIDValidity, LastUID: src.UID - 1}
	_, err := c.timed(ctx, c.box, cur, 1, func(ctx context.Context, m Fetched) error {
		if m.UID != src.UID {
			return nil // it is gone, and this is its successor
		}
		taken = true
		return c.take(ctx, c.account, c.Folder, m)
	})
	var bad *Unfetched
	if errors.As(err, &bad) {
		return &c.Quarantined, c.setAside(ctx, src, bad)
	}
	if err != nil {
		return nil, err
	}
	c.found = append(c.found, src.UID)
	if len(c.Missing) < maxMissing {
		c.Missing = append(c.Missing, src.UID)
	}
	if taken {
		return &c.Repaired, nil
	}
	return &c.Gone, nil
}

func (c *comparison) setAside(ctx context.Context, src event.Source, bad *Unfetched) error {
	if err := c.pass(ctx, src, bad, 1, 0); err != nil {
		return err
	}
	if err := c.open(ctx); err != nil {
		return err
	}
	if c.box.UIDValidity() != c.UIDValidity {
		return errOver // it begins anew
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
