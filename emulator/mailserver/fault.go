package mailserver

import (
	"errors"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"
)

// Fault is asked before a step; an error refuses it. The steps:
//
//	smtp  connect auth mail rcpt data (before the mail is stored) data-answer (after it, before the answer)
//	imap  connect login select search fetch literal (in the middle of a body) append
//
// An *smtp.SMTPError or *imap.Error is answered as it is, ErrDrop closes the connection without an answer, and any other
// error becomes 451 or NO. A refusal in the middle of a body can only be a closed connection.
type Fault func(service, op string) error

// ErrDrop as a Fault's answer closes the connection instead of answering.
var ErrDrop = errors.New("mailserver: drop the connection")

func (s *Server) fault(service, op string) error {
	if s.opt.Fault == nil {
		return nil
	}
	return s.opt.Fault(service, op)
}

// smtpAnswer makes err the type that go-smtp looks for; it does not unwrap.
func smtpAnswer(err error) error {
	var answer *smtp.SMTPError
	if errors.As(err, &answer) {
		return answer
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: err.Error()}
}

func imapAnswer(err error) error {
	var answer *imap.Error
	if errors.As(err, &answer) {
		return answer
	}
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeUnavailable, Text: err.Error()}
}
