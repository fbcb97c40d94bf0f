package mailbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/emulator/mailserver"
	"emailchannel.dev/emailchannel/shared/mailbox"
)

func TestVerify(t *testing.T) {
	s := start(t)
	token := func(mechanism, token string) mailbox.Login {
		return mailbox.Login{User: user, Token: token, Mechanism: mechanism}
	}
	for name, test := range map[string]struct {
		login      mailbox.Login
		imap, smtp string // in the error, "" for none
	}{
		"password":       {login(), "", ""},
		"wrong password": {mailbox.Login{User: user, Password: "s3cret"}, "NO [AUTHENTICATIONFAILED] Authentication failed", "535 5.7.8 Authentication failed"},
		"xoauth2":        {token(mailbox.MechanismXOAuth2, "demo"), "", ""},
		"xoauth2 old":    {token(mailbox.MechanismXOAuth2, "s3cret"), `NO [AUTHENTICATIONFAILED] Authentication failed {"status":"400"`, `535 5.7.8 Authentication failed {"status":"400"`},
		"bearer":         {token(mailbox.MechanismOAuthBearer, "demo"), "", ""},
		"bearer old":     {token(mailbox.MechanismOAuthBearer, "s3cret"), `NO [AUTHENTICATIONFAILED] Authentication failed {"status":"invalid_token"`, `535 5.7.8 Authentication failed {"status":"invalid_token"`},
		"no secret":      {mailbox.Login{User: user}, "secret", "secret"},
		"unknown":        {mailbox.Login{User: user, Mechanism: "kerberos"}, "kerberos", "kerberos"},
		"injected":       {mailbox.Login{User: "a\x00b", Password: "x"}, "control character", "control character"},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, "IMAP", s.VerifyIMAP(t.Context(), s.imap, test.login, []string{"INBOX", "Sent"}), test.imap)
			check(t, "SMTP", s.VerifySMTP(t.Context(), s.smtp, test.login), test.smtp)
		})
	}
	check(t, "folder", s.VerifyIMAP(t.Context(), s.imap, login(), []string{"INBOX", "Nowhere"}), `folder "Nowhere": EXAMINE: NO [NONEXISTENT] No such mailbox`)
	s.fault.set("imap connect", errors.New("full house"), 1)
	check(t, "greeting", s.VerifyIMAP(t.Context(), s.imap, login(), nil), "full house")
	s.fault.set("smtp connect", errors.New("full house"), 1)
	check(t, "EHLO", s.VerifySMTP(t.Context(), s.smtp, login()), "451 4.3.0 full house")
}

func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got %v, want %q in it", what, err, want)
	case err != nil && strings.Contains(err.Error(), "s3cret"):
		t.Errorf("%s: the secret is in %v", what, err)
	}
}

func TestSecurity(t *testing.T) {
	s := start(t)
	imapTLS, smtpTLS := s.listenTLS(t, s.ServeIMAP), s.listenTLS(t, s.ServeSMTP)
	imapStart, smtpStart := s.imap, s.smtp
	imapStart.Security, smtpStart.Security = mailbox.StartTLS, mailbox.StartTLS
	for _, server := range []mailbox.Server{imapTLS, imapStart} {
		check(t, "IMAP "+string(server.Security), s.VerifyIMAP(t.Context(), server, login(), []string{"INBOX"}), "")
		stranger := &mailbox.Dialer{AllowInsecure: true}
		check(t, "IMAP stranger "+string(server.Security), stranger.VerifyIMAP(t.Context(), server, login(), nil), "certificate")
		server.Host = "localhost.localdomain"
		named := *s.Dialer
		named.Resolve = func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		check(t, "IMAP other name "+string(server.Security), named.VerifyIMAP(t.Context(), server, login(), nil), "localhost.localdomain")
	}
	for _, server := range []mailbox.Server{smtpTLS, smtpStart} {
		check(t, "SMTP "+string(server.Security), s.VerifySMTP(t.Context(), server, login()), "")
		stranger := &mailbox.Dialer{AllowInsecure: true}
		check(t, "SMTP stranger "+string(server.Security), stranger.VerifySMTP(t.Context(), server, login()), "certificate")
	}
	before := s.fault.count("imap login") + s.fault.count("smtp auth")
	without := scripted(t, nil)
	without.Security = mailbox.StartTLS
	check(t, "IMAP without STARTTLS", s.VerifyIMAP(t.Context(), without, login(), nil), "STARTTLS: BAD unknown command")
	plain := smtpScript(t, func(string) string { return "" })
	plain.Security = mailbox.StartTLS
	check(t, "SMTP without STARTTLS", s.VerifySMTP(t.Context(), plain, login()), "STARTTLS")
	if after := s.fault.count("imap login") + s.fault.count("smtp auth"); after != before {
		t.Error("credentials were sent")
	}
}

func TestForbiddenHosts(t *testing.T) {
	for _, addr := range []string{
		"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
		"::1", "::", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "ff02::1", "fec0::1", "::7f00:1",
	} {
		d := &mailbox.Dialer{Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr(addr)}, nil
		}}
		server := mailbox.Server{Host: "mail.example.com", Port: 993, Security: mailbox.TLS}
		if err := d.VerifyIMAP(t.Context(), server, login(), nil); !errors.Is(err, mailbox.ErrForbiddenHost) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for _, server := range []mailbox.Server{
		{Host: "mail.example.com", Port: 143, Security: mailbox.None},
		{Host: "127.0.0.1", Port: 993, Security: mailbox.TLS},
		{Host: "localhost", Port: 993, Security: mailbox.TLS},
	} {
		if err := new(mailbox.Dialer).VerifySMTP(t.Context(), server, login()); !errors.Is(err, mailbox.ErrForbiddenHost) {
			t.Errorf("%+v: %v", server, err)
		}
	}
}

func TestTheCheckedAddressIsDialled(t *testing.T) {
	s := start(t)
	asked := 0
	d := *s.Dialer
	d.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
		asked++
		// The first does not answer; both belong to the one answer of the resolver.
		return []netip.Addr{netip.MustParseAddr("127.255.255.254"), netip.MustParseAddr("127.0.0.1")}, nil
	}
	server := s.imap
	server.Host = "rebinding.invalid" // the system's resolver must not be asked: it would fail
	if err := d.VerifyIMAP(t.Context(), server, login(), nil); err != nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

func TestServerValidate(t *testing.T) {
	for _, bad := range []mailbox.Server{
		{}, {Host: "a", Port: 1}, {Host: "a", Security: mailbox.TLS}, {Host: "a", Port: 70000, Security: mailbox.TLS},
		{Host: "a b", Port: 1, Security: mailbox.TLS}, {Host: "u@h", Port: 1, Security: mailbox.TLS},
		{Host: "a\r\nb", Port: 1, Security: mailbox.TLS}, {Host: "a", Port: 1, Security: "ssl"},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v is valid", bad)
		}
	}
	if err := (mailbox.Server{Host: "mail.example.com", Port: 993, Security: mailbox.TLS}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestLoginHidesItsSecrets(t *testing.T) {
	l := mailbox.Login{User: user, Password: "s3cret-1", Token: "s3cret-2"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "login", l)
	shown := fmt.Sprintf("%v %+v %#v %s %v", l, l, l, l, struct{ L mailbox.Login }{l}) + log.String()
	if strings.Contains(shown, "s3cret") {
		t.Errorf("shown: %s", shown)
	}
	if strings.Contains(log.String(), mailserver.Password) || strings.Contains(log.String(), user) {
		t.Errorf("logged: %s", log.String())
	}
}
