package email

import "strings"

// verpTag stands between a mailbox and the ID in our own return paths.
const verpTag = "+bounce."

// VERP makes the envelope sender of the outbound mail id: "support+bounce.<id>@example.com" for an account
// "support@example.com". A bounce comes back to the account whatever the other side leaves out of its text, where the
// provider delivers tagged addresses (RFC 5233), as most do.
//
// It returns "" where the address could not be read back: an id is of the characters a-z, 0-9, "-" and ".", and the
// local part has at most 64 octets (RFC 5321 section 4.5.3.1.1; servers on the way change its case).
func VERP(id, account string) string {
	local, domain, _ := strings.Cut(account, "@")
	domain = domainASCII(domain)
	if local == "" || !isReturnID(id) || len(local)+len(verpTag)+len(id) > 64 || domain == "" || strings.ContainsAny(account, " \r\n") || strings.Contains(domain, "@") {
		return ""
	}
	return local + verpTag + id + "@" + domain
}

// ParseVERP returns the id in an address that VERP made, whatever its case, and the account's address in lower case.
// The caller checks that the account is ours and that the mail id exists: who knows an id can send a bounce for it.
func ParseVERP(addr string) (id, account string, ok bool) {
	tagged, domain, found := strings.Cut(strings.ToLower(strings.Trim(strings.TrimSpace(addr), "<>")), "@")
	local, id, isTagged := strings.Cut(tagged, verpTag)
	if !found || !isTagged || local == "" || !isReturnID(id) || domain == "" || strings.ContainsAny(domain, "@ ") {
		return "", "", false
	}
	return id, local + "@" + domain, true
}

func isReturnID(id string) bool {
	if id == "" || len(id) > 64-len(verpTag) || strings.Trim(id, ".") != id || strings.Contains(id, "..") {
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
