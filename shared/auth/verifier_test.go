package auth_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"emailchannel.dev/emailchannel/shared/auth"
	"emailchannel.dev/emailchannel/shared/auth/authtest"
)

const (
	google   = "https://accounts.google.com"
	iap      = "https://cloud.google.com/iap"
	audience = "https://api.example.com"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func signer(t *testing.T, issuer string) *authtest.Signer {
	t.Helper()
	s, err := authtest.NewSigner(issuer, at(noon))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t *testing.T, s *authtest.Signer, change map[string]any) string {
	t.Helper()
	token, err := s.SignWith("Alice@Example.com", audience, change)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// keys is a fixed key source.
type keys map[string]crypto.PublicKey

func (k keys) Key(_ context.Context, kid string) (crypto.PublicKey, error) {
	if key, ok := k[kid]; ok {
		return key, nil
	}
	return nil, auth.ErrInvalid
}

func keysOf(t *testing.T, signers ...*authtest.Signer) keys {
	t.Helper()
	k := keys{}
	for _, s := range signers {
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(s.JWKS(), &set); err != nil {
			t.Fatal(err)
		}
		k[set.Keys[0].KeyID] = set.Keys[0].Key
	}
	return k
}

func newGoogle(t *testing.T, k auth.Keys, now time.Time) *auth.Verifier {
	t.Helper()
	v, err := auth.NewGoogle(k, at(now), "another audience", audience)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerifyGoogle(t *testing.T) {
	s := signer(t, google)
	stranger := signer(t, google)
	hour := time.Hour
	for name, tc := range map[string]struct {
		change map[string]any
		now    time.Time
		reason string // "" for a token that holds
	}{
		"good":                 {},
		"issuer without https": {change: map[string]any{"iss": "accounts.google.com"}},
		"several audiences":    {change: map[string]any{"aud": []string{"x", audience}}},
		"at its last moment":   {now: noon.Add(hour)},
		"clocks differ":        {now: noon.Add(-20 * time.Second)},
		"wrong audience":       {change: map[string]any{"aud": "https://other.example.com"}, reason: "aud"},
		"audience as prefix":   {change: map[string]any{"aud": audience + ".evil.example"}, reason: "aud"},
		"no audience":          {change: map[string]any{"aud": nil}, reason: "aud"},
		"expired":              {now: noon.Add(hour + time.Minute), reason: "exp"},
		"no expiry":            {change: map[string]any{"exp": nil}, reason: "expires"},
		"not yet valid":        {change: map[string]any{"nbf": noon.Add(hour).Unix()}, reason: "not valid yet"},
		"issued in the future": {now: noon.Add(-hour), reason: "issued"},
		"wrong issuer":         {change: map[string]any{"iss": "https://evil.example"}, reason: "issuer"},
		"IAP's issuer":         {change: map[string]any{"iss": iap}, reason: "issuer"},
		"no issuer":            {change: map[string]any{"iss": nil}, reason: "issuer"},
		"address not verified": {change: map[string]any{"email_verified": false}, reason: "verified"},
		"address verified?":    {change: map[string]any{"email_verified": nil}, reason: "verified"},
		"no address":           {change: map[string]any{"email": nil}, reason: "account"},
		"no subject":           {change: map[string]any{"sub": nil}, reason: "account"},
	} {
		t.Run(name, func(t *testing.T) {
			now := tc.now
			if now.IsZero() {
				now = noon
			}
			id, err := newGoogle(t, keysOf(t, s, stranger), now).Verify(t.Context(), sign(t, s, tc.change))
			if tc.reason == "" {
				want := auth.Identity{Email: "alice@example.com", Subject: "subject of Alice@Example.com"}
				if err != nil || id != want {
					t.Errorf("%+v, %v", id, err)
				}
				return
			}
			if !errors.Is(err, auth.ErrInvalid) || !strings.Contains(err.Error(), tc.reason) || id != (auth.Identity{}) {
				t.Errorf("%+v, %v; want a reason with %q", id, err, tc.reason)
			}
		})
	}
}

func TestVerifyIAP(t *testing.T) {
	s := signer(t, iap)
	v, err := auth.NewIAP(keysOf(t, s), at(noon), audience)
	if err != nil {
		t.Fatal(err)
	}
	// IAP's assertions have no email_verified.
	if id, err := v.Verify(t.Context(), sign(t, s, map[string]any{"email_verified": nil})); err != nil || id.Email != "alice@example.com" {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := v.Verify(t.Context(), sign(t, s, map[string]any{"iss": google})); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("an ID token as an assertion: %v", err)
	}
}

func TestVerifierNeedsAnAudience(t *testing.T) {
	for _, audiences := range [][]string{nil, {""}, {audience, ""}} {
		if v, err := auth.NewGoogle(keys{}, at(noon), audiences...); err == nil {
			t.Errorf("%q: %v", audiences, v)
		}
		if v, err := auth.NewIAP(keys{}, at(noon), audiences...); err == nil {
			t.Errorf("%q: %v", audiences, v)
		}
	}
}

func goodClaims() map[string]any {
	return map[string]any{
		"iss": google, "aud": audience, "sub": "1", "email": "alice@example.com", "email_verified": true,
		"iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix(),
	}
}

func serialize(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	if kid != "" {
		opts.WithHeader("kid", kid)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(goodClaims()).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// RS256 is what Google signs ID tokens with.
func TestAlgorithms(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s, stranger := signer(t, google), signer(t, google)
	k := keysOf(t, s)
	k["rsa"] = rsaKey.Public()
	secret := []byte("0123456789abcdef0123456789abcdef")
	k["hmac"] = secret
	v := newGoogle(t, k, noon)

	if _, err := v.Verify(t.Context(), serialize(t, jose.RS256, rsaKey, "rsa")); err != nil {
		t.Errorf("RS256: %v", err)
	}
	good := sign(t, s, nil)
	parts := strings.Split(good, ".")
	foreign := strings.Split(sign(t, stranger, nil), ".")
	for name, token := range map[string]string{
		"none":                   unsigned(t, s.KeyID(), "none") + ".",
		"None":                   unsigned(t, s.KeyID(), "None") + ".",
		"none with a signature":  unsigned(t, s.KeyID(), "none") + "." + parts[2],
		"HMAC":                   serialize(t, jose.HS256, secret, "hmac"),
		"PS256":                  serialize(t, jose.PS256, rsaKey, "rsa"),
		"RS512":                  serialize(t, jose.RS512, rsaKey, "rsa"),
		"RSA under an EC key":    serialize(t, jose.RS256, rsaKey, s.KeyID()),
		"no key ID":              serialize(t, jose.RS256, rsaKey, ""),
		"unknown key":            sign(t, stranger, nil),
		"another key's header":   parts[0] + "." + foreign[1] + "." + foreign[2],
		"changed claims":         parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"email":"eve@example.com"}`)) + "." + parts[2],
		"no signature":           parts[0] + "." + parts[1] + ".",
		"empty":                  "",
		"not a token":            "hello",
		"JSON form with no sigs": `{"payload":"e30","signatures":[]}`,
	} {
		id, err := v.Verify(t.Context(), token)
		if !errors.Is(err, auth.ErrInvalid) || id != (auth.Identity{}) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		if err != nil && len(token) > 20 && strings.Contains(err.Error(), token[:20]) {
			t.Errorf("%s: the error tells the token", name)
		}
	}
}

func unsigned(t *testing.T, kid, alg string) string {
	t.Helper()
	claims, err := json.Marshal(maps.Clone(goodClaims()))
	if err != nil {
		t.Fatal(err)
	}
	header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, alg, kid)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(claims)
}
