package auth_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"emailchannel.dev/emailchannel/shared/auth"
)

type roles map[string]auth.Role

var errStore = errors.New("the store is down")

func (r roles) RoleOf(_ context.Context, email string) (auth.Role, error) {
	if email == "store@example.com" {
		return "", errStore
	}
	return r[email], nil
}

func TestAuthenticate(t *testing.T) {
	people, proxy := signer(t, google), signer(t, iap)
	iapTokens, err := auth.NewIAP(keysOf(t, proxy), at(noon), audience)
	if err != nil {
		t.Fatal(err)
	}
	static := auth.StaticTokens{
		"demo-admin": {Email: "admin@demo", Subject: "demo", Role: auth.RoleAdmin},
		"":           {Email: "nobody@demo", Role: auth.RoleAdmin},
	}
	full := &auth.Authenticator{
		IAP: iapTokens, Bearer: []auth.Tokens{static, newGoogle(t, keysOf(t, people), noon)},
		Roles: roles{"alice@example.com": auth.RoleSupervisor, "odd@example.com": "owner"},
	}
	noIAP := &auth.Authenticator{Bearer: full.Bearer, Roles: full.Roles}
	closed := &auth.Authenticator{Roles: full.Roles}

	idToken := func(email string) string { return "Bearer " + sign(t, people, map[string]any{"email": email}) }
	assertion := sign(t, proxy, nil)
	for name, tc := range map[string]struct {
		a             *auth.Authenticator
		bearer, proxy string
		email         string
		role          auth.Role
		err           error
	}{
		"ID token":                    {a: full, bearer: idToken("Alice@example.com"), email: "alice@example.com", role: auth.RoleSupervisor},
		"scheme in lower case":        {a: full, bearer: "bearer demo-admin", email: "admin@demo", role: auth.RoleAdmin},
		"IAP":                         {a: full, proxy: assertion, email: "alice@example.com", role: auth.RoleSupervisor},
		"IAP before a token":          {a: full, proxy: assertion, bearer: "Bearer demo-admin", email: "alice@example.com", role: auth.RoleSupervisor},
		"bad IAP beside a good token": {a: full, proxy: "forged", bearer: "Bearer demo-admin", err: auth.ErrInvalid},
		"ID token as IAP":             {a: full, proxy: sign(t, people, nil), err: auth.ErrInvalid},
		"IAP's header without IAP":    {a: noIAP, proxy: assertion, err: auth.ErrNoCredentials},
		"nothing":                     {a: full, err: auth.ErrNoCredentials},
		"empty token":                 {a: full, bearer: "Bearer ", err: auth.ErrNoCredentials},
		"basic":                       {a: full, bearer: "Basic ZGVtbzpkZW1v", err: auth.ErrNoCredentials},
		"wrong token":                 {a: full, bearer: "Bearer demo-admiN", err: auth.ErrInvalid},
		"no token is accepted":        {a: closed, bearer: "Bearer demo-admin", err: auth.ErrInvalid},
		"no role":                     {a: full, bearer: idToken("eve@example.com"), err: auth.ErrForbidden},
		"role that is none":           {a: full, bearer: idToken("odd@example.com"), err: auth.ErrForbidden},
		"store down":                  {a: full, bearer: idToken("store@example.com"), err: errStore},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if tc.bearer != "" {
				r.Header.Set("Authorization", tc.bearer)
			}
			if tc.proxy != "" {
				r.Header.Set("X-Goog-IAP-JWT-Assertion", tc.proxy)
			}
			id, err := tc.a.Authenticate(r)
			if !errors.Is(err, tc.err) || id.Email != tc.email || id.Role != tc.role {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
}

// Keys that cannot be fetched are no reason to call a token invalid.
func TestFailureToFindOutIsNotInvalid(t *testing.T) {
	s := signer(t, google)
	i := publish(t, s)
	i.status = 500
	a := &auth.Authenticator{Bearer: []auth.Tokens{newGoogle(t, i, noon), auth.StaticTokens{}}, Roles: roles{}}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+sign(t, s, nil))
	if _, err := a.Authenticate(r); err == nil || errors.Is(err, auth.ErrInvalid) || errors.Is(err, auth.ErrForbidden) {
		t.Errorf("%v", err)
	}
}

func TestRoles(t *testing.T) {
	order := []auth.Role{auth.RoleAgent, auth.RoleSupervisor, auth.RoleAdmin}
	for i, r := range order {
		if r.Validate() != nil {
			t.Errorf("%s is refused", r)
		}
		for j, min := range order {
			if r.AtLeast(min) != (i >= j) {
				t.Errorf("%s at least %s: %v", r, min, r.AtLeast(min))
			}
		}
		if r.AtLeast(auth.RoleService) || auth.RoleService.AtLeast(r) {
			t.Errorf("%s and a service are comparable", r)
		}
	}
	if auth.RoleService.Validate() != nil || !auth.RoleService.AtLeast(auth.RoleService) {
		t.Error("a service is no service")
	}
	for _, r := range []auth.Role{"", "owner", "Admin"} {
		if r.Validate() == nil || r.AtLeast(auth.RoleAgent) || auth.RoleAdmin.AtLeast(r) {
			t.Errorf("%q is a role", r)
		}
	}
}
