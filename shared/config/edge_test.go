package config

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/auth"
	"emailchannel.dev/emailchannel/shared/channel"
	rules "emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/mailbox"
)

// people is a database in which only the agent ana is.
type people struct{ channel.Docs }

func (people) Get(_ context.Context, refs ...*channel.Ref) error {
	for _, r := range refs {
		if r.Path == "agents/ana@example.com" {
			*r.Into.(*channel.Agent) = channel.Agent{ID: "ana@example.com", Role: channel.RoleAgent}
			r.Found = true
		}
	}
	return nil
}

func env(vars map[string]string) Env {
	return Env{Function: "api", Now: time.Now, Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok }}
}

func TestRoles(t *testing.T) {
	a, err := env(map[string]string{"API_AUDIENCE": "https://api.example.com", "API_ADMINS": "Adam@Example.com, eva@example.com", "API_SERVICES": "crm@project.iam.gserviceaccount.com"}).Callers(people{})
	if err != nil {
		t.Fatal(err)
	}
	for email, want := range map[string]auth.Role{
		"adam@example.com": auth.RoleAdmin, "eva@example.com": auth.RoleAdmin, "ana@example.com": auth.RoleAgent,
		"crm@project.iam.gserviceaccount.com": auth.RoleService, "mallory@example.com": "",
	} {
		if got, err := a.Roles.RoleOf(t.Context(), email); got != want || err != nil {
			t.Errorf("%s is %q, %v, want %q", email, got, err, want)
		}
	}
}

func TestCallersRefuses(t *testing.T) {
	for want, vars := range map[string]map[string]string{
		"API_AUDIENCE or IAP_AUDIENCE: variable is not set":  {"API_ADMINS": "adam@example.com"},
		"API_TOKENS: fixed tokens are for the emulator only": {"API_TOKENS": "t=admin:adam@example.com"},
		"API_TOKENS: entry 2 is not token=role:address":      {"API_TOKENS": "t=admin:adam@example.com,sesame=boss:eva@example.com", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"},
	} {
		_, err := env(vars).Callers(people{})
		if err == nil || err.Error() != want || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// An admin names the CRM's address: our own network is not for him, nor is
// clear text for its token. The emulator has both.
func TestTheCRMIsOutsideOurNetwork(t *testing.T) {
	for name, test := range map[string]struct {
		vars      map[string]string
		url       string
		forbidden bool
		told      string
	}{
		"a private address": {nil, "https://127.0.0.1:1", true, "127.0.0.1"},
		"clear text":        {nil, "http://x.zendesk.com", false, "clear text"},
		"in the emulator":   {map[string]string{"ALLOW_INSECURE_MAIL": "true"}, "http://127.0.0.1:1", false, "refused"},
	} {
		s, err := env(test.vars).storages(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		crm, err := (&Clients{Secrets: token{}, storages: s}).CRM(t.Context(), channel.CRMSettings{Kind: "zendesk", BaseURL: test.url, User: "a@b.example", Secret: "crm-token"})
		if err == nil {
			_, _, err = crm.Create(t.Context(), "x", rules.Facts{}, false)
		}
		if err == nil || errors.Is(err, mailbox.ErrForbiddenHost) != test.forbidden || !strings.Contains(err.Error(), test.told) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type token struct{ channel.Vault }

func (token) Get(context.Context, string) (string, error) { return "token", nil }

func TestConnectNamesWhatIsMissing(t *testing.T) {
	_, err := env(map[string]string{"GOOGLE_CLOUD_PROJECT": "demo"}).Connect(t.Context())
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "MAIL_BUCKET") || strings.Contains(err.Error(), "PROJECT") {
		t.Errorf("%v", err)
	}
	if _, err := env(map[string]string{"ALLOW_INSECURE_MAIL": "yes"}).Mail(nil); err == nil || !strings.Contains(err.Error(), "ALLOW_INSECURE_MAIL") {
		t.Errorf("%v", err)
	}
}
