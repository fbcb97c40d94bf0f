package channel

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/fault"
)

// AccountForm is what an admin says of an account (AC-2). Credentials that are
// empty stay as they are stored.
type AccountForm struct {
	User         string   `json:"user"`
	Address      string   `json:"address"`
	Service      string   `json:"service"`
	Incoming     Server   `json:"incoming"`
	Outgoing     Server   `json:"outgoing"`
	OutboundOnly bool     `json:"outbound_only"`
	Folders      []string `json:"folders"`
	Auth         Auth     `json:"auth"`
	OAuth        OAuth    `json:"oauth"`
	Idle         bool     `json:"idle"`
	Sent         SentMail `json:"sent"`
	AuthServers  []string `json:"auth_servers"`
	VERP         bool     `json:"verp"`
	DKIM         DKIM     `json:"dkim"`
	Credentials
}

func (f AccountForm) account(id string) Account {
	acc := Account{ID: id, User: f.User, Address: email.Normalize(f.Address), Service: cmp.Or(f.Service, serviceIMAP), Incoming: f.Incoming, Outgoing: f.Outgoing, OutboundOnly: f.OutboundOnly, Folders: f.Folders,
		Auth: cmp.Or(f.Auth, AuthPassword), OAuth: f.OAuth, Idle: f.Idle, Sent: f.Sent, AuthServers: f.AuthServers, VERP: f.VERP, DKIM: f.DKIM}
	if acc.OutboundOnly {
		acc.Incoming, acc.Folders = Server{}, nil
	} else if len(acc.Folders) == 0 {
		acc.Folders = []string{"INBOX"}
	}
	return acc
}

const (
	serviceIMAP  = "imap"
	serviceNames = 320 // longest user name, host or folder, in bytes
)

// Accounts lists the accounts.
func (a *Admin) Accounts(ctx context.Context) ([]Account, error) {
	m, err := all(ctx, a.Docs, "accounts", accountID)
	if err != nil {
		return nil, err
	}
	logins, err := all(ctx, a.Docs, "logins", func(l Login) string { return l.Account })
	list := sorted(m)
	for i, acc := range list {
		list[i].Status = logins[acc.ID].latest(acc.Status)
	}
	return list, err
}

// Account returns one account.
func (a *Admin) Account(ctx context.Context, id string) (*Account, error) {
	acc, err := one[Account](ctx, a.Docs, "account", id, accountPath)
	if err != nil {
		return nil, err
	}
	var l Login
	err = a.Docs.Get(ctx, &Ref{Path: loginPath(id), Into: &l})
	acc.Status = l.latest(acc.Status)
	return acc, err
}

// one reads a document by an ID from outside.
func one[T any](ctx context.Context, r Reader, what, id string, path func(string) string) (*T, error) {
	if !plainID(id) {
		return nil, notFound(what, id)
	}
	v, err := get[T](ctx, r, path(id))
	if err == nil && v == nil {
		err = notFound(what, id)
	}
	return v, err
}

