package mailbox

import (
	"errors"
	"fmt"
	"strings"

	"emailchannel.dev/emailchannel/shared/fault"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"
)

// ErrUncertain means that a mail's content was sent to its end and the connection failed before the server answered.
// The server may have accepted the mail.
var ErrUncertain = errors.New("no answer after the end of the mail")

// ErrForbiddenHost means that a host has only addresses that accounts may not use, or a protection that they may not.
var ErrForbiddenHost = errors.New("host is not allowed")

// ServerError is a refusal by an SMTP server, or by this package where the server announced that it would refuse.
type ServerError struct {
	Code     int    // RFC 5321 §4.2
	Enhanced string // RFC 3463 such as "5.1.1", "" when there is none
	Message  string
	Command  string // what was refused: CONNECT, STARTTLS, AUTH, MAIL, RCPT, DATA

	first bool // of a 552 to RCPT: no recipient was taken before, so that it cannot be one too many
}

// Error is the server's answer after the command's name.
func (e *ServerError) Error() string {
	text := fmt.Sprintf("%s: %03d", e.Command, e.Code)
	for _, s := range []string{e.Enhanced, e.Message} {
		if s != "" {
			text += " " + s
		}
	}
	return text
}

// Temporary is true for 4xx, and for the 552 by which old servers say that a mail has too many recipients, when it should be
// 452: the others are for the next mail (RFC 5321 §4.5.3.1.10). To the first recipient it says that the mailbox is full.
func (e *ServerError) Temporary() bool { return e.Code/100 == 4 || e.tooManyRecipients() }

// Permanent is true for 5xx but for what Temporary takes.
func (e *ServerError) Permanent() bool { return e.Code/100 == 5 && !e.tooManyRecipients() }

func (e *ServerError) tooManyRecipients() bool {
	return e.Command == "RCPT" && e.Code == 552 && !e.first && (e.Enhanced == "" || e.Enhanced == "5.5.3")
}

// Refusal is a NO or BAD of an IMAP server.
type Refusal struct {
	Command string // AUTHENTICATE, LOGIN, EXAMINE, SEARCH, FETCH, IDLE, NOOP, LIST, CREATE, APPEND
	Code    string // the response code (RFC 5530) such as OVERQUOTA, "" when there is none
	Answer  string // such as "NO [AUTHENTICATIONFAILED] Invalid credentials"
}

func (r *Refusal) Error() string { return r.Command + ": " + r.Answer }

// FetchError tells at which mail reading failed. One failure may be the connection's. The same UID failing again and
// again, with others taken before it or a Refusal inside, is a mail that the server cannot give; the caller may record it
// and pass it with its cursor.
type FetchError struct {
	UID uint32
	Err error
}

func (e *FetchError) Error() string { return fmt.Sprintf("fetch UID %d: %v", e.UID, e.Err) }
func (e *FetchError) Unwrap() error { return e.Err }

// serverError translates an error of go-smtp; others pass.
func serverError(command string, err error) error {
	var answer *smtp.SMTPError
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s: %w", command, err)
	}
	e := &ServerError{Code: answer.Code, Message: answer.Message, Command: command}
	if c := answer.EnhancedCode; c != (smtp.EnhancedCode{}) && c != smtp.NoEnhancedCode {
		e.Enhanced = fmt.Sprintf("%d.%d.%d", c[0], c[1], c[2])
	}
	return e
}

// mailError is serverError where the refusal is about the mail: a 5xx then stays one however often it is tried. A 5xx
// at connecting or AUTH is about the account, and may be gone when somebody has corrected that.
func mailError(command string, err error) error {
	err = serverError(command, err)
	var refused *ServerError
	if errors.As(err, &refused) {
		return permanently(err, refused)
	}
	return err
}

// permanently marks the error as permanent where the answer in it is.
func permanently(err error, answer *ServerError) error {
	if answer.Permanent() {
		return fault.Permanent(err)
	}
	return err
}

// refusal translates an error of go-imap; others, and nil, pass.
func refusal(command string, err error) error {
	if err == nil {
		return nil
	}
	var answer *imap.Error
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s: %w", command, err)
	}
	words := []string{string(answer.Type)}
	if answer.Code != "" {
		words = append(words, "["+string(answer.Code)+"]")
	}
	if answer.Text != "" {
		words = append(words, answer.Text)
	}
	return &Refusal{Command: command, Code: string(answer.Code), Answer: strings.Join(words, " ")}
}
