// Package mailbox reads mail over IMAP and sends it over SMTP. It is the only package that talks to mail servers.
//
// Reading is incremental by (UIDVALIDITY, UID). A folder is opened with EXAMINE and only UID, FLAGS, INTERNALDATE,
// RFC822.SIZE and BODY.PEEK[] are asked for: reading changes nothing in a mailbox, and a server's broken ENVELOPE or
// BODYSTRUCTURE cannot end the connection. Bodies are streams. The cursor passes a mail only when the caller has
// taken it, so a failure anywhere means that mail comes again, never that it is lost. An open Folder keeps its
// connection, to wait for mail by IDLE, and lists its UIDs for whoever wants to compare them with what was taken.
//
// Sending gives one of three answers: a Receipt, an error from before the end of the content (the mail was not
// accepted; it may be tried again unless the error is permanent), or ErrUncertain (the content was sent whole and no
// answer came; the server may have it, and sending again may make a second one). FindSent then looks into the account's
// Sent folder, where Append puts a copy if wanted: the one thing here that changes a mailbox.
//
// Host names come from customers. They are resolved once per connection, addresses inside our own network are
// refused, and the address that was checked is the one that is dialled. Certificates are always verified.
//
// Neither direction retries, except a pooled SMTP connection that turns out to be dead before a mail's content has
// begun. Passwords, tokens, addresses and content are never part of an error made here; a server's answer is, as it is
// but for the secrets of a login that it repeats.
package mailbox

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
)

// Security is how a connection is protected.
type Security string

const (
	TLS      Security = "tls"      // from the first byte (RFC 8314), the usual ports being 993 and 465
	StartTLS Security = "starttls" // STARTTLS is demanded, never merely tried
	None     Security = "none"     // clear text; refused unless Dialer.AllowInsecure
)

// Validate refuses an unknown value.
func (s Security) Validate() error {
	switch s {
	case TLS, StartTLS, None:
		return nil
	}
	return fmt.Errorf("security %q is none of tls, starttls, none", string(s))
}

// Server is where a mail server listens.
type Server struct {
	Host     string // name or address, without port
	Port     int
	Security Security
}

// Validate checks the form, not whether the host exists.
func (s Server) Validate() error {
	if s.Host == "" || strings.ContainsFunc(s.Host, func(r rune) bool { return r <= ' ' || strings.ContainsRune("/@[]", r) }) {
		return fmt.Errorf("host %q is not a host name", s.Host)
	}
	if s.Port < 1 || s.Port > 65535 {
		return fmt.Errorf("port %d is not between 1 and 65535", s.Port)
	}
	return s.Security.Validate()
}

// String is host:port.
func (s Server) String() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// The values of Login.Mechanism.
const (
	MechanismPassword    = "password"    // SASL PLAIN, or LOGIN where a server has nothing else
	MechanismXOAuth2     = "xoauth2"     // Google and Microsoft
	MechanismOAuthBearer = "oauthbearer" // RFC 7628
)

// Login is a user's credentials. The zero value means no authentication, which only SMTP knows.
type Login struct {
	User      string
	Password  string // for MechanismPassword
	Token     string // an OAuth2 access token for the other mechanisms
	Mechanism string // empty means MechanismPassword
}

// Validate refuses an unknown mechanism and a mechanism without its secret.
func (l Login) Validate() error {
	secret := l.Token
	switch l.Mechanism {
	case "", MechanismPassword:
		secret = l.Password
	case MechanismXOAuth2, MechanismOAuthBearer:
	default:
		return fmt.Errorf("mechanism %q is none of password, xoauth2, oauthbearer", l.Mechanism)
	}
	if l.User == "" || secret == "" {
		return fmt.Errorf("user name or secret for mechanism %q is missing", l.Mechanism)
	}
	// SASL separates its fields with NUL and SOH.
	if strings.ContainsAny(l.User+secret, "\x00\x01\r\n") {
		return fmt.Errorf("user name or secret has a control character")
	}
	return nil
}

// String shows who logs in and how, never with what. So do GoString and LogValue.
func (l Login) String() string { return fmt.Sprintf("%s (%s)", l.User, l.Mechanism) }

// GoString is String, for %#v.
func (l Login) GoString() string { return l.String() }

// LogValue implements slog.LogValuer. It leaves the user out, too: that is an address.
func (l Login) LogValue() slog.Value { return slog.StringValue("login by " + l.Mechanism) }
