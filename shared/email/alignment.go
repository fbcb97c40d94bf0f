package email

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// AuthorDomain is the domain of From in lower case and ASCII. It is "" where From names none or more than one, as only
// forgers need (RFC 7489 section 6.6.1): then no domain can be proven.
func (m *Mail) AuthorDomain() string {
	domain := ""
	for _, a := range m.From {
		_, d, ok := cutLast(a.Addr, '@')
		if !ok {
			continue // "Doe, Ann <ann@example.com>" without the quotes
		}
		if d = domainASCII(d); d == "" || domain != "" && d != domain {
			return ""
		}
		domain = d
	}
	return domain
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// Aligned tells whether an authenticated domain speaks for the author's domain: they are equal or have the same
// organisational domain, DMARC's relaxed mode (RFC 7489 section 3.1).
func Aligned(authenticated, author string) bool {
	if authenticated == "" || author == "" {
		return false
	}
	if domainASCII(authenticated) == domainASCII(author) {
		return true
	}
	org := OrganizationalDomain(authenticated)
	return org != "" && org == OrganizationalDomain(author)
}

// OrganizationalDomain is the domain that its owner registered: one label below the public suffix (RFC 7489 section
// 3.2), "example.co.uk" for "mail.example.co.uk". It is "" for what nobody registers: a public suffix, a single
// label, an IP address. The list of suffixes is that of golang.org/x/net/publicsuffix when this was built.
func OrganizationalDomain(domain string) string {
	domain = domainASCII(domain)
	if _, top, _ := cutLast(domain, '.'); strings.Trim(top, "0123456789") == "" || strings.ContainsAny(domain, "[]: ") {
		return ""
	}
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return ""
	}
	return org
}
