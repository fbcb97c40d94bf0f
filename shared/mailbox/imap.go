package mailbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const logoutTimeout = 5 * time.Second

// imapConn is one authenticated IMAP connection. After a failure it is only closed.
type imapConn struct {
	server Server
	raw    net.Conn
	client *imapclient.Client
	watch  *watchdog
	news   *news
}

// openIMAP connects and logs in. The context limits that alone.
func (d *Dialer) openIMAP(ctx context.Context, s Server, l Login) (*imapConn, error) {
	opening, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	raw, err := d.dial(opening, s)
	if err != nil {
		return nil, err
	}
	c := &imapConn{server: s, raw: raw, watch: newWatchdog(raw, d.timeout()), news: newNews()}
	stop := context.AfterFunc(opening, func() { raw.Close() })
	if err = c.start(opening, d); err == nil {
		err = c.login(l)
	}
	if !stop() && err == nil {
		err = context.Cause(opening)
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%s: %w", s, because(opening, l.hide(s, err)))
	}
	return c, nil
}

// use runs work on a connection of its own. The connection ends with ctx.
func (d *Dialer) use(ctx context.Context, s Server, l Login, work func(*imapConn) error) error {
	c, err := d.openIMAP(ctx, s, l)
	if err != nil {
		return err
	}
	defer c.under(ctx)()
	if err := work(c); err != nil {
		c.close()
		return fmt.Errorf("%s: %w", s, because(ctx, err))
	}
	c.logout()
	return nil
}

// under lets the connection end with ctx until the returned function is called.
func (c *imapConn) under(ctx context.Context) (release func() bool) {
	return context.AfterFunc(ctx, func() { c.raw.Close() })
}

// because adds the context's error to that of the connection which it closed.
func because(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && err != nil {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

func (c *imapConn) start(ctx context.Context, d *Dialer) (err error) {
	config := d.tlsConfig(c.server, "imap")
	o := &imapclient.Options{TLSConfig: config, UnilateralDataHandler: c.news.handler()}
	switch c.server.Security {
	case TLS:
		conn := tls.Client(patient{c.raw}, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
		c.client = imapclient.New(conn, o)
	case StartTLS:
		// The handshake's certificate error is in here, too.
		if c.client, err = imapclient.NewStartTLS(patient{c.raw}, o); err != nil {
			return refusal("STARTTLS", err)
		}
	case None:
		c.client = imapclient.New(patient{c.raw}, o)
	}
	if err := c.greeting(); err != nil {
		return refusal("CONNECT", err)
	}
	return nil
}

// greeting waits for the server's first words. Of a server that says no and hangs up at once go-imap has both, and answers
// with either, by chance; what it said is what people need (AC-3), and asking again is only another throw.
func (c *imapConn) greeting() (err error) {
	var said *imap.Error
	for range 50 {
		if err = c.client.WaitGreeting(); err == nil || errors.As(err, &said) {
			return err
		}
	}
	return err
}

func (c *imapConn) login(l Login) error {
	caps := c.client.Caps()
	mech, err := saslClient(l, c.server, func(name string) bool { return caps.Has(imap.Cap("AUTH=" + name)) })
	if err == nil {
		if mech.token { // go-imap writes an empty answer as "=", which Dovecot takes for bad base64; nobody reads what is in it
			mech.answers[1] = []byte{1}
		}
		return mech.explain(refusal("AUTHENTICATE", c.client.Authenticate(mech)))
	}
	// The LOGIN command, not the mechanism: some servers have nothing else.
	if byPassword := l.Mechanism == "" || l.Mechanism == MechanismPassword; l.Validate() != nil || !byPassword || caps.Has(imap.CapLoginDisabled) {
		return err
	}
	return refusal("LOGIN", c.client.Login(l.User, l.Password).Wait())
}

// examine opens the folder read-only.
func (c *imapConn) examine(folder string) (*imap.SelectData, error) {
	var data *imap.SelectData
	err := c.watch.during(func() (err error) {
		data, err = c.client.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("folder %q: %w", folder, refusal("EXAMINE", err))
	}
	if data.UIDValidity == 0 {
		return nil, fmt.Errorf("folder %q: server has no UIDVALIDITY", folder)
	}
	c.news.begin(data.NumMessages)
	return data, nil
}

// logout says goodbye to a server that has behaved, without waiting for long: nothing depends on it.
func (c *imapConn) logout() {
	c.watch.limit = min(c.watch.limit, logoutTimeout)
	c.watch.during(func() error { return c.client.Logout().Wait() })
	c.close()
}

// close ends the connection below TLS, whose own goodbye could block.
func (c *imapConn) close() {
	c.watch.timer.Stop()
	c.raw.Close()
	if c.client != nil {
		c.client.Close()
	}
}

// VerifyIMAP logs in and opens each folder, as Fetch will. The error holds the server's exact answer as a *Refusal.
func (d *Dialer) VerifyIMAP(ctx context.Context, s Server, l Login, folders []string) error {
	return d.use(ctx, s, l, func(c *imapConn) error {
		for _, folder := range folders {
			if _, err := c.examine(folder); err != nil {
				return err
			}
		}
		return nil
	})
}
