package email

import "strings"

// verpPrefix begins the local part of our own return paths.
const verpPrefix = "bounce+"

// VERP makes the envelope sender of the outbound mail id: "bounce+<id>@<domain>". A bounce comes back to that
// address whatever the other side leaves out of its text. Tagged addresses reach the mailbox "bounce" at most
// providers; domain is one whose mail we fetch.
//
// It returns "" where the address could not be read back: an id is 1 to 57 of the characters a-z, 0-9, "-" and "."
// (a local part has 64 octets, RFC 5321 section 4.5.3.1.1, and servers on the way change its case), a domain must
// not be empty.
func VERP(id, domain string) string {
	if domain = domainASCII(domain); !isReturnID(id) || domain == "" || strings.ContainsAny(domain, "@ \r\n") {
		return ""
	}
	return verpPrefix + id + "@" + domain
}

// ParseVERP returns the id in an address that VERP made, whatever its case, and its domain in lower case. The caller
// checks that the domain is ours and that the mail id exists: who knows an id can send a bounce for it.
func ParseVERP(addr string) (id, domain string, ok bool) {
	local, domain, found := strings.Cut(strings.ToLower(strings.Trim(strings.TrimSpace(addr), "<>")), "@")
	id, tagged := strings.CutPrefix(local, verpPrefix)
	if !found || !tagged || !isReturnID(id) || domain == "" || strings.ContainsAny(domain, "@ ") {
		return "", "", false
	}
	return id, domain, true
}

func isReturnID(id string) bool {
	if id == "" || len(id) > 64-len(verpPrefix) || strings.Trim(id, ".") != id || strings.Contains(id, "..") {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// returnID looks where servers write the address that a mail was delivered to.
func returnID(h header, m *Mail) string {
	for _, key := range []string{"delivered-to", "x-original-to", "envelope-to", "x-delivered-to", "x-envelope-to"} {
		for _, v := range h.all(key) {
			if id, _, ok := ParseVERP(v); ok {
				return id
			}
		}
	}
	for _, a := range m.To {
		if id, _, ok := ParseVERP(a.Addr); ok {
			return id
		}
	}
	return ""
}
