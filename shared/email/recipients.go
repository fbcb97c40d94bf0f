package email

import (
	"regexp"
	"strings"
)

// Recipient is what a bounce says about one address (RFC 3464 section 2.3). Empty fields were not stated.
type Recipient struct {
	Address        string // the one that the mail was sent to: Original-Recipient, else Final-Recipient
	Final          string `json:",omitempty"` // where it ended, if forwarding made that another address
	Action         string // failed, delayed, delivered, relayed, expanded
	Status         string // enhanced status code, RFC 3463, e.g. "5.1.1"
	DiagnosticCode string // the remote server's words
	Hard           bool   // permanent: the address should not be tried again
}

// maxRecipients bounds a report; RFC 5321 section 4.5.3.1.8 lets a server take 100 recipients per mail.
const maxRecipients = 100

var (
	statusPattern    = regexp.MustCompile(`\b([245]\.\d{1,3}\.\d{1,3})\b`)
	answerPattern    = regexp.MustCompile(`\b[245]\d\d[ -]['"]?([245]\.\d{1,3}\.\d{1,3})\b`)
	replyPattern     = regexp.MustCompile(`\b([45][0-5][0-9])[ -]`)
	recipientPattern = regexp.MustCompile(`<?([A-Za-z0-9._%+=/-]{1,64}@[A-Za-z0-9.-]{1,200}[A-Za-z0-9])>?`)
)

// bounce gathers the recipients of one report.
type bounce struct {
	h      header
	status []header
	text   string   // the words of the mail server, bounded and without the returned mail
	others []string // addresses that the text names and that are no recipients: whom the report is from and to
}

func newBounce(s *signals, m *Mail) *bounce {
	b := &bounce{h: s.h, status: s.facts.status, text: ownWords(m.Text[:min(len(m.Text), classifiedText)])}
	for _, list := range [][]Address{m.From, m.To, m.Cc} {
		for _, a := range list {
			b.others = append(b.others, strings.ToLower(a.Addr))
		}
	}
	return b
}

// recipients are those that a notice or the status part names; where neither names one, those of X-Failed-Recipients,
// else of the text. What is left open about them is taken from the text. There is always one, even without an
// address: the report of a failure whose address nobody wrote down.
func (b *bounce) recipients(list []Recipient) []Recipient {
	if len(list) == 0 {
		list = b.fromStatus()
	}
	inText := textRecipients(b.text, b.others)
	if !named(list) {
		list = b.nameless(list, inText)
	}
	for i := range list {
		b.complete(&list[i], inText, len(list) == 1)
	}
	return list
}

// nameless finds the addresses for a status part that has none, or a pipe or a file instead. Its single block keeps
// what else it says.
func (b *bounce) nameless(list, inText []Recipient) []Recipient {
	said := Recipient{}
	if len(list) == 1 {
		said = list[0]
	}
	found := b.fromFailed()
	if len(found) == 0 {
		found = inText
	}
	if len(found) == 0 {
		found = []Recipient{{Address: b.anyAddress()}}
	}
	for i := range found {
		found[i].Action, found[i].Status = said.Action, said.Status
		found[i].DiagnosticCode = firstNonEmpty(said.DiagnosticCode, found[i].DiagnosticCode)
	}
	return found
}

func named(list []Recipient) bool {
	for _, r := range list {
		if isMailbox(r.Address) {
			return true
		}
	}
	return false
}

// isMailbox tells an address from the pipes and files that Exim reports.
func isMailbox(s string) bool {
	return strings.Contains(s, "@") && !strings.ContainsAny(s, " \t|") && !strings.HasPrefix(s, "/")
}

// fromStatus reads the per-recipient blocks.
func (b *bounce) fromStatus() []Recipient {
	var list []Recipient
	seen := map[string]bool{}
	for _, block := range b.status {
		if !block.has("action") && !block.has("status") && !block.has("final-recipient") {
			continue
		}
		r := statusRecipient(block)
		if key := strings.ToLower(r.Address); !seen[key] && len(list) < maxRecipients {
			seen[key] = true
			list = append(list, r)
		}
	}
	return list
}

func statusRecipient(block header) Recipient {
	final := typedValue(firstNonEmpty(block.get("final-recipient"), block.get("x-actual-recipient")))
	r := Recipient{Address: xtext(typedValue(block.get("original-recipient"))), Action: firstWord(block.get("action"))}
	switch {
	case !isMailbox(r.Address):
		r.Address = firstNonEmpty(final, r.Address)
	case isMailbox(final) && !strings.EqualFold(final, r.Address):
		r.Final = final
	}
	if m := statusPattern.FindStringSubmatch(block.get("status")); m != nil {
		r.Status = m[1]
	}
	r.DiagnosticCode = DecodeHeader(typedValue(block.get("diagnostic-code")))
	return r
}

// typedValue drops the type before the semicolon: "rfc822; user@example.com", "smtp; 550 no such user".
func typedValue(s string) string {
	if _, v, ok := strings.Cut(s, ";"); ok {
		s = v
	}
	return strings.Trim(strings.TrimSpace(s), "<>")
}

// xtext undoes the two characters that RFC 3461 section 4 makes every sender of an Original-Recipient encode. Others
// stay: many servers do not encode, and "+20" may be somebody's tag.
func xtext(s string) string { return strings.NewReplacer("+2B", "+", "+3D", "=").Replace(s) }

// fromFailed reads X-Failed-Recipients, which Exim and Google write.
func (b *bounce) fromFailed() []Recipient {
	var list []Recipient
	for _, a := range ParseAddressList(strings.Join(b.h.all("x-failed-recipients"), ",")) {
		if strings.Contains(a.Addr, "@") && len(list) < maxRecipients && !hasRecipient(list, a.Addr) {
			list = append(list, Recipient{Address: a.Addr})
		}
	}
	return list
}

func hasRecipient(list []Recipient, addr string) bool {
	for _, r := range list {
		if strings.EqualFold(r.Address, addr) {
			return true
		}
	}
	return false
}

// complete fills what is open from the words about this recipient, or from the whole text where it is the only one.
func (b *bounce) complete(r *Recipient, inText []Recipient, only bool) {
	for _, t := range inText {
		if strings.EqualFold(t.Address, r.Address) || r.Final != "" && strings.EqualFold(t.Address, r.Final) {
			r.DiagnosticCode = firstNonEmpty(r.DiagnosticCode, t.DiagnosticCode)
		}
	}
	if r.DiagnosticCode == "" && only {
		r.DiagnosticCode = diagnosticLine(b.text)
	}
	if r.Status == "" || strings.HasSuffix(r.Status, ".0.0") {
		r.Status = firstNonEmpty(diagnosticStatus(r.DiagnosticCode), r.Status)
	}
	if r.Action == "" {
		r.Action = "failed"
		if contains(strings.ToLower(b.text), delayWords) != "" {
			r.Action = "delayed"
		}
	}
	r.Hard = r.permanent()
}

// diagnosticStatus is the enhanced code that stands behind a reply code, else the first one.
func diagnosticStatus(diagnostic string) string {
	for _, p := range []*regexp.Regexp{answerPattern, statusPattern} {
		if m := p.FindStringSubmatch(diagnostic); m != nil {
			return m[1]
		}
	}
	return ""
}

var delayWords = []string{"delayed", "will be retried", "no action is required", "temporary problem"}
