package email

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Address is one mailbox: the display name as text and the address as it was written.
type Address struct{ Name, Addr string }

// maxAddresses bounds a list; a mail to more people is shown with the first ones.
const maxAddresses = 1000

// ParseAddressList reads an address list (RFC 5322 section 3.4) and takes what is there: groups are flattened,
// comments count as names where there is no other, quotes and brackets may be missing. Entries without an address
// are left out ("undisclosed-recipients:;"), so is everything after the first 1000.
func ParseAddressList(raw string) []Address { return parseAddresses(raw, "") }

func parseAddresses(raw, charset string) []Address {
	list := listAddresses(raw, charset)
	if len(list) == 0 && strings.Contains(raw, "=?") { // against RFC 2047 section 5, the address was encoded with the name
		return listAddresses(decodeText(raw, charset), charset)
	}
	return list
}

func listAddresses(raw, charset string) []Address {
	var list []Address
	for _, item := range splitAddresses(raw) {
		if a, ok := parseAddress(item, charset); ok {
			if list = append(list, a); len(list) == maxAddresses {
				break
			}
		}
	}
	return list
}

// splitAddresses cuts at commas, semicolons and the colon of a group, outside of quotes, comments and brackets.
// A quote, comment or bracket that is never closed opens nothing. A comma behind words without an address belongs to
// the name of the bracketed address that follows: Doe, John <john@example.com> lacks its quotes.
func splitAddresses(s string) []string {
	var items []string
	var commas []int // since begin, each behind words without an address
	lastQuote, lastParen := strings.LastIndexByte(s, '"'), strings.LastIndexByte(s, ')')
	begin, depth := 0, 0
	quoted, angle, at, bracket := false, false, false, false
	cut := func(end int) {
		for _, comma := range commas {
			if !bracket {
				items = append(items, s[begin:comma])
				begin = comma + 1
			}
		}
		items = append(items, s[begin:end])
		begin, commas = end+1, nil
		angle, at, bracket = false, false, false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && (quoted || depth > 0):
			i++
		case c == '"' && depth == 0 && (quoted || i < lastQuote):
			quoted = !quoted
		case quoted:
		case c == '(' && i < lastParen:
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == '<':
			angle, bracket = true, true
		case c == '>':
			angle = false
		case c == '@':
			at = true
		case c == ',' || c == ';':
			if angle && inSourceRoute(s[i:]) {
				continue
			}
			if c == ',' && !at && !bracket && strings.TrimSpace(s[begin:i]) != "" {
				commas = append(commas, i)
				continue
			}
			cut(i)
		case c == ':' && !angle && !at:
			cut(i)
			items = items[:len(items)-1] // the name of a group
		}
	}
	cut(len(s))
	return items
}

// inSourceRoute: s, at a comma after an opening bracket, goes on to the closing one: <@a,@b:user@host>.
func inSourceRoute(s string) bool {
	i := strings.IndexAny(s[:min(len(s), 512)], "<>")
	return i >= 0 && s[i] == '>'
}

func parseAddress(item, charset string) (Address, bool) {
	item = strings.TrimSpace(item)
	if item == "" {
		return Address{}, false
	}
	name, addr := item, ""
	if i := strings.LastIndexByte(item, '('); i > 0 && strings.HasSuffix(item, ")") && strings.Contains(item[:i], "@") && strings.Contains(item[i:], "<") {
		item = item[:i] // ann@example.com (Ann <sales>): the bracket is part of a comment
	}
	if lt := lastAngle(item); lt >= 0 {
		gt := strings.IndexByte(item[lt:], '>')
		if gt < 0 {
			gt = len(item) - lt
		}
		name, addr = strings.TrimRight(item[:lt], " \t,"), item[lt+1:lt+gt]
	} else {
		name, addr = splitBare(item)
	}
	addr = cleanAddr(addr)
	if at := strings.LastIndexByte(addr, '@'); at < 0 && addr == "" {
		return Address{}, false
	}
	return Address{Name: displayName(name, charset), Addr: strings.ToValidUTF8(addr, "\ufffd")}, true
}

// lastAngle finds the bracket that opens the address: the last one outside of quotes, "" <a@b> "<x>" aside.
func lastAngle(s string) int {
	quoted, at := false, -1
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '<' && !quoted:
			at = i
		}
	}
	if at < 0 && quoted { // the quotes are unbalanced
		at = strings.LastIndexByte(s, '<')
	}
	return at
}

