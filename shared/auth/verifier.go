package auth

import (
	"context"
	"crypto"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Issuers and the places of their keys.
const (
	// GoogleKeys are the keys of ID tokens:
	// https://developers.google.com/identity/openid-connect/openid-connect#validatinganidtoken
	GoogleKeys = "https://www.googleapis.com/oauth2/v3/certs"
	// IAPKeys are those of IAP: https://cloud.google.com/iap/docs/signed-headers-howto
	IAPKeys = "https://www.gstatic.com/iap/verify/public_key-jwk"

	googleIssuer    = "https://accounts.google.com"
	googleIssuerOld = "accounts.google.com"
	iapIssuer       = "https://cloud.google.com/iap"
)

// leeway is how far the issuer's clock may be off.
const leeway = 30 * time.Second

// Keys finds an issuer's public key by its ID. The error is ErrInvalid when
// there is no such key.
type Keys interface {
	Key(ctx context.Context, kid string) (crypto.PublicKey, error)
}

// Verifier checks the signed tokens (RFC 7519) of one issuer.
type Verifier struct {
	keys      Keys
	now       func() time.Time
	issuers   []string
	audiences []string
	verified  bool // the claim email_verified must be true
}

var errNoAudience = errors.New("auth: a verifier needs an audience, or tokens meant for others would pass")

// NewGoogle checks Google ID tokens that are meant for one of the audiences: the
// URL of the service, or an OAuth client's ID.
func NewGoogle(keys Keys, now func() time.Time, audiences ...string) (*Verifier, error) {
	return newVerifier(&Verifier{keys, now, []string{googleIssuer, googleIssuerOld}, audiences, true})
}

// NewIAP checks IAP's assertions. The audience is the protected resource, as in
// "/projects/123/locations/REGION/services/NAME".
func NewIAP(keys Keys, now func() time.Time, audiences ...string) (*Verifier, error) {
	return newVerifier(&Verifier{keys, now, []string{iapIssuer}, audiences, false})
}

func newVerifier(v *Verifier) (*Verifier, error) {
	if len(v.audiences) == 0 || slices.Contains(v.audiences, "") {
		return nil, errNoAudience
	}
	return v, nil
}

type claims struct {
	jwt.Claims
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
}

// Verify returns the token's address and subject, without a role. The error is
// ErrInvalid with the reason, or that of fetching the keys.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	// The list is what refuses "none" and HMAC with a public key as its secret.
	t, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return Identity{}, invalid("not a token signed by RS256 or ES256")
	}
	if len(t.Headers) != 1 || t.Headers[0].KeyID == "" {
		return Identity{}, invalid("the token names no key")
	}
	key, err := v.keys.Key(ctx, t.Headers[0].KeyID)
	if err != nil {
		return Identity{}, err
	}
	var c claims
	if err := t.Claims(key, &c); err != nil {
		return Identity{}, invalid("the signature does not match")
	}
	if err := v.check(c); err != nil {
		return Identity{}, err
	}
	return Identity{Email: strings.ToLower(c.Email), Subject: c.Subject}, nil
}

func (v *Verifier) check(c claims) error {
	err := c.ValidateWithLeeway(jwt.Expected{AnyAudience: v.audiences, Time: v.now()}, leeway)
	switch {
	case err != nil:
		return invalid("%v", err) // names the claim only
	case c.Expiry == nil:
		return invalid("the token never expires")
	case !slices.Contains(v.issuers, c.Issuer):
		return invalid("wrong issuer")
	case c.Email == "" || c.Subject == "":
		return invalid("the token names no account")
	case v.verified && !c.EmailVerified:
		return invalid("the address is not verified")
	}
	return nil
}
