package email

import (
	"regexp"
	"strings"
)

// copyMark is a line from which on a bounce repeats the mail that it is about.
var copyMark = regexp.MustCompile(`(?i)^(?:[-=_*\s]*(?:below this line is a copy|this is a copy of (?:the|your) message|original message follows|` +
	`unsent message (?:below|follows)|(?:the )?(?:header of the )?original message(?: (?:header|text|follows))?\s*[-=_*:]|returned message|message header|` +
	`a copy of the message|included is a copy|copy of (?:the|your) (?:original )?message)|received:\s|return-path:\s|\s*-----\s*original)`)

// ownWords is the text above the returned mail.
func ownWords(text string) string {
	at := 0
	for l := range strings.SplitAfterSeq(text, "\n") {
		if at > 0 && copyMark.MatchString(l) {
			return text[:at]
		}
		at += len(l)
	}
	return text
}

// addressAtHead is a line that begins with the address that its rest, or the lines below it, speak of: "<a@b>: host
// said", "<a@b>:" (qmail), "  a@b" (Exim), "a@b... User unknown" (Sendmail), "a@b on Mon, 2 Mar" (Exchange 2003).
var addressAtHead = regexp.MustCompile(`(?i)^[\s>*•-]{0,12}(?:(?:final-|original-|failed )?recipients?(?: address)?\s?:\s{0,4})?(?:rfc822;\s?)?` +
	`["'(]?<?([a-z0-9!#$%&'*+/=?^_{|}~.-]{1,64}@[a-z0-9][a-z0-9.-]{0,200}[a-z0-9])>?["')]?\s{0,3}(?:$|[:;,(]|\.\.\.|on\s|-\s|\s[-—]|<|[45]\d\d)`)

// aboutLines bounds the lines below an address that speak of it.
const aboutLines = 12

// textRecipients finds the addresses at the head of a line, with the diagnostic line of what follows each.
func textRecipients(text string, others []string) []Recipient {
	var list []Recipient
	var about []string
	flush := func() {
		if n := len(list); n > 0 && list[n-1].DiagnosticCode == "" {
			list[n-1].DiagnosticCode = diagnosticLine(strings.Join(about, "\n"))
		}
		about = about[:0]
	}
	for l := range strings.SplitSeq(text, "\n") {
		if m := addressAtHead.FindStringSubmatch(l); m != nil && len(l) < 1000 && !isOther(m[1], others) {
			flush()
			if !hasRecipient(list, m[1]) {
				if len(list) == maxRecipients {
					return list
				}
				list = append(list, Recipient{Address: m[1]})
			}
		}
		if len(list) > 0 && len(about) < aboutLines {
			about = append(about, l)
		}
	}
	flush()
	return list
}

func isOther(addr string, others []string) bool {
	addr = strings.ToLower(addr)
	for _, o := range others {
		if o == addr {
			return true
		}
	}
	return isDaemonLocal(localPart(addr)) || isPostmaster(localPart(addr))
}

// anyAddress is the first address of the text that is no one's but a recipient's.
func (b *bounce) anyAddress() string {
	for _, m := range recipientPattern.FindAllStringSubmatch(b.text, 20) {
		if !isOther(m[1], b.others) {
			return m[1]
		}
	}
	if m := recipientPattern.FindStringSubmatch(b.text); m != nil {
		return m[1]
	}
	return ""
}

// diagnosticLine is the line that carries a status or reply code, else one with a telling phrase; with the next one
// where it ends in a colon, as Exim wraps answers.
func diagnosticLine(text string) string {
	fallback, open := "", ""
	for l := range strings.SplitSeq(text, "\n") {
		l = strings.TrimSpace(l)
		if open != "" {
			return cutRunes(open+" "+l, 500)
		}
		if statusPattern.MatchString(l) || replyPattern.MatchString(l) {
			if !strings.HasSuffix(l, ":") {
				return cutRunes(l, 500)
			}
			open = l
		} else if lower := strings.ToLower(l); fallback == "" && (contains(lower, unknownUser) != "" || contains(lower, unknownHost) != "" || contains(lower, noMail) != "") {
			fallback = cutRunes(l, 500)
		}
	}
	return cutRunes(firstNonEmpty(open, fallback), 500)
}
