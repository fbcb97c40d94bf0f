package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"emailchannel.dev/emailchannel/shared/fault"
)

const (
	defaultTimeout = 20 * time.Second
	saveTimeout    = 10 * time.Second
	// spare is how long before its end an access token is not used any more: it must last for a login, not for a session.
	spare = 2 * time.Minute
)

// Options configures a Source. The zero value is for production but for Dial.
type Options struct {
	// AllowInsecure permits endpoints in clear text. Only the emulator sets it.
	AllowInsecure bool
	// RootCAs replaces the system's certificate authorities when not nil.
	RootCAs *x509.CertPool
	// Dial connects to endpoints, whose hosts customers name: it should refuse those of our own network, as
	// mailbox.Dialer's DialContext does. Nil means the system's, which refuses none.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Timeout limits one exchange with an endpoint. 0 means 20 seconds.
	Timeout time.Duration
}

// Source gives access tokens. It is safe for concurrent use.
type Source struct {
	vault    Vault
	insecure bool
	now      func() time.Time
	timeout  time.Duration
	client   *http.Client

	mu       sync.Mutex
	accounts map[string]*account
}

// account is what is known of one account. Whoever holds turn may use the rest.
type account struct {
	turn    chan struct{} // holds one
	was     Credentials   // that the token was asked with
	from    Credentials   // as they are after it
	unsaved bool          // from has a refresh token that the vault has not; the token must wait
	token   string
	until   time.Time // when the token is not used any more
}

// New returns a source without tokens.
func New(v Vault, o Options) *Source {
	s := &Source{vault: v, insecure: o.AllowInsecure, now: o.Now, timeout: o.Timeout, accounts: map[string]*account{}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	s.client = &http.Client{
		Transport: &http.Transport{
			DialContext:         o.Dial,
			TLSClientConfig:     &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: s.timeout,
			IdleConnTimeout:     time.Minute,
			ForceAttemptHTTP2:   true,
		},
		// A redirection would carry the secrets to a host that nobody has configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

// Token returns an access token for the account, from memory while it lasts and the credentials are the same. Errors: an
// *Error is the endpoint's answer, permanent in the sense of package fault when trying again cannot help; so are
// credentials that are none. Anything else, such as a Vault's error, is as it is.
func (s *Source) Token(ctx context.Context, id string) (string, error) {
	a := s.account(id)
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	token, err := s.current(ctx, id, a)
	if err != nil {
		return "", fmt.Errorf("access token of account %s: %w", id, err)
	}
	return token, nil
}

// Forget makes the next Token ask the endpoint, if it would return this one: for a token that a mail server has refused before
// its time.
func (s *Source) Forget(id, token string) {
	a := s.account(id)
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	if a.token == token {
		a.token = ""
	}
}

func (s *Source) account(id string) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[id]
	if a == nil {
		a = &account{turn: make(chan struct{}, 1)}
		s.accounts[id] = a
	}
	return a
}

func (s *Source) current(ctx context.Context, id string, a *account) (string, error) {
	c, err := s.vault.Load(ctx, id)
	if err != nil {
		return "", err
	}
	if a.unsaved && c == a.was { // else somebody has saved others, which are newer
		if err := s.save(ctx, id, a); err != nil {
			return "", err
		}
		c = a.from
	}
	a.unsaved = false
	if c == a.from && a.token != "" && s.now().Before(a.until) {
		return a.token, nil
	}
	if err = s.refresh(ctx, id, a, c); err == nil {
		return a.token, nil
	}
	if !fault.IsPermanent(err) {
		return "", err
	}
	// Another instance may have been faster, and the refresh token that it got be saved by now.
	again, loadErr := s.vault.Load(ctx, id)
	if loadErr != nil || again == c {
		return "", err
	}
	if err := s.refresh(ctx, id, a, again); err != nil {
		return "", err
	}
	return a.token, nil
}

// refresh makes one exchange and saves what came of it.
func (s *Source) refresh(ctx context.Context, id string, a *account, c Credentials) error {
	a.token = ""
	if err := c.Validate(s.insecure); err != nil {
		return fault.Permanent(err)
	}
	// The endpoint may have changed the refresh token however early the caller loses interest.
	exchange, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	asked := s.now()
	granted, err := s.exchange(exchange, c)
	if err != nil {
		return err
	}
	a.was, a.from = c, c
	a.token, a.until = granted.AccessToken, asked.Add(granted.lifetime())
	if granted.RefreshToken != "" && granted.RefreshToken != c.RefreshToken {
		a.from.RefreshToken, a.unsaved = granted.RefreshToken, true
		return s.save(ctx, id, a)
	}
	return nil
}

func (s *Source) save(ctx context.Context, id string, a *account) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := s.vault.Save(ctx, id, a.from); err != nil {
		return fmt.Errorf("rotated refresh token not saved: %w", err)
	}
	a.unsaved = false
	return nil
}
