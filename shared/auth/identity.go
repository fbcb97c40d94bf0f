// Package auth tells who calls the API: the seam between Google's identities
// and the channel's roles.
//
// A request proves its caller by an assertion of Identity-Aware Proxy or by a
// bearer token: a Google ID token, or in the emulator a fixed token. From it
// comes an email address, and from the settings the address's role. The rules:
//
//   - A token counts only with its signature (RS256 or ES256 by a key of the
//     issuer), issuer, audience, expiry and, for ID tokens, verified address.
//   - An IAP assertion that does not hold is refused, even beside a good token.
//   - No role means no access. What a role may do is the API's business.
//
// Tokens appear in no error and no log. The errors are [ErrNoCredentials],
// [ErrInvalid], [ErrForbidden]; any other is a failure to find out, such as keys
// that could not be fetched, and worth another try.
package auth

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrNoCredentials means that the request does not say who calls (401).
	ErrNoCredentials = errors.New("no credentials")
	// ErrInvalid means that the credentials do not hold; the reason is in the text (401).
	ErrInvalid = errors.New("invalid credentials")
	// ErrForbidden means that the caller is known and has no role (403).
	ErrForbidden = errors.New("forbidden")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("auth: %w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Role is what an identity is to the channel.
type Role string

// The roles. The first three are people's, each of whom may do what the one
// before may; a service is a program and none of them.
const (
	RoleAgent      Role = "agent"
	RoleSupervisor Role = "supervisor"
	RoleAdmin      Role = "admin"
	RoleService    Role = "service"
)

var rank = map[Role]int{RoleAgent: 1, RoleSupervisor: 2, RoleAdmin: 3}

// Validate refuses everything but the four roles.
func (r Role) Validate() error {
	if rank[r] == 0 && r != RoleService {
		return fmt.Errorf("auth: %q is no role", string(r))
	}
	return nil
}

// AtLeast tells whether r may do what min may. A service is at least a service
// only, and only a service is.
func (r Role) AtLeast(min Role) bool {
	if r == RoleService || min == RoleService {
		return r == min
	}
	return rank[min] > 0 && rank[r] >= rank[min]
}

// Identity is who calls.
type Identity struct {
	Email   string // in lower case
	Subject string // the issuer's ID of the account, which outlives its address
	Role    Role
}

// Roles finds the role of an address in lower case; "" or ErrForbidden means
// that it has none.
type Roles interface {
	RoleOf(ctx context.Context, email string) (Role, error)
}

// Tokens checks a token. The identity has no role where the token does not tell
// one. The error is ErrInvalid where the token is to blame.
type Tokens interface {
	Verify(ctx context.Context, token string) (Identity, error)
}
