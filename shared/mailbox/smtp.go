package mailbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/emersion/go-smtp"
)

// smtpConn is one SMTP connection, logged in and between two mails.
type smtpConn struct {
	raw    *stallGuard
	client *smtp.Client
	sent   int  // mails
	reused bool // came out of the pool
	spent  bool // must not go back into it
}

// stallGuard gives every write a deadline, which go-smtp does not while content is sent, and remembers a write of content
// that failed: after one the server cannot have the end of the mail.
type stallGuard struct {
	net.Conn
	limit   time.Duration
	content bool // being written: from the answer to DATA until the next answer is waited for
	failed  bool
}

func (c *stallGuard) Read(b []byte) (int, error) {
	c.content = false // a later write, such as an alert of TLS, proves nothing when it fails
	return c.Conn.Read(b)
}

func (c *stallGuard) Write(b []byte) (int, error) {
	c.Conn.SetWriteDeadline(time.Now().Add(c.limit))
	n, err := c.Conn.Write(b)
	c.failed = c.failed || err != nil && c.content
	return n, err
}

// openSMTP connects and logs in. A zero login is none.
func (d *Dialer) openSMTP(ctx context.Context, s Server, l Login) (*smtpConn, error) {
	opening, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	raw, err := d.dial(opening, s)
	if err != nil {
		return nil, err
	}
	c := &smtpConn{raw: &stallGuard{Conn: raw, limit: d.timeout()}}
	stop := context.AfterFunc(opening, func() { raw.Close() })
	if err = c.start(opening, d, s); err == nil {
		err = c.login(s, l)
	}
	if !stop() && err == nil {
		err = context.Cause(opening)
	}
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("%s: %w", s, because(opening, l.hide(s, err)))
	}
	return c, nil
}

func (c *smtpConn) start(ctx context.Context, d *Dialer, s Server) (err error) {
	switch s.Security {
	case TLS:
		conn := tls.Client(c.raw, d.tlsConfig(s, ""))
		if err := conn.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
		c.client = smtp.NewClient(conn)
	case StartTLS:
		if c.client, err = smtp.NewClientStartTLS(c.raw, d.tlsConfig(s, "")); err != nil {
			return serverError("STARTTLS", err)
		}
	case None:
		c.client = smtp.NewClient(c.raw)
	}
	c.client.CommandTimeout = d.timeout()
	c.client.SubmissionTimeout = d.answerTimeout()
	name := d.LocalName
	if name == "" {
		name = "[127.0.0.1]"
	}
	if err := c.client.Hello(name); err != nil {
		return serverError("CONNECT", err)
	}
	return nil
}

func (c *smtpConn) login(s Server, l Login) error {
	if l == (Login{}) {
		return nil
	}
	mech, err := saslClient(l, s, c.client.SupportsAuth)
	if err != nil {
		return err
	}
	if err := c.client.Auth(mech); err != nil {
		return mech.explain(serverError("AUTH", err))
	}
	return nil
}

// quit says goodbye without waiting for long: nothing depends on it.
func (c *smtpConn) quit() {
	c.client.CommandTimeout = time.Second
	c.client.Quit()
	c.raw.Close()
}

// stale is true for the failures of a connection that its server gave up while it was idle.
func (c *smtpConn) stale(err error) bool {
	var refused *ServerError
	if errors.As(err, &refused) {
		return refused.Code == 421
	}
	return c.reused
}

// VerifySMTP connects and logs in. The error holds the server's exact answer as a *ServerError.
func (d *Dialer) VerifySMTP(ctx context.Context, s Server, l Login) error {
	c, err := d.openSMTP(ctx, s, l)
	if err != nil {
		return err
	}
	c.quit()
	return nil
}
