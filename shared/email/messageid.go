package email

import "strings"

// IDHeader is our own header field, with the outbound ID of a mail of ours. By it the mail is known again in a folder of
// sent mail, or in a report, although a server put another Message-ID in place of ours.
const IDHeader = "X-Emailchannel-Id"

// Message-ID lists are bounded: the thread's root and its latest mails are what threading looks up.
const (
	maxMessageIDs  = 100 // kept per mail: the first and the last 99
	maxMessageID   = 900 // bytes of one ID; a header line has at most 998 (RFC 5322 section 2.1.1)
	idsScannedOnce = 10000
)

// ParseMessageIDs returns the IDs of a Message-ID, In-Reply-To or References value without their brackets, each
// once, in order. It scans for "<...>" and takes what is inside, because IDs in practice break RFC 5322's grammar;
// a value without brackets counts when it is a single word with an @. The result is bounded to the first and the
// last IDs.
//
// Encoded words have no place in these fields, and programs that fold by RFC 2047 put long IDs into them all the same.
func ParseMessageIDs(value string) []string {
	if hasWord(value) {
		value = DecodeHeader(value)
	}
	var ids []string
	seen := map[string]bool{}
	bracket := false
	for s := value; len(ids) < idsScannedOnce; {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			break
		}
		s = s[i+1:]
		j := strings.IndexAny(s, "<>")
		if j < 0 {
			break
		}
		if s[j] == '<' { // an unclosed one before: start over at the next bracket
			s = s[j:]
			continue
		}
		bracket = true
		if id := canonicalID(s[:j]); id != "" && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
		s = s[j+1:]
	}
	if !bracket {
		ids = bareID(value)
	}
	return boundIDs(ids)
}

// hasWord tells whether what may be an encoded word stands outside of brackets.
func hasWord(value string) bool {
	for {
		outside, rest, _ := strings.Cut(value, "<")
		if strings.Contains(outside, "=?") {
			return true
		}
		var closed bool
		if _, value, closed = strings.Cut(rest, ">"); !closed {
			return false
		}
	}
}

func bareID(value string) []string {
	for _, w := range strings.Fields(value) {
		w = strings.Trim(w, "<>")
		if strings.Contains(w, "@") && !strings.ContainsAny(w, "<>\"'();,") {
			if id := canonicalID(w); id != "" {
				return []string{id}
			}
		}
	}
	return nil
}

// canonicalID drops the white space that folding puts into an ID. Case is kept: the left side is case-sensitive.
func canonicalID(s string) string {
	if strings.ContainsAny(s, " \t\r\n\x00") {
		s = strings.Map(func(r rune) rune {
			if r <= ' ' || r == 0x7f {
				return -1
			}
			return r
		}, s)
	}
	if len(s) > maxMessageID {
		return ""
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

func boundIDs(ids []string) []string {
	if len(ids) <= maxMessageIDs {
		return ids
	}
	return append(ids[:1:1], ids[len(ids)-maxMessageIDs+1:]...)
}

// firstID is the Message-ID of a mail from its header fields, "" if none is usable.
func firstID(values []string) string {
	for _, v := range values {
		if ids := ParseMessageIDs(v); len(ids) > 0 {
			return ids[0]
		}
	}
	for _, v := range values { // an ID without @ and brackets is still the sender's ID
		if id := canonicalID(strings.Map(dropBrackets, v)); id != "" {
			return id
		}
	}
	return ""
}

func dropBrackets(r rune) rune {
	if r == '<' || r == '>' {
		return -1
	}
	return r
}

// NewMessageID makes the ID of our own mail from its record's id: the same record gives the same ID, so sending
// again is recognised. Characters outside RFC 5322's atext are dropped from id. The result has no brackets.
func NewMessageID(id, domain string) string {
	local := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.+=", r) {
			return r
		}
		return -1
	}, id)
	if local = strings.Trim(local, "."); local == "" {
		local = "mail"
	}
	return local + "@" + domainASCII(domain)
}
