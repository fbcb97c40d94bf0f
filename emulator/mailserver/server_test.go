package mailserver_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/mailserver"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const mail1 = "From: a@example.com\r\nTo: b@example.com\r\nSubject: one\r\n\r\nbody\r\n"

type running struct {
	*mailserver.Server
	smtp, imap string
	roots      *x509.CertPool
}

func start(t testing.TB, o mailserver.Options) *running {
	t.Helper()
	s, err := mailserver.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Server: s, roots: x509.NewCertPool()}
	r.roots.AppendCertsFromPEM(s.CertPEM())
	var wg sync.WaitGroup
	listen := func(serve func(net.Listener) error) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { serve(ln) })
		return ln.Addr().String()
	}
	r.smtp, r.imap = listen(s.ServeSMTP), listen(s.ServeIMAP)
	t.Cleanup(func() { s.Close(); wg.Wait() })
	return r
}

func (r *running) dialSMTP(t testing.TB) *smtp.Client {
	t.Helper()
	c, err := smtp.Dial(r.smtp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (r *running) dialIMAP(t testing.TB, user string) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(r.imap, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(user, mailserver.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

func content(t testing.TB, m mailserver.Message) string {
	t.Helper()
	r, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func deliver(t testing.TB, s *mailserver.Server, to string, n int) {
	t.Helper()
	for i := range n {
		if err := s.Deliver("", []string{to}, strings.NewReader(fmt.Sprintf("Subject: %d\r\n\r\nbody %d\r\n", i+1, i+1))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSMTPStoresBytesBehindTraceHeaders(t *testing.T) {
	var hooks []string
	r := start(t, mailserver.Options{Delivered: func(rcpt string) { hooks = append(hooks, rcpt) }})
	// A line beyond RFC 5321's limit, leading dots, bytes that are no UTF-8, a bare CR.
	raw := "Subject: x\r\n\r\n.dot\r\n..two\r\n" + strings.Repeat("long", 3000) + "\r\n\xff\xfe \r bare\r\n"
	c := r.dialSMTP(t)
	if err := c.SendMail("a@example.com", []string{"B@Example.com", "b@example.com", "c@example.com"}, strings.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	got := r.Mailbox("b@example.com")
	if len(got) != 1 {
		t.Fatalf("b has %d mails, want one for two spellings of its address", len(got))
	}
	text := content(t, got[0])
	if !strings.HasPrefix(text, "Return-Path: <a@example.com>\r\nReceived: from localhost (127.0.0.1:") {
		t.Errorf("trace headers are missing: %.200q", text)
	}
	if !strings.HasSuffix(text, "\r\n"+raw) {
		t.Errorf("content was changed: %.300q", text)
	}
	if strings.Contains(text, "for <") {
		t.Error("Received names one of several recipients")
	}
	if got[0].Size != int64(len(text)) || got[0].Folder != "INBOX" || got[0].UID != 1 {
		t.Errorf("metadata %+v does not fit %d bytes in INBOX", got[0], len(text))
	}
	if len(r.Mailbox("c@example.com")) != 1 || len(hooks) != 2 {
		t.Errorf("hook calls %v, want b and c", hooks)
	}
}

func TestReceivedNamesASingleRecipient(t *testing.T) {
	r := start(t, mailserver.Options{Now: func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }})
	if err := r.dialSMTP(t).SendMail("", []string{"b@example.com"}, strings.NewReader(mail1)); err != nil {
		t.Fatal(err)
	}
	text := content(t, r.Mailbox("b@example.com")[0])
	for _, want := range []string{"Return-Path: <>\r\n", "for <b@example.com>", "Wed, 04 Mar 2026 05:06:07 +0000"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
}

func TestSMTPAuth(t *testing.T) {
	r := start(t, mailserver.Options{})
	token := func(mech, s string) sasl.Client { return fixed{mech, []byte(s)} }
	for name, test := range map[string]struct {
		client sasl.Client
		code   int
	}{
		"plain":       {sasl.NewPlainClient("", "x@example.com", "demo"), 0},
		"plain wrong": {sasl.NewPlainClient("", "x@example.com", "nope"), 535},
		"no user":     {sasl.NewPlainClient("", "", "demo"), 535},
		"login":       {sasl.NewLoginClient("x@example.com", "demo"), 0},
		"login wrong": {sasl.NewLoginClient("x@example.com", "Demo"), 535},
		"xoauth2":     {token("XOAUTH2", "user=x@example.com\x01auth=Bearer demo\x01\x01"), 0},
		"xoauth2 bad": {token("XOAUTH2", "user=x@example.com\x01auth=Bearer old\x01\x01"), 535},
		"bearer":      {token("OAUTHBEARER", "n,a=x@example.com,\x01auth=Bearer demo\x01\x01"), 0},
		"bearer bad":  {token("OAUTHBEARER", "n,a=x@example.com,\x01auth=Bearer old\x01\x01"), 535},
		"unknown":     {token("CRAM-MD5", ""), 504},
	} {
		t.Run(name, func(t *testing.T) {
			err := r.dialSMTP(t).Auth(test.client)
			var refused *smtp.SMTPError
			if test.code == 0 && err != nil || test.code != 0 && (!errors.As(err, &refused) || refused.Code != test.code) {
				t.Errorf("got %v, want code %d", err, test.code)
			}
		})
	}
}

// fixed answers every challenge with nothing but ^A, which ends both token mechanisms.
type fixed struct {
	mech  string
	first []byte
}

func (f fixed) Start() (string, []byte, error) { return f.mech, f.first, nil }
func (f fixed) Next([]byte) ([]byte, error)    { return []byte{1}, nil }

func TestStartTLSWithTheExportedCertificate(t *testing.T) {
	r := start(t, mailserver.Options{})
	for _, name := range []string{"localhost", "mail.localhost", "127.0.0.1"} {
		conn, err := net.Dial("tcp", r.smtp)
		if err != nil {
			t.Fatal(err)
		}
		c, err := smtp.NewClientStartTLS(conn, &tls.Config{RootCAs: r.roots, ServerName: name})
		if err == nil {
			err = c.SendMail("a@example.com", []string{name + "@example.com"}, strings.NewReader(mail1))
			c.Close()
		}
		if err != nil {
			t.Errorf("SMTP as %s: %v", name, err)
		} else if text := content(t, r.Mailbox(name + "@example.com")[0]); !strings.Contains(text, "with ESMTPS id") {
			t.Errorf("Received does not tell of TLS: %q", text)
		}
		i, err := imapclient.DialStartTLS(r.imap, &imapclient.Options{TLSConfig: &tls.Config{RootCAs: r.roots, ServerName: name}})
		if err != nil {
			t.Errorf("IMAP as %s: %v", name, err)
			continue
		}
		if err := i.Login("x@example.com", "demo").Wait(); err != nil {
			t.Errorf("IMAP login as %s: %v", name, err)
		}
		i.Close()
	}
}

// switchable is a Fault with one step at a time.
type switchable struct {
	mu     sync.Mutex
	step   string
	answer error
}

func (f *switchable) set(step string, answer error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.step, f.answer = step, answer
}

func (f *switchable) at(service, op string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if service+" "+op != f.step {
		return nil
	}
	return f.answer
}

func TestFaults(t *testing.T) {
	var fault switchable
	r := start(t, mailserver.Options{Fault: fault.at})
	send := func() error {
		return r.dialSMTP(t).SendMail("a@example.com", []string{"x@example.com"}, strings.NewReader(mail1))
	}
	for _, op := range []string{"connect", "mail", "rcpt", "data", "data-answer"} {
		fault.set("smtp "+op, errors.New("not now"))
		var refused *smtp.SMTPError
		if err := send(); !errors.As(err, &refused) || refused.Code != 451 {
			t.Errorf("%s: got %v, want 451", op, err)
		}
	}
	if n := len(r.Mailbox("x@example.com")); n != 1 {
		t.Errorf("%d mails are stored, want only the one refused after storing", n)
	}
	fault.set("smtp rcpt", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"})
	var refused *smtp.SMTPError
	if err := send(); !errors.As(err, &refused) || refused.Code != 550 {
		t.Errorf("an answer of the test's own came as %v", err)
	}
	fault.set("smtp data-answer", fmt.Errorf("cut: %w", mailserver.ErrDrop))
	if err := send(); err == nil || errors.As(err, &refused) {
		t.Errorf("got %v, want a connection without an answer", err)
	}
	if n := len(r.Mailbox("x@example.com")); n != 2 {
		t.Errorf("%d mails are stored, want also the one without an answer", n)
	}

	fault.set("imap search", errors.New("not now"))
	c := r.dialIMAP(t, "x@example.com")
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	var no *imap.Error
	if _, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait(); !errors.As(err, &no) || no.Type != imap.StatusResponseTypeNo {
		t.Errorf("got %v, want NO", err)
	}
	fault.set("imap literal", errors.New("cut"))
	conn, err := net.Dial("tcp", r.imap)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "a LOGIN x@example.com demo\r\nb EXAMINE INBOX\r\nc UID FETCH 1 BODY.PEEK[]\r\n")
	answer, err := io.ReadAll(conn)
	size := r.Mailbox("x@example.com")[0].Size
	_, body, found := strings.Cut(string(answer), fmt.Sprintf("BODY[] {%d}\r\n", size))
	if err != nil || !found || int64(len(body)) >= size {
		t.Errorf("got %d of %d bytes (%v), want a body that is cut off", len(body), size, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	r := start(t, mailserver.Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c, err := smtp.Dial(r.smtp)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for range 25 {
				if err := c.SendMail("a@example.com", []string{"x@example.com", fmt.Sprintf("%d@example.com", i)}, strings.NewReader(mail1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		c := r.dialIMAP(t, "x@example.com")
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			t.Error(err)
		}
		for range 20 {
			if err := c.Store(imap.UIDSet{{Start: 1}}, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	got := r.Mailbox("x@example.com")
	for i, m := range got {
		if m.UID != uint32(i+1) {
			t.Fatalf("mail %d has UID %d", i, m.UID)
		}
	}
	if len(got) != 200 {
		t.Errorf("%d mails, want 200", len(got))
	}
}
