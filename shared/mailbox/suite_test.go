package mailbox_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"emailchannel.dev/emailchannel/emulator/mailserver"
	"emailchannel.dev/emailchannel/shared/mailbox"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const user = "x@example.com"

// suite is a mail server and a dialer that may use it.
type suite struct {
	*mailserver.Server
	*mailbox.Dialer
	smtp, imap mailbox.Server
	fault      switchable
}

func start(t testing.TB) *suite {
	t.Helper()
	s := &suite{}
	server, err := mailserver.Open(mailserver.Options{Fault: s.fault.at})
	if err != nil {
		t.Fatal(err)
	}
	s.Server = server
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.CertPEM())
	s.Dialer = &mailbox.Dialer{AllowInsecure: true, RootCAs: roots}
	var wg sync.WaitGroup
	listen := func(serve func(net.Listener) error) mailbox.Server {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { serve(ln) })
		return address(ln)
	}
	s.smtp, s.imap = listen(server.ServeSMTP), listen(server.ServeIMAP)
	t.Cleanup(func() { server.Close(); wg.Wait() })
	return s
}

// listenTLS is one more port, with TLS from the first byte.
func (s *suite) listenTLS(t testing.TB, serve func(net.Listener) error) mailbox.Server {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", s.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	go serve(ln)
	at := address(ln)
	at.Security = mailbox.TLS
	return at
}

func address(ln net.Listener) mailbox.Server {
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	n, _ := strconv.Atoi(port)
	return mailbox.Server{Host: host, Port: n, Security: mailbox.None}
}

func login() mailbox.Login { return mailbox.Login{User: user, Password: mailserver.Password} }

// fill delivers mails from..to with their numbers as content.
func (s *suite) fill(t testing.TB, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := s.Deliver("", []string{user}, strings.NewReader(raw(i))); err != nil {
			t.Fatal(err)
		}
	}
}

// double copies the mails of INBOX into INBOX, again and again.
func (s *suite) double(t testing.TB, times int) {
	t.Helper()
	c, err := imapclient.DialInsecure(s.imap.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(user, mailserver.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	for range times {
		if _, err := c.Copy(imap.UIDSet{{Start: 1}}, "INBOX").Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

func raw(i int) string {
	return fmt.Sprintf("From: a@example.com\r\nSubject: mail %d\r\n\r\nbody %d\r\n", i, i)
}

// collector takes mails and remembers them.
type collector struct {
	items  []mailbox.Item
	bodies []string
	after  func(n int) error // called after the n-th
}

func (c *collector) take(_ context.Context, item mailbox.Item) error {
	b, err := io.ReadAll(item.Body)
	if err != nil {
		return err
	}
	if c.after != nil {
		if err := c.after(len(c.items) + 1); err != nil {
			return err
		}
	}
	item.Body = nil
	c.items = append(c.items, item)
	c.bodies = append(c.bodies, string(b))
	return nil
}

func (c *collector) uids() string {
	var out []string
	for _, item := range c.items {
		out = append(out, fmt.Sprint(item.UID))
	}
	return strings.Join(out, " ")
}

// switchable answers one named step until it has answered left times; a negative left is for ever.
type switchable struct {
	mu     sync.Mutex
	step   string
	answer error
	left   int
	seen   map[string]int
}

func (f *switchable) set(step string, answer error, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.step, f.answer, f.left = step, answer, times
}

func (f *switchable) count(step string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[step]
}

func (f *switchable) at(service, op string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	step := service + " " + op
	if f.seen == nil {
		f.seen = map[string]int{}
	}
	f.seen[step]++
	if step != f.step || f.left == 0 {
		return nil
	}
	f.left--
	return f.answer
}
