package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// iapHeader is what Identity-Aware Proxy adds to each request:
// https://cloud.google.com/iap/docs/signed-headers-howto
const iapHeader = "X-Goog-Iap-Jwt-Assertion"

// Authenticator finds a request's identity.
type Authenticator struct {
	// IAP checks IAP's assertion. Nil where there is no IAP in front: the header
	// is then ignored, as anybody could have sent it.
	IAP Tokens
	// Bearer checks "Authorization: Bearer" tokens; the first that takes one decides.
	Bearer []Tokens
	// Roles gives the role of an identity whose token does not tell it.
	Roles Roles
}

// Authenticate returns the caller with a valid role. See the package for errors.
func (a *Authenticator) Authenticate(r *http.Request) (Identity, error) {
	id, err := a.verify(r)
	if err != nil {
		return Identity{}, err
	}
	if id.Role == "" {
		if id.Role, err = a.Roles.RoleOf(r.Context(), id.Email); err != nil {
			return Identity{}, fmt.Errorf("auth: role: %w", err)
		}
	}
	if id.Role.Validate() != nil {
		return Identity{}, fmt.Errorf("auth: %w: the account has no role", ErrForbidden)
	}
	return id, nil
}

func (a *Authenticator) verify(r *http.Request) (Identity, error) {
	if assertion := r.Header.Get(iapHeader); a.IAP != nil && assertion != "" {
		return a.IAP.Verify(r.Context(), assertion)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ") // RFC 6750 §2.1, RFC 9110 §11.1
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Identity{}, fmt.Errorf("auth: %w", ErrNoCredentials)
	}
	return a.bearer(r.Context(), token)
}

func (a *Authenticator) bearer(ctx context.Context, token string) (Identity, error) {
	refused := invalid("no bearer tokens are accepted")
	for _, t := range a.Bearer {
		id, err := t.Verify(ctx, token)
		if err == nil || !errors.Is(err, ErrInvalid) {
			return id, err
		}
		refused = err
	}
	return Identity{}, refused
}
