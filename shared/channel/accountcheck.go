package channel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

const (
	maxFolders     = 50 // of an account: each is a connection a minute
	maxAuthServers = 50
)

// check names what is wrong with an account by itself.
func (acc Account) check() error {
	var bad Invalid
	bad.slug("id", acc.ID)
	if err := bad.err(); err != nil {
		return err
	}
	bad.oneOf("service", acc.Service, serviceIMAP)
	bad.line("user", acc.User, serviceNames)
	if acc.User == "" {
		bad.add("user", "missing")
	}
	if !isAddress(acc.Address) {
		bad.add("address", "%q is not an address", acc.Address)
	}
	bad.server("outgoing", acc.Outgoing)
	if !acc.OutboundOnly {
		bad.server("incoming", acc.Incoming)
	}
	bad.folders(acc.Folders)
	bad.login(acc)
	bad.line("sent.folder", acc.Sent.Folder, serviceNames)
	if acc.OutboundOnly && acc.Sent.Copy {
		bad.add("sent.copy", "an outbound-only account has no folders")
	}
	if n := len(acc.AuthServers); n > maxAuthServers {
		bad.add("auth_servers", "%d, at most %d", n, maxAuthServers)
	}
	for i, name := range acc.AuthServers {
		if field := fmt.Sprintf("auth_servers[%d]", i); name == "" {
			bad.add(field, "missing")
		} else {
			bad.line(field, name, serviceNames)
		}
	}
	bad.dkim(acc)
	return bad.err()
}

// folders names what is wrong with the folders that are polled. The name of
// INBOX alone has no case (RFC 9051 5.1).
func (e *Invalid) folders(list []string) {
	if n := len(list); n > maxFolders {
		e.add("folders", "%d, at most %d", n, maxFolders)
		return
	}
	for i, folder := range list {
		field := fmt.Sprintf("folders[%d]", i)
		same := func(other string) bool {
			return other == folder || strings.EqualFold(other, "INBOX") && strings.EqualFold(folder, "INBOX")
		}
		switch {
		case folder == "":
			e.add(field, "missing")
		case slices.ContainsFunc(list[:i], same):
			e.add(field, "%q is named twice", folder)
		default:
			e.line(field, folder, serviceNames)
		}
	}
}

func (e *Invalid) server(field string, s Server) {
	if s.Host == "" || len(s.Host) > serviceNames || strings.ContainsFunc(s.Host, func(r rune) bool { return r <= ' ' || strings.ContainsRune("/@[]", r) }) {
		e.add(field+".host", "%q is not a host name", s.Host)
	}
	if s.Port < 1 || s.Port > 65535 {
		e.add(field+".port", "%d, must be 1 to 65535", s.Port)
	}
	e.oneOf(field+".security", string(s.Security), "tls", "starttls", "none")
}

func (e *Invalid) login(acc Account) {
	how := cmp.Or(acc.Auth, AuthPassword)
	e.oneOf("auth", string(how), string(AuthPassword), string(AuthXOAuth2), string(AuthBearer))
	e.line("oauth.client_id", acc.OAuth.ClientID, serviceNames)
	e.line("oauth.scope", acc.OAuth.Scope, maxURL)
	if how == AuthPassword {
		e.line("oauth.token_url", acc.OAuth.TokenURL, maxURL)
		return
	}
	if !isURL(acc.OAuth.TokenURL) {
		e.add("oauth.token_url", "%q is not an https address without user and password", acc.OAuth.TokenURL)
	}
	if acc.OAuth.ClientID == "" {
		e.add("oauth.client_id", "missing")
	}
}

// dkim refuses half a key, and a domain that does not match the address: such
// a signature helps nobody (RFC 7489 3.1.1).
func (e *Invalid) dkim(acc Account) {
	d := acc.DKIM
	if d == (DKIM{}) {
		return
	}
	if _, domain, _ := strings.Cut(acc.Address, "@"); d.Domain == "" || domain != d.Domain && !strings.HasSuffix(domain, "."+d.Domain) {
		e.add("dkim.domain", "%q is not the domain of %s or above it", d.Domain, acc.Address)
	}
	if d.Selector == "" || len(d.Selector) > serviceNames || strings.ContainsFunc(d.Selector, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(";=/@", r) }) {
		e.add("dkim.selector", "%q is no selector (RFC 6376 3.1)", d.Selector)
	}
}
