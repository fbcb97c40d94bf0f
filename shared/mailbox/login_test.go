package mailbox_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"emailchannel.dev/emailchannel/shared/mailbox"
	"emailchannel.dev/emailchannel/shared/oauth"
	"github.com/emersion/go-imap/v2"
)

func TestPasswordLogins(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		startTLS := s.imap
		startTLS.Security = mailbox.StartTLS
		for _, server := range []mailbox.Server{s.imap, s.tls, startTLS} {
			check(t, string(server.Security), s.VerifyIMAP(t.Context(), server, login(), []string{"INBOX"}), "")
			wrong := mailbox.Login{User: user, Password: "s3cret"}
			check(t, string(server.Security)+" wrong", s.VerifyIMAP(t.Context(), server, wrong, nil), "NO [AUTHENTICATIONFAILED] Authentication failed")
			if server.Security == mailbox.None {
				continue
			}
			stranger := &mailbox.Dialer{AllowInsecure: true}
			check(t, string(server.Security)+" stranger", stranger.VerifyIMAP(t.Context(), server, login(), nil), "certificate")
		}
		check(t, "folder", s.VerifyIMAP(t.Context(), s.imap, login(), []string{"INBOX", "Nowhere"}), `folder "Nowhere": EXAMINE: NO `)
	})
}

// A server may offer one of the ways to log in only.
func TestTheMechanismThatTheServerHas(t *testing.T) {
	for name, offered := range map[string]string{"PLAIN": "plain", "LOGIN": "login"} {
		t.Run(name, func(t *testing.T) {
			d := startDovecot(t, "auth_mechanisms = "+offered)
			check(t, offered, d.VerifyIMAP(t.Context(), d.imap, login(), []string{"INBOX"}), "")
			check(t, offered, d.VerifyIMAP(t.Context(), d.imaps, mailbox.Login{User: user, Password: "s3cret"}, nil), "NO [AUTHENTICATIONFAILED]")
		})
	}
}

// tokenServer is what Dovecot asks whose token it was given.
func tokenServer(t *testing.T, valid func(token string) bool) (config string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !valid(r.URL.Query().Get("token")) {
			http.Error(w, `{"error":"invalid_token"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"email":%q,"active":"yes"}`, user)
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "oauth2.conf")
	text := fmt.Sprintf("tokeninfo_url = %s/tokeninfo?token=\nusername_attribute = email\nactive_attribute = active\nactive_value = yes\n", server.URL)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// The directories are ours alone, and Dovecot may be somebody else.
	for dir := filepath.Dir(file); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	return fmt.Sprintf("passdb {\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = %s\n}\n", file)
}

func TestTokenLoginsAtDovecot(t *testing.T) {
	d := startDovecot(t, tokenServer(t, func(token string) bool { return token == "good" }))
	reasons := map[string]string{mailbox.MechanismXOAuth2: `{"status":"401"`, mailbox.MechanismOAuthBearer: `{"status":"invalid_token"`}
	for mechanism, reason := range reasons {
		good := mailbox.Login{User: user, Token: "good", Mechanism: mechanism}
		check(t, mechanism, d.VerifyIMAP(t.Context(), d.imaps, good, []string{"INBOX"}), "")
		old := mailbox.Login{User: user, Token: "s3cret", Mechanism: mechanism}
		check(t, mechanism+" old", d.VerifyIMAP(t.Context(), d.imaps, old, nil), "NO [AUTHENTICATIONFAILED] Authentication failed. "+reason)
		stranger := mailbox.Login{User: "y@example.com", Token: "good", Mechanism: mechanism}
		check(t, mechanism+" of somebody else", d.VerifyIMAP(t.Context(), d.imaps, stranger, nil), "NO [AUTHENTICATIONFAILED]")
	}
}

// memory is an oauth.Vault.
type memory struct{ oauth.Credentials }

func (m *memory) Load(context.Context, string) (oauth.Credentials, error) { return m.Credentials, nil }

func (m *memory) Save(_ context.Context, _ string, c oauth.Credentials) error {
	m.Credentials = c
	return nil
}

// The way of an account with OAuth: a refresh token, an access token, a login; then the access token ends before its time.
func TestARefreshedTokenLogsIn(t *testing.T) {
	var granted, ended atomic.Int64
	d := startDovecot(t, tokenServer(t, func(token string) bool {
		n := granted.Load()
		return token == fmt.Sprintf("access-%d", n) && n > ended.Load()
	}))
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("refresh_token") != fmt.Sprintf("refresh-%d", granted.Load()) {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		n := granted.Add(1)
		fmt.Fprintf(w, `{"access_token":"access-%d","refresh_token":"refresh-%d","token_type":"Bearer","expires_in":3600}`, n, n)
	}))
	defer endpoint.Close()
	roots := x509.NewCertPool()
	roots.AddCert(endpoint.Certificate())
	vault := &memory{oauth.Credentials{TokenURL: endpoint.URL, ClientID: "c", RefreshToken: "refresh-0"}}
	source := oauth.New(vault, oauth.Options{RootCAs: roots, Dial: d.DialContext})
	verify := func() (string, error) {
		token, err := source.Token(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		return token, d.VerifyIMAP(t.Context(), d.imaps, mailbox.Login{User: user, Token: token, Mechanism: mailbox.MechanismOAuthBearer}, nil)
	}
	if token, err := verify(); err != nil || token != "access-1" || vault.RefreshToken != "refresh-1" {
		t.Fatalf("%q, %v", token, err)
	}
	ended.Store(1)
	token, err := verify()
	check(t, "a token that has ended", err, "NO [AUTHENTICATIONFAILED]")
	source.Forget("x", token)
	if token, err := verify(); err != nil || token != "access-2" {
		t.Errorf("%q, %v", token, err)
	}
	closed := oauth.New(vault, oauth.Options{RootCAs: roots, Dial: new(mailbox.Dialer).DialContext})
	if _, err := closed.Token(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), mailbox.ErrForbiddenHost.Error()) {
		t.Errorf("an endpoint inside our own network: %v", err)
	}
}

// A folder that may be read and not written (RFC 4314) is read.
func TestReadOnlyFolder(t *testing.T) {
	d := startDovecot(t, "")
	s := &imapServer{Dialer: d.Dialer, imap: d.imap, tls: d.imaps, fill: d.fill}
	s.put(t, "Queue", 1, 3)
	acl := filepath.Join(d.dir, "home", user, "Maildir", ".Queue", "dovecot-acl")
	if err := os.WriteFile(acl, []byte("owner lr\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(acl, d.uid(), d.gid()); err != nil {
		t.Fatal(err)
	}
	o := s.other(t)
	o.open("Queue")
	flags := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}
	before := o.state("Queue")
	if o.Store(imap.UIDSetNum(1), flags, nil).Close(); o.state("Queue") != before {
		t.Fatal("the folder can be written")
	}
	var c collector
	cursor := s.fetch(t, "Queue", mailbox.Cursor{}, &c)
	if c.uids() != "1 2 3" || cursor.LastUID != 3 {
		t.Errorf("%s, cursor %+v", c.uids(), cursor)
	}
	m := mailbox.Copy{Folder: "Queue", Size: int64(len(raw(4)))}
	err := s.Append(t.Context(), s.imap, login(), m, strings.NewReader(raw(4)))
	check(t, "a copy into it", err, `folder "Queue": APPEND: NO [NOPERM]`)
	if after := o.state("Queue"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
