package email

import (
	"regexp"
	"strings"
)

// facts is what the parts say about the kind of the mail.
type facts struct {
	mediaType  string   // of the whole mail
	reportType string   // parameter of multipart/report (RFC 6522), lower case
	status     []header // the blocks of a message/delivery-status part
	feedback   header   // of a message/feedback-report part
	original   header   // of the returned mail
	receipt    bool     // has a message/disposition-notification part
}

func (f *facts) top(mediaType string, ps params) {
	f.mediaType = mediaType
	if mediaType == "multipart/report" {
		f.reportType = strings.ToLower(strings.TrimSpace(ps["report-type"]))
	}
}

// isReport names the part types whose beginning the classification reads.
func isReport(mediaType string) bool {
	switch mediaType {
	case "message/delivery-status", "message/global-delivery-status", "message/feedback-report", "message/rfc822",
		"message/global", "message/global-headers", "text/rfc822-headers", "text/rfc822", "message/partial", "message/rfc822-headers",
		"message/disposition-notification", "message/global-disposition-notification", "message/xdelivery-status":
		return true
	}
	return false
}

func (f *facts) report(mediaType, head string) {
	switch mediaType {
	case "message/delivery-status", "message/global-delivery-status", "message/xdelivery-status":
		f.status = append(f.status, headerBlocks(head)...)
	case "message/feedback-report":
		if bs := headerBlocks(head); len(bs) > 0 && f.feedback == nil {
			f.feedback = bs[0]
		} else if f.feedback == nil {
			f.feedback = header{}
		}
	case "message/disposition-notification", "message/global-disposition-notification":
		f.receipt = true
		if bs := headerBlocks(head); len(bs) > 0 && f.original == nil && bs[0].has("original-message-id") {
			f.original = header{{"message-id", bs[0].get("original-message-id")}}
		}
	default:
		if bs := headerBlocks(head); len(bs) > 0 && !f.original.has("message-id") {
			f.original = bs[0]
		}
	}
}

// headerBlocks reads text as header blocks with blank lines between them.
func headerBlocks(text string) []header {
	var blocks []header
	hr := headerReader{limit: reportHead, note: func(string) {}}
	flush := func() {
		if len(hr.fields) > 0 {
			blocks = append(blocks, hr.fields)
		}
		hr.fields = nil
	}
	for _, l := range strings.Split(unixLines(text), "\n") {
		if strings.TrimSpace(l) == "" {
			flush()
			continue
		}
		hr.add([]byte(l), []byte("\n")) // a line without colon is a fold here
	}
	flush()
	return blocks
}

var (
	statusPattern    = regexp.MustCompile(`\b([245]\.\d{1,3}\.\d{1,3})\b`)
	replyPattern     = regexp.MustCompile(`\b([45][0-5][0-9])[ -]`)
	recipientPattern = regexp.MustCompile(`<?([A-Za-z0-9._%+=/-]{1,64}@[A-Za-z0-9.-]{1,200}[A-Za-z0-9])>?`)
	quotedIDPattern  = regexp.MustCompile(`(?im)^[ \t>]*message-id:\s*<([^<>\s]{1,900})>`)
	jsonIDPattern    = regexp.MustCompile(`"(?:feedbackType|complaintFeedbackType)\\?"\s*:\s*\\?"([a-z-]{1,40})`)
)

// newReport gathers what a bounce or a feedback report says; nil for other mail.
func newReport(s *signals, m *Mail) *Report {
	r := &Report{}
	switch m.Class {
	case ClassBounce:
		r.fromStatus(s.facts.status)
		r.fromText(s.h, m.Text)
		r.Hard = r.permanent()
	case ClassFeedback:
		r.fromFeedback(s.facts.feedback, m.Text)
	default:
		return nil
	}
	r.OriginalMessageID = originalID(s.facts, m.Text)
	return r
}

func originalID(f *facts, text string) string {
	if id := firstID(f.original.all("message-id")); id != "" {
		return id
	}
	if m := quotedIDPattern.FindStringSubmatch(text); m != nil {
		return canonicalID(m[1])
	}
	return ""
}

// fromStatus takes the first recipient that failed, else the first one (RFC 3464 section 2.3).
func (r *Report) fromStatus(blocks []header) {
	var chosen header
	for _, b := range blocks {
		if !b.has("action") && !b.has("status") && !b.has("final-recipient") {
			continue
		}
		if chosen == nil || firstWord(chosen.get("action")) != "failed" && firstWord(b.get("action")) == "failed" {
			chosen = b
		}
	}
	r.Recipient = typedValue(firstNonEmpty(chosen.get("original-recipient"), chosen.get("final-recipient")))
	if !strings.Contains(r.Recipient, "@") {
		r.Recipient = firstNonEmpty(typedValue(chosen.get("final-recipient")), r.Recipient)
	}
	r.Action = firstWord(chosen.get("action"))
	if m := statusPattern.FindStringSubmatch(chosen.get("status")); m != nil {
		r.Status = m[1]
	}
	r.DiagnosticCode = DecodeHeader(typedValue(chosen.get("diagnostic-code")))
}

