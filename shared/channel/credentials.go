package channel

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
)

// Credentials are all that is secret about an account, in one secret.
type Credentials struct {
	Password     string `json:"password,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"` // of OAuth2; a server may replace it at each use
	ClientSecret string `json:"client_secret,omitempty"`
	DKIMKey      string `json:"dkim_key,omitempty"` // PEM, RSA or Ed25519
	PushKey      string `json:"push_key,omitempty"` // signs mail that is pushed (AC-9)
}

// ParseCredentials reads the content of an account's secret. One that somebody
// made by hand may be just the password.
func ParseCredentials(secret string) Credentials {
	var c Credentials
	if strings.HasPrefix(secret, "{") && json.Unmarshal([]byte(secret), &c) == nil {
		return c
	}
	return Credentials{Password: secret}
}

// Bounds of a secret, in bytes; Secret Manager takes 64 KiB of all together.
const (
	maxSecret = 8 << 10
	maxPEM    = 16 << 10
)

// check names what no server could take. The end of a line comes with a
// password from the clipboard, and nobody sees it.
func (c Credentials) check() error {
	var bad Invalid
	for _, f := range c.each() {
		if f.value != &c.DKIMKey {
			bad.line(f.name, *f.value, maxSecret)
		} else if len(c.DKIMKey) > maxPEM {
			bad.add(f.name, "must have at most %d bytes", maxPEM)
		}
	}
	return bad.err()
}

// Encode makes the content of the secret: JSON, or just the password where
// there is nothing else.
func (c Credentials) Encode() string {
	if c == (Credentials{Password: c.Password}) && !strings.HasPrefix(c.Password, "{") {
		return c.Password
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}

// with returns the credentials with those of given that are not empty.
func (c Credentials) with(given Credentials) Credentials {
	to := c.each()
	for i, f := range given.each() {
		if *f.value != "" {
			*to[i].value = *f.value
		}
	}
	return c
}

// names lists those that are not empty.
func (c Credentials) names() []string {
	var out []string
	for _, f := range c.each() {
		if *f.value != "" {
			out = append(out, f.name)
		}
	}
	return out
}

type credential struct {
	name  string
	value *string
}

func (c *Credentials) each() []credential {
	return []credential{
		{"password", &c.Password}, {"refresh_token", &c.RefreshToken}, {"client_secret", &c.ClientSecret},
		{"dkim_key", &c.DKIMKey}, {"push_key", &c.PushKey},
	}
}

// ParseDKIMKey reads a private key as PKCS #8 or PKCS #1 in PEM.
func ParseDKIMKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("neither a PKCS #8 nor a PKCS #1 private key")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("not a key that signs")
	}
	return signer, nil
}
