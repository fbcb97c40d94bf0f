package mailbox

import (
	"fmt"
	"strings"

	"emailchannel.dev/emailchannel/shared/fault"
)

// Envelope is what SMTP is told about a mail. The content is not looked at.
type Envelope struct {
	From string   // "" is the null reverse-path of bounces and automatic answers
	To   []string // at least one
	Size int64    // bytes of the content, 0 when unknown
}

// Validate refuses addresses that could say more to the server than an address (RFC 5321 §4.1.2), as a permanent
// failure.
func (e Envelope) Validate() error {
	if len(e.To) == 0 {
		return fault.Permanentf("mail has no recipient")
	}
	if e.From != "" && !plainAddress(e.From) {
		return fault.Permanentf("sender is not an address")
	}
	for i, to := range e.To {
		if !plainAddress(to) {
			return fault.Permanentf("recipient %d is not an address", i+1)
		}
	}
	return nil
}

// plainAddress is true for local@domain without what would end the path or the line. A blank is legal inside a quoted
// local part; so are angle brackets, but nobody has them and they are what an injection needs.
func plainAddress(a string) bool {
	at := strings.LastIndexByte(a, '@')
	if at < 1 || at == len(a)-1 || len(a) > 320 {
		return false
	}
	quoted := a[0] == '"' && at > 1 && a[at-1] == '"'
	control := func(r rune) bool { return r < ' ' || r == 0x7f || r == '<' || r == '>' }
	return !strings.ContainsFunc(a, control) && !strings.Contains(a[at:], " ") && (quoted || !strings.Contains(a[:at], " "))
}

// international is true when an address needs SMTPUTF8 (RFC 6531).
func (e Envelope) international() bool {
	for _, a := range append([]string{e.From}, e.To...) {
		if strings.ContainsFunc(a, func(r rune) bool { return r > 0x7e }) {
			return true
		}
	}
	return false
}

func (e Envelope) tooBig(limit int64) error {
	if limit <= 0 || e.Size <= limit {
		return nil
	}
	return fault.Permanent(&ServerError{Code: 552, Enhanced: "5.3.4", Command: "MAIL",
		Message: fmt.Sprintf("mail of %d bytes is larger than the %d that the server takes", e.Size, limit)})
}
