package suite_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// relay is an account's sender server of which a test says what it answers.
type relay struct {
	addr string

	mu    sync.Mutex
	fate  func(op string) error // auth, mail, rcpt, data (before it is kept), answer (after)
	mails [][]byte              // contents that it kept
	datas int                   // contents that it was given
}

// errHangUp as a fate closes the connection instead of answering.
var errHangUp = errors.New("hang up")

func newRelay(t *testing.T) *relay {
	t.Helper()
	r := &relay{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &relaySession{r, c}, nil }))
	srv.Domain, srv.AllowInsecureAuth = "relay.localhost", true
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return r
}

// set changes what it answers; nil is yes to everything.
func (r *relay) set(fate func(op string) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fate = fate
}

// refuse answers an operation with a code.
func (r *relay) refuse(op string, code int, enhanced smtp.EnhancedCode, text string) {
	r.set(func(o string) error {
		if o != op {
			return nil
		}
		return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
	})
}

// kept counts the contents that it kept, and those that it was given.
func (r *relay) kept() (kept [][]byte, given int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mails, r.datas
}

type relaySession struct {
	r *relay
	c *smtp.Conn
}

func (s *relaySession) ask(op string) error {
	s.r.mu.Lock()
	fate := s.r.fate
	s.r.mu.Unlock()
	if fate == nil {
		return nil
	}
	err := fate(op)
	if errors.Is(err, errHangUp) {
		s.c.Conn().Close()
	}
	return err
}

func (s *relaySession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *relaySession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, _ string) error { return s.ask("auth") }), nil
}
func (s *relaySession) Reset()                                    {}
func (s *relaySession) Logout() error                             { return nil }
func (s *relaySession) Mail(string, *smtp.MailOptions) error      { return s.ask("mail") }
func (s *relaySession) Rcpt(to string, _ *smtp.RcptOptions) error { return s.ask("rcpt") }

func (s *relaySession) Data(content io.Reader) error {
	raw, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	s.r.mu.Lock()
	s.r.datas++
	s.r.mu.Unlock()
	if err := s.ask("data"); err != nil {
		return err
	}
	s.r.mu.Lock()
	s.r.mails = append(s.r.mails, bytes.Clone(raw))
	s.r.mu.Unlock()
	return s.ask("answer")
}