// PutAccount saves an account: the password in Secret Manager, everything else
// here. It logs in to both servers and saves the account with what they
// answered (AC-3).
func (a *Admin) PutAccount(ctx context.Context, id string, f AccountForm) (*Account, error) {
	acc := f.account(id)
	if !slug.MatchString(id) { // not for a path
		return nil, a.verdict(acc.check())
	}
	if err := a.only.check(ctx, a.Docs, thingID{ThingAccount, id}); err != nil { // before anything is stored; the transaction does it again
		return nil, err
	}
	old, err := get[Account](ctx, a.Docs, accountPath(id))
	if err != nil {
		return nil, err
	}
	have, err := a.stored(ctx, acc, old, f.Credentials)
	if err != nil {
		return nil, err
	}
	var bad Invalid
	for _, err := range []error{a.admit(ctx, a.Docs, acc), f.Credentials.check(), acc.needs(have.with(f.Credentials)), acc.again(old, have, f.Credentials)} {
		if err := bad.under("", err); err != nil {
			return nil, err
		}
	}
	if err := a.verdict(bad.err()); err != nil {
		return nil, err
	}
	secret, err := a.credentials(ctx, &acc, old, have, f.Credentials)
	if err != nil {
		return nil, err
	}
	acc.Status = checked(acc, a.Mail.Verify(ctx, acc, secret), a.Now())
	fault.Step(ctx, "admin.verified")
	err = a.save(ctx, thingID{ThingAccount, id}, func(ctx context.Context, tx *edit, now time.Time) error {
		if err := a.admit(ctx, tx, acc); err != nil {
			return err
		}
		have, err := get[Account](ctx, tx, accountPath(id))
		if err != nil {
			return err
		}
		if (have == nil) != (old == nil) || have != nil && have.Secret != acc.Secret {
			return conflict("account %s was made or deleted by somebody else meanwhile; save it again", id)
		}
		acc.CreatedAt, acc.UpdatedAt = now, now
		if have != nil {
			acc.CreatedAt = have.CreatedAt
		}
		if have != nil && !ThingAccount.differ(*have, acc) {
			acc.UpdatedAt = have.UpdatedAt
		}
		for _, name := range f.Credentials.names() {
			tx.secret(thingID{ThingAccount, id}, name)
		}
		tx.Set(accountPath(id), acc)
		tx.Set(loginPath(id), login(acc))
		tx.Delete(discardPath(acc.Secret))
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("save account %s: %w", id, err), a.doubt(ctx, acc.Secret, 0))
	}
	return &acc, nil
}

// stored are the credentials that the account has; none where it is new, or
// where they are gone and what is given replaces them.
func (a *Admin) stored(ctx context.Context, acc Account, old *Account, given Credentials) (Credentials, error) {
	if old == nil {
		return Credentials{}, nil
	}
	secret, err := a.Secrets.Get(ctx, old.Secret)
	if err != nil && !errors.Is(err, os.ErrNotExist) && acc.needs(given) != nil {
		return Credentials{}, fmt.Errorf("credentials of account %s: %w", acc.ID, err)
	}
	return ParseCredentials(secret), nil
}

// credentials stores what is new of them and returns the secret. It fills in
// what the account keeps of the old one: the name of its secret and its status.
func (a *Admin) credentials(ctx context.Context, acc, old *Account, have, given Credentials) (string, error) {
	now := have.with(given)
	if old != nil {
		acc.Secret, acc.Status = old.Secret, old.Status
		if now == have {
			return now.Encode(), nil
		}
	}
	var err error
	if old == nil {
		// No account ever has this name again, so that removing it late cannot
		// hit a successor with the same ID.
		acc.Secret = accountSecrets + acc.ID + "-" + strings.ToLower(rand.Text()[:10])
		err = a.doubt(ctx, acc.Secret, savingTakes)
	}
	if err == nil {
		err = a.Secrets.Put(ctx, acc.Secret, now.Encode())
	}
	if err != nil {
		return "", fmt.Errorf("credentials of account %s: %w", acc.ID, err)
	}
	return now.Encode(), nil
}

// elsewhere names the fields by which stored credentials would go to another
// server than those that they were given for.
func (acc *Account) elsewhere(old Account) (hosts []string, token bool) {
	given := []string{old.Incoming.Host, old.Outgoing.Host}
	if !acc.OutboundOnly && !slices.Contains(given, acc.Incoming.Host) {
		hosts = append(hosts, "incoming.host")
	}
	if !slices.Contains(given, acc.Outgoing.Host) {
		hosts = append(hosts, "outgoing.host")
	}
	return hosts, acc.Auth != AuthPassword && acc.OAuth.TokenURL != old.OAuth.TokenURL
}

