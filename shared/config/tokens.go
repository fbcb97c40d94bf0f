package config

import (
	"context"
	"fmt"
	"sync"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/mailbox"
	"emailchannel.dev/emailchannel/shared/oauth"
)

// tokens gets access tokens for accounts with OAuth2. It is the [oauth.Vault]
// of its source: what an account says in the open and what its secret holds
// are one set of credentials there.
type tokens struct {
	source   *oauth.Source
	secrets  channel.Secrets
	accounts sync.Map // channel.Account by ID, as it was last used
}

func newTokens(secrets channel.Secrets, d *mailbox.Dialer) *tokens {
	if k, ok := secrets.(*kept); ok {
		secrets = fresh{k}
	}
	t := &tokens{secrets: secrets}
	t.source = oauth.New(t, oauth.Options{AllowInsecure: d.AllowInsecure, Dial: d.DialContext})
	return t
}

// fresh reads secrets as they are now: another instance may have got a new
// refresh token a second ago.
type fresh struct{ *kept }

func (f fresh) Get(ctx context.Context, name string) (string, error) { return f.Manager.Get(ctx, name) }

func (t *tokens) get(ctx context.Context, a channel.Account) (string, error) {
	t.accounts.Store(a.ID, a)
	return t.source.Token(ctx, a.ID)
}

func (t *tokens) account(id string) (channel.Account, error) {
	a, ok := t.accounts.Load(id)
	if !ok {
		return channel.Account{}, fmt.Errorf("account %s is not known", id)
	}
	return a.(channel.Account), nil
}

// Load implements oauth.Vault.
func (t *tokens) Load(ctx context.Context, id string) (oauth.Credentials, error) {
	a, err := t.account(id)
	if err != nil {
		return oauth.Credentials{}, err
	}
	secret, err := t.secrets.Get(ctx, a.Secret)
	c := channel.ParseCredentials(secret)
	return oauth.Credentials{TokenURL: a.OAuth.TokenURL, ClientID: a.OAuth.ClientID, ClientSecret: c.ClientSecret, RefreshToken: c.RefreshToken, Scope: a.OAuth.Scope}, err
}

// Save implements oauth.Vault.
func (t *tokens) Save(ctx context.Context, id string, c oauth.Credentials) error {
	a, err := t.account(id)
	if err != nil {
		return err
	}
	secret, err := t.secrets.Get(ctx, a.Secret)
	if err != nil {
		return err
	}
	have := channel.ParseCredentials(secret)
	have.RefreshToken = c.RefreshToken
	return t.secrets.Put(ctx, a.Secret, have.Encode())
}
