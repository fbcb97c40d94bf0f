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
		"message/global", "message/global-headers", "text/rfc822-headers", "text/rfc822-header", "text/rfc822", "message/partial", "message/rfc822-headers",
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
	quotedIDPattern = regexp.MustCompile(`(?im)^[ \t>]*message-id:\s*<([^<>\s]{1,900})>`)
)

// Report holds the facts of a delivery status notification (RFC 3464) or a feedback report (RFC 5965). Empty fields
// were not stated. Nothing in it is proven: anybody can send a mail that looks like a bounce, so a report may mark
// the mail that it names and nothing more.
type Report struct {
	Recipient         string // the address that failed or complained: that of the first failed one of Recipients
	Action            string // of the same: failed, delayed, delivered, relayed, expanded
	Status            string // enhanced status code, RFC 3463, e.g. "5.1.1"
	DiagnosticCode    string // the remote server's words
	OriginalMessageID string // of the mail that it is about, without brackets
	Hard              bool   // permanent: the address should not be tried again
	FeedbackType      string // abuse, fraud, opt-out, auth-failure, ...

	Unsure bool `json:",omitempty"` // taken for a bounce by its words alone: a person may have written it

	Recipients []Recipient `json:",omitempty"` // everyone whom the report names, in its order, each once; at most 100
	ReturnID   string      `json:",omitempty"` // ours, of the VERP address that it was sent to (see ParseVERP), or in the returned mail's IDHeader
}

// newReport gathers what a bounce or a feedback report says; nil for other mail.
func newReport(s *signals, m *Mail) *Report {
	r := &Report{OriginalMessageID: originalID(s.facts, m.Text), ReturnID: firstNonEmpty(returnID(s.h, m), s.facts.original.get(strings.ToLower(IDHeader)))}
	var notice sesNotice
	if s.isSES() {
		notice, _ = parseSES(m.Text)
		r.OriginalMessageID = firstNonEmpty(notice.messageID(), r.OriginalMessageID)
	}
	switch m.Class {
	case ClassBounce:
		r.Recipients = newBounce(s, m).recipients(notice.recipients())
		r.choose()
		r.Unsure = s.unsure()
	case ClassFeedback:
		r.fromFeedback(s.facts, notice)
	default:
		return nil
	}
	r.clean()
	return r
}

// clean replaces what is no UTF-8, as headers of a report may have anything.
func (r *Report) clean() {
	words := []*string{&r.Recipient, &r.Action, &r.Status, &r.DiagnosticCode, &r.OriginalMessageID, &r.FeedbackType, &r.ReturnID}
	for i := range r.Recipients {
		rcpt := &r.Recipients[i]
		words = append(words, &rcpt.Address, &rcpt.Final, &rcpt.Action, &rcpt.Status, &rcpt.DiagnosticCode)
	}
	for _, w := range words {
		*w = strings.ToValidUTF8(*w, "\ufffd")
	}
}

// choose makes the first recipient that failed, else the first one, that of the report.
func (r *Report) choose() {
	chosen := Recipient{Action: "failed"}
	for i, c := range r.Recipients {
		if i == 0 || chosen.Action != "failed" && c.Action == "failed" {
			chosen = c
		}
	}
	r.Recipient, r.Action, r.Status, r.DiagnosticCode, r.Hard = chosen.Address, chosen.Action, chosen.Status, chosen.DiagnosticCode, chosen.Hard
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

// fromFeedback reads RFC 5965 section 3; who complained is often left out, then it is the reader of the returned mail.
func (r *Report) fromFeedback(f *facts, notice sesNotice) {
	r.FeedbackType = strings.ToLower(firstNonEmpty(DecodeHeader(f.feedback.get("feedback-type")), notice.Complaint.Kind))
	r.Recipient = strings.Trim(firstNonEmpty(typedValue(f.feedback.get("original-rcpt-to")), typedValue(f.feedback.get("removal-recipient"))), "<> ")
	if list := notice.Complaint.Recipients; len(list) > 0 {
		r.Recipient = list[0].Address
	}
	if to := ParseAddressList(f.original.get("to")); r.Recipient == "" && len(to) == 1 && strings.Contains(to[0].Addr, "@") {
		r.Recipient = to[0].Addr
	}
}
