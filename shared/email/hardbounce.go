package email

import "strings"

// The words of mail servers, in lower case.
var (
	// refusedUser is how Microsoft and Postfix name an address that does not exist, although they talk of access.
	refusedUser = []string{"recipient address rejected: access denied"}
	// noMail is what RFC 7504 and RFC 7505 hosts and their clients say: the host takes no mail at all.
	noMail = []string{"no smtp service", "does not accept mail", "not accepting network messages", "null mx", "nullmx"}

	unknownUser = []string{"user unknown", "unknown user", "no such user", "user not found", "does not exist", "doesn't exist",
		"no such recipient", "recipient unknown", "unknown recipient", "invalid recipient", "not a valid", "unknown address", "no mailbox",
		"mailbox not found", "no such mailbox", "address unknown", "not listed in", "unknown local", "no such address", "invalid mailbox",
		"no user", "unrouteable address", "mailbox unavailable", "not found", "bad destination mailbox", "recipient rejected",
		"recipient not found", "recnotfound", "invalid address", "addresses were unknown", "is unknown", "not known at this site",
		"undeliverable address", "user doesn", "unknown virtual", "unknown recipient", "not recognized", "invalid final delivery userid", "account that you tried to reach", "is not local", "this user"}
	unknownHost = []string{"host unknown", "unknown host", "host not found", "domain not found", "no such domain", "unknown domain",
		"name or domain not", "domain name not found", "nxdomain", "illegal host", "unrouteable mail domain", "all relevant mx records point", "account or domain may not exist"}
	fullMailbox = []string{"full", "quota", "5.2.2", "access denied", "suspend", "inactive"}
	passing     = []string{"over limit", "too large", "size limit", "exceed", "spam", "blocked", "blacklist", "block list",
		"policy", "temporar", "try again", "greylist", "reputation", "timed out", "timeout", "relay", "denied", "disabled",
		"dmarc", "spf", "ptr", "reverse"}
)

// permanent: the address does not exist, or its host does not. A full mailbox, a refused content or a policy is the
// server's word about this mail, not about the address (RFC 3463 sections 3.2 and 3.5).
func (r *Recipient) permanent() bool {
	if r.Action == "delayed" || r.Action == "delivered" || strings.HasPrefix(r.Status, "4.") || strings.HasPrefix(r.Status, "2.") {
		return false
	}
	diagnostic := strings.ToLower(r.DiagnosticCode)
	if contains(diagnostic, refusedUser) != "" || contains(diagnostic, noMail) != "" {
		return true
	}
	if contains(diagnostic, fullMailbox) != "" {
		return false
	}
	switch {
	case r.Status == "5.1.7", r.Status == "5.1.8": // of the sender's address, not of the recipient's
		return false
	case strings.HasPrefix(r.Status, "5.1.1"), r.Status == "5.1.0", r.Status == "5.1.2", r.Status == "5.1.3", r.Status == "5.1.6",
		r.Status == "5.1.10", r.Status == "5.4.4":
		return contains(diagnostic, passing) == "" || contains(diagnostic, unknownUser) != ""
	}
	return contains(diagnostic, passing) == "" && (contains(diagnostic, unknownUser) != "" || contains(diagnostic, unknownHost) != "")
}
