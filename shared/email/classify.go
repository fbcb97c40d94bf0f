package email

import (
	"strings"
)

// signals is what the classification looks at. text and the lower-case fields are bounded.
type signals struct {
	h       header
	facts   *facts
	from    string // the raw From, decoded, lower case: "mailer-daemon <>" has no address but says enough
	local   string // local part of the first From address, lower case
	subject string // lower case
	text    string // beginning of the plain text, lower case
	nullish bool   // null or MAILER-DAEMON return path
}

// classifiedText bounds the text that phrases are looked for in; a bounce says so at its beginning.
const classifiedText = 8 << 10

func newSignals(h header, f *facts, m *Mail) *signals {
	s := &signals{h: h, facts: f, from: strings.ToLower(DecodeHeader(h.get("from"))), subject: strings.ToLower(m.Subject)}
	if len(m.From) > 0 {
		s.local = localPart(m.From[0].Addr)
	}
	s.text = strings.ToLower(m.Text[:min(len(m.Text), classifiedText)])
	s.nullish = m.ReturnPathEmpty || isDaemonLocal(localPart(m.ReturnPath))
	return s
}

func localPart(addr string) string {
	if i := strings.LastIndexByte(addr, '@'); i >= 0 {
		addr = addr[:i]
	}
	return strings.ToLower(addr)
}

// rule names the reason why a mail belongs to a class, "" if it does not.
type rule struct {
	class  Class
	reason func(*signals) string
}

// classify takes the first rule that applies: bounce, feedback, auto, list, normal. The sender's name is a weak sign
// of automatic mail and comes after the list's own fields: a newsletter from noreply@ is a list mail.
func classify(s *signals) (Class, string) {
	for _, r := range []rule{
		{ClassBounce, bounceReason},
		{ClassFeedback, feedbackReason},
		{ClassAuto, autoReason},
		{ClassList, listReason},
		{ClassAuto, senderReason},
	} {
		if why := r.reason(s); why != "" {
			return r.class, why
		}
	}
	return ClassNormal, ""
}

// feedbackReason: abuse reports in RFC 5965's form and the forms of Hotmail, Amazon SES and Apple's unsubscribe.
func feedbackReason(s *signals) string {
	switch {
	case s.facts.reportType == "feedback-report":
		return "report-type: feedback-report"
	case s.facts.feedback != nil:
		return "part: message/feedback-report"
	case s.h.has("x-arf"):
		return "x-arf"
	case s.h.has("feedback-type"):
		return "feedback-type"
	case strings.HasPrefix(s.subject, "complaint about message from"):
		return "subject: complaint about message"
	case s.sesNotification("complaint"):
		return "amazon ses: complaint"
	case strings.EqualFold(s.h.get("x-apple-unsubscribe"), "true"):
		return "x-apple-unsubscribe"
	}
	return ""
}

// isSES: the mail is from Amazon SNS, through which SES reports.
func (s *signals) isSES() bool {
	return s.h.has("x-amz-sns-message-id") || strings.Contains(s.from, "sns.amazonaws.com")
}

// sesNotification: SES reports as JSON in a text mail.
func (s *signals) sesNotification(kind string) bool {
	return s.isSES() && strings.Contains(strings.NewReplacer(`\`, "", " ", "").Replace(s.text), `"notificationtype":"`+kind+`"`)
}

// listReason: RFC 2369 and RFC 2919 fields, those of older list software, and Precedence.
func listReason(s *signals) string {
	for _, key := range []string{"list-id", "list-unsubscribe", "list-post", "list-help", "list-subscribe", "list-owner",
		"list-archive", "mailing-list", "x-mailing-list", "x-mailman-version", "x-beenthere", "x-listserver",
		"x-mlserver", "x-ml-name", "x-campaign-id", "x-campaignid", "x-mc-user"} {
		if s.h.has(key) {
			return key
		}
	}
	switch p := strings.ToLower(firstWord(s.h.get("precedence"))); p {
	case "bulk", "list", "junk":
		return "precedence: " + p
	}
	return ""
}

func firstWord(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), ";")
	s, _, _ = strings.Cut(s, " ")
	return strings.ToLower(s)
}

// senderReason: addresses behind which nobody reads.
func senderReason(s *signals) string {
	if isDaemonLocal(s.local) || isNoReplyLocal(s.local) {
		return "sender: " + shortName(s.local)
	}
	return ""
}

func isDaemonLocal(local string) bool {
	switch flatLocal(local) {
	case "mailerdaemon", "maildaemon", "daemon", "mmdf", "bounce", "bounces", "mailsystem":
		return true
	}
	return false
}

// flatLocal drops the separators that the same name is written with.
func flatLocal(local string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' {
			return -1
		}
		return r
	}, local)
}

func isPostmaster(local string) bool {
	local = flatLocal(local)
	return local == "postmaster" || local == "mailadmin"
}

// isNoReplyLocal: "noreply", "do-not-reply", "shop.noreply", "noreply+tag", "nepasrepondre", ...
func isNoReplyLocal(local string) bool {
	local, _, _ = strings.Cut(local, "+")
	flat := flatLocal(local)
	for _, name := range []string{"noreply", "donotreply", "dontreply", "nepasrepondre", "nichtantworten", "noresponder",
		"naoresponda", "nonrispondere", "keineantwort", "pasdereponse", "janganbalas", "jangandibalas", "autoreply", "autoresponder", "noreplyto"} {
		if strings.HasPrefix(flat, name) || strings.HasSuffix(flat, name) {
			return true
		}
	}
	return false
}

// Suppress tells whether an automatic answer to m must never be sent, and why (AR-6, RFC 3834 section 2). Whether
// the sender is one of our own addresses is for the caller to check.
//
// Feedback-ID does not count: providers put it on everything that companies send through them, questions included.
func (m *Mail) Suppress() (reason string, suppress bool) {
	switch {
	case m.Class != ClassNormal:
		return string(m.Class) + ": " + m.ClassReason, true
	case m.ReturnPathEmpty:
		return "null return path", true
	case m.noReply != "":
		return m.noReply, true
	}
	return "", false
}

// noReplyReason finds what forbids an automatic answer to a mail that a person wrote.
func noReplyReason(h header, m *Mail) string {
	if len(m.From) == 0 || !strings.Contains(m.From[0].Addr, "@") { // the answer goes to From, whatever Reply-To says (RFC 3834 4)
		return "no sender address"
	}
	for _, list := range [][]Address{m.ReplyTo, m.From, m.Sender} {
		for _, a := range list {
			if local := localPart(a.Addr); isNoReplyLocal(local) || isDaemonLocal(local) || isPostmaster(local) {
				return "sender: " + shortName(local)
			}
		}
	}
	if local := localPart(m.ReturnPath); isDaemonLocal(local) {
		return "return path: " + shortName(local)
	}
	for _, key := range []string{"x-loop", "x-auto-response-suppress"} {
		if v := h.get(key); v != "" && !strings.EqualFold(v, "none") {
			return key + ": " + shortName(v)
		}
	}
	return ""
}
