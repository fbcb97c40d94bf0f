package email

import "strings"

// AuthResult is the outcome of an authentication method in the words of RFC 8601 section 2.7; "" where nobody stated one.
type AuthResult string

// Anything else that a server writes ("bestguesspass", "unknown") reads as AuthNeutral: it proves nothing.
const (
	AuthNone      AuthResult = "none"
	AuthPass      AuthResult = "pass"
	AuthFail      AuthResult = "fail" // or hardfail
	AuthSoftFail  AuthResult = "softfail"
	AuthNeutral   AuthResult = "neutral"
	AuthPolicy    AuthResult = "policy"
	AuthTempError AuthResult = "temperror"
	AuthPermError AuthResult = "permerror"
)

// Authentication says how far the domain in From is proven. It says nothing about the part before the @, nor about
// the display name.
type Authentication struct {
	From        string     // domain of the author, see Mail.AuthorDomain; "" is never aligned
	SPF         AuthResult // of the envelope sender
	SPFDomain   string     // the domain that SPF was asked for: of MAIL FROM, of HELO where that was null
	SPFAligned  bool       // SPF passed for the author's organisational domain
	DKIM        AuthResult // pass if any signature passed
	DKIMDomains []string   // d= of the signatures that passed
	DKIMAligned bool       // one of them is the author's organisational domain
	DMARC       AuthResult // as the server says about From, else pass where SPF or DKIM are aligned (RFC 7489 section 3.1)
	Source      string     // who checked: the server's authserv-id, "-" if it has none, "dkim" for ourselves; "" for nobody
}

// Proven tells whether the domain in From stands behind the mail.
func (a Authentication) Proven() bool { return a.From != "" && a.DMARC == AuthPass }

// maxAuthResults bounds the results of one field, signatures mostly.
const maxAuthResults = 50

// ParseAuthenticationResults reads the Authentication-Results fields (RFC 8601) that may be believed. trace is
// Mail.Trace, from the author's domain. trusted holds the names under which the mailbox's own servers write: an entry
// stands for itself and every name below it ("yahoo.com" for "atlas1.omega.yahoo.com"), "-" for fields without a name,
// as Microsoft 365 writes them. Without trusted names nothing is believed.
//
// # What is believed, and what a forger can do
//
// A sender can put any header field into a mail, with our server's name too. Our servers write above all of that, so
// reading goes from the top: over the first Received, which the server that we fetch from wrote whatever it calls
// itself, and over those by a trusted host. It ends at the first other Received, and, once a trusted field was read, at
// any Received: what follows came in with the mail. Among the fields read, the topmost that states a method decides it.
// A field with an open quote or comment ends the reading as well, for a sender's address may have opened it.
//
// So a forged field counts only for a method about which our server wrote nothing at all in a mail that it took in.
// List a name only for a server that removes fields with its own name from incoming mail (RFC 8601 section 5) or that
// always states SPF, DKIM and DMARC; and give no mailbox a list that belongs to another provider's servers.
func ParseAuthenticationResults(trace []TraceField, trusted []string, from string) Authentication {
	a := Authentication{From: from}
	stated := map[string]bool{}
	for _, f := range trustedFields(trace, trusted) {
		if a.Source == "" {
			a.Source = firstNonEmpty(f.id, noAuthServer)
		}
		here := map[string]bool{}
		for _, r := range f.results {
			if stated[r.method] || here[r.method] && r.method != "dkim" {
				continue
			}
			here[r.method] = true
			a.state(r)
		}
		for method := range here {
			stated[method] = true
		}
	}
	a.conclude()
	return a
}

// Authentication is what the mailbox's own servers found out about m; see ParseAuthenticationResults.
func (m *Mail) Authentication(trusted []string) Authentication {
	return ParseAuthenticationResults(m.Trace, trusted, m.AuthorDomain())
}

// noAuthServer stands for a field without authserv-id.
const noAuthServer = "-"

// trustedFields goes from the top as far as the servers are ours.
func trustedFields(trace []TraceField, trusted []string) []authField {
	var list []authField
	for i, t := range trace {
		if t.Name == "received" {
			first := i == 0 || !hasReceived(trace[:i])
			if len(list) > 0 || !first && !isTrusted(receivedBy(t.Value), trusted) {
				break
			}
			continue
		}
		f := parseAuthField(t.Value)
		if !isTrusted(firstNonEmpty(f.id, noAuthServer), trusted) {
			continue
		}
		if list = append(list, f); f.open {
			break
		}
	}
	return list
}

func hasReceived(trace []TraceField) bool {
	for _, t := range trace {
		if t.Name == "received" {
			return true
		}
	}
	return false
}

func isTrusted(name string, trusted []string) bool {
	for _, t := range trusted {
		t = strings.Trim(strings.ToLower(strings.TrimSpace(t)), ".")
		if t != "" && (name == t || t != noAuthServer && strings.HasSuffix(name, "."+t)) {
			return true
		}
	}
	return false
}

// receivedBy is the host that wrote a Received field (RFC 5321 section 4.4).
func receivedBy(value string) string {
	segments, _ := authSegments(value)
	if len(segments) == 0 {
		return ""
	}
	words := segments[0]
	for i, w := range words {
		if strings.EqualFold(w.text, "by") && i+1 < len(words) {
			return strings.Trim(strings.ToLower(words[i+1].text), ".")
		}
	}
	return ""
}

// state takes over the result of one method.
func (a *Authentication) state(r methodResult) {
	switch r.method {
	case "spf":
		a.SPF = r.result
		a.SPFDomain = firstNonEmpty(r.domain("smtp.mailfrom"), r.domain("smtp.mfrom"), r.domain("smtp.mail"), r.domain("smtp.helo"))
	case "dkim":
		if a.DKIM == "" || r.result == AuthPass {
			a.DKIM = r.result
		}
		if d := firstNonEmpty(r.domain("header.d"), r.domain("header.i")); r.result == AuthPass && d != "" {
			a.DKIMDomains = append(a.DKIMDomains, d)
		}
	case "dmarc":
		// A server that looked at another From than we do has said nothing about ours.
		if d := r.domain("header.from"); d == "" || d == a.From {
			a.DMARC = r.result
		} else {
			a.DMARC = AuthNone
		}
	}
}

// conclude computes the alignment, and DMARC where no server stated it.
func (a *Authentication) conclude() {
	a.SPFAligned = a.SPF == AuthPass && Aligned(a.SPFDomain, a.From)
	for _, d := range a.DKIMDomains {
		a.DKIMAligned = a.DKIMAligned || Aligned(d, a.From)
	}
	if a.DMARC == "" && (a.SPFAligned || a.DKIMAligned) {
		a.DMARC = AuthPass
	}
}
