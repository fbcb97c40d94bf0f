package channel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Logins repeats what saving an account does (AC-3): it logs in to both of its
// servers, the outgoing one alone where it is outbound only, and stores what
// they answered. Poll tells only of incoming servers of queues, and only of
// those; here is where a refusing sender server is found before mail waits.
//
// An account is due once an hour, one that was refused after a quarter of an
// hour. What is due longest comes first, many at a time, and what a run has no
// time for is first in the next. An account that fails stops no other.
//
// It also removes the passwords that a crash left without an account.
type Logins struct {
	Docs    Docs
	Secrets Vault
	Mail    Verifier
	Config  *Configuration
	Now     Clock
	// Report is told of each account that was refused, and of each that is
	// valid again; several calls may run at once.
	Report func(ctx context.Context, account string, st AccountStatus)
}

// Login is the last log-in to both servers of an account: logins/{account}.
// It is apart from the account because Poll has its own word there, every
// minute, and that one is about the incoming server only.
type Login struct {
	Account string        `json:"account"`
	Due     time.Time     `json:"due"` // of the next
	Status  AccountStatus `json:"status"`
}

const (
	loginEvery   = time.Hour
	loginAgain   = 15 * time.Minute // after a refusal
	loginTimeout = 45 * time.Second // both servers of one account
	loginsFor    = 2 * time.Minute  // after which a run begins no more
	loginsPage   = 500
	loginsAtOnce = 32
)

func loginPath(account string) string { return "logins/" + account }

// login is when the account with its new status is due again.
func login(acc Account) Login {
	wait := loginEvery
	if !acc.Status.Valid {
		wait = loginAgain
	}
	return Login{Account: acc.ID, Due: acc.Status.CheckedAt.Add(wait), Status: acc.Status}
}

// checked is the status after a log-in.
func checked(before Account, refusal error, now time.Time) AccountStatus {
	st := AccountStatus{Valid: refusal == nil, CheckedAt: now.UTC(), LastSuccess: before.Status.LastSuccess}
	if refusal != nil {
		st.Error = refusal.Error()
		return st
	}
	st.LastSuccess = st.CheckedAt
	return st
}

// latest is what the log-in and the poll say together. A good log-in counts
// until a poll has a newer word; a refused one until the next log-in, because
// a poll cannot tell whether the outgoing server takes the password again.
func (l Login) latest(polled AccountStatus) AccountStatus {
	if l.Status.CheckedAt.IsZero() || l.Status.Valid && polled.CheckedAt.After(l.Status.CheckedAt) {
		return polled
	}
	return l.Status
}

// Handle logs in to what is due. With the channel OFF it leaves the servers
// alone, as Poll does. One run at a time does the work.
func (l *Logins) Handle(ctx context.Context) error {
	cat, err := l.Config.Load(ctx)
	if err != nil || !cat.Email {
		return err
	}
	left := Query{Collection: "discards", Where: []Where{{"due", "<=", l.Now().UTC()}}, Order: []Order{{Field: "due"}}}
	err = pages(ctx, l.Docs, left, time.Now().Add(loginsFor), func(d found[Discard]) error { return discard(ctx, l.Docs, l.Secrets, d.v.Secret) })
	due, derr := l.due(ctx, 1)
	if err = errors.Join(err, derr); len(due) == 0 {
		return err
	}
	held := locked(ctx, l.Docs, l.Now, "logins", l.run)
	if errors.Is(held, errBusy) {
		held = nil
	}
	return errors.Join(err, held)
}

func (l *Logins) due(ctx context.Context, most int) ([]Login, error) {
	return find[Login](ctx, l.Docs, Query{Collection: "logins", Where: []Where{{"due", "<=", l.Now().UTC()}}, Order: []Order{{Field: "due"}}, Limit: most})
}

func (l *Logins) run(ctx context.Context) error {
	for end := time.Now().Add(loginsFor); time.Now().Before(end); {
		list, err := l.due(ctx, loginsPage)
		if err != nil {
			return err
		}
		if err := l.several(ctx, list, end); err != nil || len(list) < loginsPage {
			return err
		}
	}
	return nil
}

// several logs in to the accounts of a list, and begins no more after end.
func (l *Logins) several(ctx context.Context, list []Login, end time.Time) error {
	var wg sync.WaitGroup
	errs := make([]error, len(list))
	free := make(chan struct{}, loginsAtOnce)
	for i, due := range list {
		free <- struct{}{}
		if ctx.Err() != nil || time.Now().After(end) {
			break
		}
		wg.Go(func() {
			defer func() { <-free }()
			if err := l.one(ctx, due); err != nil {
				errs[i] = fmt.Errorf("check account %s: %w", due.Account, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// one logs in to an account. The error is about our own parts; what a server
// says is stored, and so is that the password cannot be read.
func (l *Logins) one(ctx context.Context, due Login) error {
	acc, err := get[Account](ctx, l.Docs, accountPath(due.Account))
	if err != nil {
		return err
	}
	if acc == nil {
		return l.Docs.Write(ctx, func(tx Tx) { tx.Delete(loginPath(due.Account)) })
	}
	before := due.latest(acc.Status)
	acc.Status = before
	err = l.verify(ctx, *acc)
	if ctx.Err() != nil {
		return ctx.Err() // nobody refused anything: we are being stopped
	}
	acc.Status = checked(*acc, err, l.Now())
	stored, err := l.store(ctx, due, *acc)
	if err == nil && stored && (!acc.Status.Valid || !before.Valid) {
		l.Report(ctx, acc.ID, acc.Status)
	}
	return err
}

func (l *Logins) verify(ctx context.Context, acc Account) error {
	secret, err := l.Secrets.Get(ctx, acc.Secret)
	if err != nil {
		return fmt.Errorf("its password cannot be read: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	return l.Mail.Verify(ctx, acc, secret)
}

// store keeps the result unless somebody saved the account meanwhile: then it
// was about another password.
func (l *Logins) store(ctx context.Context, due Login, acc Account) (stored bool, err error) {
	err = l.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, err := get[Login](ctx, tx, loginPath(acc.ID))
		if stored = have != nil && have.Due.Equal(due.Due); err != nil || !stored {
			return err
		}
		tx.Set(loginPath(acc.ID), login(acc))
		return nil
	})
	return stored, err
}
