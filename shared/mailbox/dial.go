package mailbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	defaultTimeout       = time.Minute
	defaultAnswerTimeout = 5 * time.Minute
	dialTimeout          = 15 * time.Second // per address: a dead IPv6 route must leave time for IPv4
)

// Dialer connects to mail servers. The zero value is the one for production. It is safe for concurrent use and must not
// change after its first use.
type Dialer struct {
	// AllowInsecure permits Security "none" and addresses inside our own network. Only the emulator sets it.
	AllowInsecure bool
	// RootCAs replaces the system's certificate authorities when not nil.
	RootCAs *x509.CertPool
	// Timeout limits connecting and logging in together, and then each wait for a server that does not move. 0 means
	// a minute.
	Timeout time.Duration
	// AnswerTimeout limits the wait for SMTP's answer to a whole mail, for which RFC 5321 §4.5.3.2.6 recommends more
	// than a function may run. 0 means five minutes.
	AnswerTimeout time.Duration
	// LocalName is what SMTP's EHLO says. Empty means "[127.0.0.1]", the address literal that RFC 5321 §4.1.4 has for
	// clients without a name.
	LocalName string
	// Resolve finds a host's addresses. Nil means the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

func (d *Dialer) timeout() time.Duration {
	if d.Timeout > 0 {
		return d.Timeout
	}
	return defaultTimeout
}

func (d *Dialer) answerTimeout() time.Duration {
	if d.AnswerTimeout > 0 {
		return d.AnswerTimeout
	}
	return defaultAnswerTimeout
}

// dial returns a TCP connection. It resolves the name itself and dials what it has checked: asking the resolver a second
// time could give another answer (DNS rebinding).
func (d *Dialer) dial(ctx context.Context, s Server) (net.Conn, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Security == None && !d.AllowInsecure {
		return nil, fmt.Errorf("%s: %w: it would need clear text", s, ErrForbiddenHost)
	}
	conn, err := d.connect(ctx, s.Host, strconv.Itoa(s.Port))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	return conn, nil
}

// DialContext connects to host:port under the same rules for hosts, for whoever else talks to hosts that customers name:
// it is what http.Transport has a field for.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("%s is no address for TCP", address)
	}
	return d.connect(ctx, host, port)
}

func (d *Dialer) connect(ctx context.Context, host, port string) (net.Conn, error) {
	addrs, err := d.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, addr := range addrs {
		dialer := net.Dialer{Timeout: dialTimeout}
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(addr.String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// addresses returns the host's addresses that may be dialled, at least one.
func (d *Dialer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	resolve := d.Resolve
	if resolve == nil {
		resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	all, err := resolve(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	var allowed []netip.Addr
	for _, addr := range all {
		if addr = addr.Unmap(); d.AllowInsecure || public(addr) {
			allowed = append(allowed, addr)
		}
	}
	if len(allowed) == 0 {
		return nil, fmt.Errorf("%s: %w: it has no public address", host, ErrForbiddenHost)
	}
	return allowed, nil
}

// public is true for addresses of the open internet. What netip's predicates leave over are the special-purpose blocks of
// RFC 6890 and the IPv6 forms that carry an IPv4 address inside, through which a private one could be reached.
func public(addr netip.Addr) bool {
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.Zone() != "" {
		return false
	}
	for _, block := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10",
	} {
		if netip.MustParsePrefix(block).Contains(addr) {
			return false
		}
	}
	return true
}

func (d *Dialer) tlsConfig(s Server, protocol string) *tls.Config {
	c := &tls.Config{ServerName: s.Host, RootCAs: d.RootCAs, MinVersion: tls.VersionTLS12}
	if s.Security == TLS && protocol != "" {
		c.NextProtos = []string{protocol}
	}
	return c
}