// typedValue drops the type before the semicolon: "rfc822; user@example.com", "smtp; 550 no such user".
func typedValue(s string) string {
	if _, v, ok := strings.Cut(s, ";"); ok {
		s = v
	}
	return strings.Trim(strings.TrimSpace(s), "<>")
}

// fromText fills what the status part left open from the words of the mail server.
func (r *Report) fromText(h header, text string) {
	text = text[:min(len(text), classifiedText)]
	if r.Recipient == "" {
		r.Recipient, _, _ = strings.Cut(h.get("x-failed-recipients"), ",")
	}
	if r.Recipient == "" {
		if m := recipientPattern.FindStringSubmatch(text); m != nil {
			r.Recipient = m[1]
		}
	}
	if r.DiagnosticCode == "" {
		r.DiagnosticCode = diagnosticLine(text)
	}
	if r.Status == "" || strings.HasSuffix(r.Status, ".0.0") {
		if m := statusPattern.FindStringSubmatch(r.DiagnosticCode); m != nil {
			r.Status = m[1]
		}
	}
	if r.Action == "" {
		r.Action = "failed"
		if lower := strings.ToLower(text); strings.Contains(lower, "delayed") || strings.Contains(lower, "will be retried") ||
			strings.Contains(lower, "no action is required") || strings.Contains(lower, "temporary problem") {
			r.Action = "delayed"
		}
	}
}

// diagnosticLine is the line that carries a status or reply code, else one with a telling phrase.
func diagnosticLine(text string) string {
	fallback := ""
	for _, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if statusPattern.MatchString(l) || replyPattern.MatchString(l) {
			return cutRunes(l, 500)
		}
		if lower := strings.ToLower(l); fallback == "" && (contains(lower, unknownUser) != "" || contains(lower, unknownHost) != "") {
			fallback = cutRunes(l, 500)
		}
	}
	return fallback
}

func (r *Report) fromFeedback(fb header, text string) {
	r.FeedbackType = strings.ToLower(DecodeHeader(fb.get("feedback-type")))
	if r.FeedbackType == "" {
		if m := jsonIDPattern.FindStringSubmatch(text[:min(len(text), classifiedText)]); m != nil {
			r.FeedbackType = m[1]
		}
	}
	r.Recipient = strings.Trim(firstNonEmpty(typedValue(fb.get("original-rcpt-to")), typedValue(fb.get("removal-recipient"))), "<> ")
}

var (
	unknownUser = []string{"user unknown", "unknown user", "no such user", "user not found", "does not exist", "doesn't exist",
		"no such recipient", "recipient unknown", "unknown recipient", "invalid recipient", "not a valid", "unknown address", "no mailbox",
		"mailbox not found", "no such mailbox", "address unknown", "not listed in", "unknown local", "no such address", "invalid mailbox",
		"no user", "unrouteable address", "mailbox unavailable", "not found", "bad destination mailbox", "recipient rejected",
		"recipient not found", "recnotfound", "invalid address", "addresses were unknown", "is unknown", "not known at this site",
		"undeliverable address", "user doesn", "unknown virtual", "account that you tried to reach", "is not local", "this user"}
	unknownHost = []string{"host unknown", "unknown host", "host not found", "domain not found", "no such domain", "unknown domain",
		"name or domain not", "domain name not found", "nxdomain", "illegal host", "unrouteable mail domain", "all relevant mx records point"}
	fullMailbox = []string{"full", "quota", "5.2.2", "access denied", "suspend", "inactive"}
	passing     = []string{"over limit", "too large", "size limit", "exceed", "spam", "blocked", "blacklist", "block list",
		"policy", "temporar", "try again", "greylist", "reputation", "timed out", "timeout", "relay", "denied", "disabled",
		"dmarc", "spf", "ptr", "reverse"}
)

// permanent: the address does not exist, or its host does not. A full mailbox, a refused content or a policy is the
// server's word about this mail, not about the address (RFC 3463 sections 3.2 and 3.5).
func (r *Report) permanent() bool {
	if r.Action == "delayed" || r.Action == "delivered" || strings.HasPrefix(r.Status, "4.") || strings.HasPrefix(r.Status, "2.") {
		return false
	}
	diagnostic := strings.ToLower(r.DiagnosticCode)
	if contains(diagnostic, fullMailbox) != "" {
		return false
	}
	switch {
	case strings.HasPrefix(r.Status, "5.1.1"), r.Status == "5.1.0", r.Status == "5.1.2", r.Status == "5.1.3", r.Status == "5.1.6",
		r.Status == "5.1.10", r.Status == "5.4.4":
		return contains(diagnostic, passing) == "" || contains(diagnostic, unknownUser) != ""
	}
	return contains(diagnostic, passing) == "" && (contains(diagnostic, unknownUser) != "" || contains(diagnostic, unknownHost) != "")
}