// splitBare reads an entry without brackets: "user@host (Name)", "user@host", `"user name"@host`, "Name user@host".
func splitBare(s string) (name, addr string) {
	if strings.HasSuffix(s, ")") {
		if i := strings.LastIndexByte(s, '('); i >= 0 {
			return s[i+1 : len(s)-1], s[:i]
		}
	}
	if strings.HasPrefix(s, `"`) {
		return "", s
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, " @", "@"), "@ ", "@")
	for _, w := range strings.Fields(s) {
		if i := strings.IndexByte(w, '@'); i > 0 && i < len(w)-1 {
			return strings.TrimSpace(strings.Replace(s, w, "", 1)), w
		}
	}
	if strings.ContainsAny(s, " \t") || strings.HasPrefix(s, "=?") {
		return s, ""
	}
	return "", s // a local name without a host: MAILER-DAEMON, root
}

// cleanAddr drops a source route, white space and stray punctuation around an address.
func cleanAddr(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "mailto:")
	if strings.HasPrefix(s, "@") {
		if i := strings.IndexByte(s, ':'); i >= 0 {
			s = s[i+1:]
		}
	}
	if i := strings.IndexByte(s, '('); i >= 0 && !strings.HasPrefix(s, `"`) {
		if j := strings.IndexByte(s[i:], ')'); j >= 0 {
			s = s[:i] + s[i+j+1:]
		}
	}
	s = strings.Trim(s, " \t<>'")
	if strings.HasPrefix(s, `"`) {
		return cleanText(s)
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}

// displayName decodes a phrase: quotes go, encoded words are read within quotes too, a comment is its own text.
func displayName(raw, charset string) string {
	s := strings.TrimSpace(raw)
	if strings.HasPrefix(s, "(") && strings.HasSuffix(s, ")") {
		s = s[1 : len(s)-1]
	}
	if strings.ContainsAny(s, `"\`) {
		var b strings.Builder
		for i := 0; i < len(s); i++ {
			if s[i] == '\\' && i+1 < len(s) {
				i++
			} else if s[i] == '"' {
				continue
			}
			b.WriteByte(s[i])
		}
		s = b.String()
	}
	s = strings.TrimSpace(decodeText(s, charset))
	if len(s) > 1 && s[0] == '\'' && s[len(s)-1] == '\'' { // 'user@host' as Outlook writes it
		s = s[1 : len(s)-1]
	}
	return s
}

// Normalize gives the form in which addresses are compared and stored as keys: lower case, the domain in its ASCII
// form (IDNA 2008), no surrounding space or brackets. Lower-casing the local part is against the letter of RFC 5321
// section 2.4 and what every provider does.
func Normalize(addr string) string {
	addr = strings.Trim(strings.TrimSpace(addr), "<> \t")
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return strings.ToLower(strings.ToValidUTF8(addr, "\ufffd"))
	}
	return strings.ToLower(strings.ToValidUTF8(addr[:at], "\ufffd")) + "@" + domainASCII(addr[at+1:])
}

// BaseAddress is Normalize without the detail behind a plus (RFC 5233): user+shop@host is the mailbox user@host, and
// whoever answers from a new detail each time is still one correspondent. Other separators are not told from names.
func BaseAddress(addr string) string {
	addr = Normalize(addr)
	at := strings.LastIndexByte(addr, '@')
	if plus := strings.IndexByte(addr, '+'); plus > 0 && plus < at {
		return addr[:plus] + addr[at:]
	}
	return addr
}

// Mailable is an address as SMTP is told it: the local part as it was written, the domain in its ASCII form, so that a
// server without SMTPUTF8 (RFC 6531) takes it unless the local part is outside of ASCII.
func Mailable(addr string) string {
	at := strings.LastIndexByte(addr, '@')
	if at < 0 || isASCII([]byte(addr[at:])) {
		return addr
	}
	return addr[:at+1] + domainASCII(addr[at+1:])
}

// domainASCII is the A-label form of a domain, or the domain in lower case where it has none.
func domainASCII(domain string) string {
	domain = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(strings.ToValidUTF8(domain, "\ufffd")), "."))
	if isASCII([]byte(domain)) {
		return domain
	}
	if a, err := idna.Lookup.ToASCII(domain); err == nil {
		return a
	}
	return domain
}
