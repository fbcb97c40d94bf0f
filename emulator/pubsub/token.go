package pubsub

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"
)

// tokenLife is how long a signed token is used, in real and in suite time: much less than the hour for which
// the cloud's tokens hold.
const tokenLife = 5 * time.Minute

// tokenCache saves signing, the most expensive part of a push to a fast handler.
type tokenCache struct {
	mu     sync.Mutex
	tokens map[tokenKey]signedToken
}

type tokenKey struct{ email, audience string }

type signedToken struct {
	text        string
	real, suite time.Time
}

// token returns a token for a push to endpoint, which is the audience when none is configured.
func (b *Broker) token(email, audience, endpoint string) (string, error) {
	if b.opt.SignToken == nil {
		return "", errors.New("push with an oidc_token: Options.SignToken is missing")
	}
	key := tokenKey{email, cmp.Or(audience, endpoint)}
	now := b.opt.Clock.Now()
	b.tokens.mu.Lock()
	defer b.tokens.mu.Unlock()
	t, ok := b.tokens.tokens[key]
	if ok && time.Since(t.real) < tokenLife && now.Sub(t.suite).Abs() < tokenLife {
		return t.text, nil
	}
	text, err := b.opt.SignToken(key.email, key.audience)
	if err != nil {
		return "", fmt.Errorf("sign push token for %s: %w", key.email, err)
	}
	if b.tokens.tokens == nil {
		b.tokens.tokens = map[tokenKey]signedToken{}
	}
	b.tokens.tokens[key] = signedToken{text, time.Now(), now}
	return text, nil
}