// again names the stored credentials that have to be given anew: who may save
// an account may not read its password, and would, on a server of his own.
func (acc *Account) again(old *Account, have, given Credentials) error {
	if old == nil {
		return nil
	}
	var bad Invalid
	hosts, token := acc.elsewhere(*old)
	need := func(field, have, given string) {
		if have != "" && given == "" {
			bad.add(field, "give it again: it was given for another server than this")
		}
	}
	switch {
	case acc.Auth == AuthPassword && hosts != nil:
		need("password", have.Password, given.Password)
	case acc.Auth != AuthPassword && (hosts != nil || token):
		need("refresh_token", have.RefreshToken, given.RefreshToken)
	}
	if token {
		need("client_secret", have.ClientSecret, given.ClientSecret)
	}
	return bad.err()
}

// needs names the credentials that the account lacks, and a key that is none.
func (acc *Account) needs(c Credentials) error {
	var bad Invalid
	switch {
	case acc.Auth == AuthPassword && c.Password == "":
		bad.add("password", "missing")
	case acc.Auth != AuthPassword && c.RefreshToken == "":
		bad.add("refresh_token", "missing")
	}
	if acc.DKIM.Domain != "" {
		if _, err := ParseDKIMKey(c.DKIMKey); err != nil {
			bad.add("dkim_key", "%v", err)
		}
	}
	if c.PushKey != "" && len(c.PushKey) < minPushKey {
		bad.add("push_key", "must have at least %d bytes", minPushKey)
	}
	return bad.err()
}

// VerifyAccount logs in again and stores the answer.
func (a *Admin) VerifyAccount(ctx context.Context, id string) (*Account, error) {
	acc, err := a.Account(ctx, id)
	if err != nil {
		return nil, err
	}
	secret, err := a.Secrets.Get(ctx, acc.Secret)
	if err != nil {
		return nil, fmt.Errorf("credentials of account %s: %w", id, err)
	}
	acc.Status = checked(*acc, a.Mail.Verify(ctx, *acc, secret), a.Now())
	err = a.Docs.Write(ctx, func(tx Tx) {
		tx.Patch(accountPath(id), map[string]any{"status": acc.Status})
		tx.Set(loginPath(id), login(*acc))
	})
	if errors.Is(err, ErrMissing) {
		err = notFound("account", id)
	}
	return acc, err
}

// DeleteAccount removes an account that nothing uses (AC-5), and then its
// password. Should it end between the two, Logins removes the password.
func (a *Admin) DeleteAccount(ctx context.Context, id string) error {
	acc, err := a.Account(ctx, id)
	if err != nil {
		return err
	}
	err = a.save(ctx, thingID{ThingAccount, id}, func(ctx context.Context, tx *edit, now time.Time) error {
		queues, err := all(ctx, tx, "queues", queueID)
		if err != nil {
			return err
		}
		var users []string
		for _, q := range sorted(queues) {
			if slices.Contains(q.Accounts, id) {
				users = append(users, fmt.Sprintf("queue %s (%s)", q.ID, q.Name))
			}
			if q.Response.Account == id {
				users = append(users, fmt.Sprintf("auto-response of queue %s (%s)", q.ID, q.Name))
			}
		}
		if len(users) > 0 {
			return conflict("account %s is in use by %s", id, strings.Join(users, ", "))
		}
		tx.Delete(accountPath(id))
		tx.Delete(loginPath(id))
		tx.Set(discardPath(acc.Secret), Discard{Secret: acc.Secret, Due: now})
		return nil
	})
	if err != nil {
		return err
	}
	if err := discard(ctx, a.Docs, a.Secrets, acc.Secret); err != nil {
		return fmt.Errorf("account %s is deleted, its password will be: %w", id, err)
	}
	return nil
}

// admit names what is wrong with an account, by itself and among the others.
func (a *Admin) admit(ctx context.Context, r Reader, acc Account) error {
	var bad Invalid
	if err := bad.under("", acc.check()); err != nil {
		return err
	}
	a.encrypted(&bad, "oauth.token_url", acc.OAuth.TokenURL)
	w, err := read(ctx, r)
	if err != nil {
		return err
	}
	if err := bad.under("", w.alone(acc)); err != nil {
		return err
	}
	return bad.err()
}
