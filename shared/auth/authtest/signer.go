// Package authtest issues tokens where Google does not: in tests and in the
// emulator. It has a key of its own, which nothing outside trusts.
package authtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// life is how long a token holds, as Google's.
const life = time.Hour

// Signer is an issuer with one ES256 key. It is safe for concurrent use.
type Signer struct {
	issuer string
	now    func() time.Time
	kid    string
	key    *ecdsa.PrivateKey
	signer jose.Signer
}

// NewSigner makes a fresh key. issuer is the tokens' "iss", as in
// "https://accounts.google.com".
func NewSigner(issuer string, now func() time.Time) (*Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authtest: %w", err)
	}
	kid := rand.Text()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", kid))
	if err != nil {
		return nil, fmt.Errorf("authtest: %w", err)
	}
	return &Signer{issuer, now, kid, key, signer}, nil
}

// Sign issues a token for an address, valid for an hour from now.
func (s *Signer) Sign(email, audience string) (string, error) {
	return s.SignWith(email, audience, nil)
}

// SignWith is Sign with claims changed; a nil value leaves the claim out.
func (s *Signer) SignWith(email, audience string, change map[string]any) (string, error) {
	now := s.now()
	claims := map[string]any{
		"iss": s.issuer, "aud": audience, "sub": "subject of " + email,
		"email": email, "email_verified": true,
		"iat": now.Unix(), "exp": now.Add(life).Unix(),
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	token, err := jwt.Signed(s.signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("authtest: %w", err)
	}
	return token, nil
}

// KeyID names the key in tokens and in the key set.
func (s *Signer) KeyID() string { return s.kid }

// JWKS is the public key as a key set (RFC 7517).
func (s *Signer) JWKS() []byte {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: s.kid, Algorithm: "ES256", Use: "sig"}}}
	data, err := json.Marshal(set)
	if err != nil { // a P-256 key always has a JSON form
		panic(err)
	}
	return data
}
