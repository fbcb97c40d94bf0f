// Package oauth turns an account's refresh token into access tokens (RFC 6749 §6), for the XOAUTH2 and OAUTHBEARER logins
// of package mailbox.
//
// The token endpoint is part of the credentials: nothing here knows a provider. Examples of what people configure are
// https://oauth2.googleapis.com/token with the scope https://mail.google.com/, and
// https://login.microsoftonline.com/TENANT/oauth2/v2.0/token with https://outlook.office.com/IMAP.AccessAsUser.All,
// https://outlook.office.com/SMTP.Send and offline_access.
//
// A provider may answer with a new refresh token and take the old one no more. The new one is saved before its access
// token is used. Three things follow: an exchange that has begun is not given up with the caller's context; when saving
// fails nothing is returned, and the next call saves before it does anything else; and of one account there is one
// exchange at a time. Other instances may work on the same account: credentials are loaded anew for each call, and again
// when the server says that they are no good. Who uses a provider that ends all of an account's tokens when an old one is
// used again must hold a lease on the account besides.
//
// A refusal by the provider is permanent in the sense of package fault and holds its exact answer; a person has to consent
// again or correct the credentials. Anything else may be tried again. No error, log value or String has a token or secret.
package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// Credentials are what a provider gave for one account.
type Credentials struct {
	TokenURL     string `json:"token_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret,omitempty"` // "" for a public client
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope,omitempty"` // separated by blanks; "" asks for what was granted
}

// Validate refuses what cannot work. Clear text is refused unless insecure.
func (c Credentials) Validate(insecure bool) error {
	u, err := url.Parse(c.TokenURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("token_url is not the address of an endpoint")
	case u.Scheme != "https" && !(insecure && u.Scheme == "http"):
		return errors.New("token_url is not https")
	case c.ClientID == "":
		return errors.New("client_id is missing")
	case c.RefreshToken == "":
		return errors.New("refresh_token is missing")
	}
	return nil
}

// String names the endpoint's host, never a secret. So do GoString and LogValue.
func (c Credentials) String() string {
	u, err := url.Parse(c.TokenURL)
	if err != nil {
		return "credentials"
	}
	return fmt.Sprintf("credentials for %s", u.Host)
}

// GoString is String, for %#v.
func (c Credentials) GoString() string { return c.String() }

// LogValue implements slog.LogValuer.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// hide takes secrets out of a text that a server sent.
func (c Credentials) hide(text string) string {
	for _, secret := range []string{c.RefreshToken, c.ClientSecret} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return text
}

// Vault keeps the credentials of accounts.
type Vault interface {
	// Load returns what was saved last, by whichever instance.
	Load(ctx context.Context, account string) (Credentials, error)
	// Save replaces them. It may be called again with the same.
	Save(ctx context.Context, account string, c Credentials) error
}
