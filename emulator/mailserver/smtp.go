package mailserver

import (
	"errors"
	"io"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

func newSMTP(s *Server) *smtp.Server {
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		session := &smtpSession{server: s, conn: c}
		return session, session.refused("connect")
	}))
	srv.Domain = "mail.localhost"
	srv.TLSConfig = s.TLSConfig()
	srv.AllowInsecureAuth = true
	srv.EnableSMTPUTF8 = true
	srv.MaxMessageBytes = MaxMessageBytes
	srv.MaxLineLength = 0 // real mail has longer lines than RFC 5321 allows, and replaying it must work
	srv.ErrorLog = s.opt.Log
	return srv
}

// smtpSession is one connection since its last EHLO.
type smtpSession struct {
	server *Server
	conn   *smtp.Conn
	user   string
	from   string
	rcpts  []string
}

var _ smtp.AuthSession = (*smtpSession)(nil)

// refused asks Options.Fault and returns the answer to give. ErrDrop has closed the connection when it returns.
func (s *smtpSession) refused(op string) error {
	err := s.server.fault("smtp", op)
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrDrop) {
		s.conn.Conn().Close()
	}
	return smtpAnswer(err)
}

func (s *smtpSession) Reset() { s.from, s.rcpts = "", nil }

func (s *smtpSession) Logout() error { return nil }

func (s *smtpSession) AuthMechanisms() []string { return mechanisms() }

func (s *smtpSession) Auth(mech string) (sasl.Server, error) {
	server := saslServer(mech, func(user, secret string) error {
		if err := s.refused("auth"); err != nil {
			return err
		}
		if !authentic(user, secret) {
			return smtp.ErrAuthFailed
		}
		s.user = address(user)
		return nil
	})
	if server == nil {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	return server, nil
}

func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return s.refused("mail")
}

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.refused("rcpt"); err != nil {
		return err
	}
	s.rcpts = append(s.rcpts, to)
	return nil
}

func (s *smtpSession) Data(r io.Reader) error {
	if err := s.refused("data"); err != nil {
		return err
	}
	id, err := s.server.deliver(s.envelope(), r)
	if err != nil {
		return smtpAnswer(err)
	}
	if err := s.refused("data-answer"); err != nil {
		return err
	}
	// go-smtp answers with any SMTPError as it is; its own 250 has no queue ID.
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "OK: queued as " + id}
}

func (s *smtpSession) envelope() envelope {
	protocol := "ESMTP"
	if _, secure := s.conn.TLSConnectionState(); secure {
		protocol += "S"
	}
	if s.user != "" {
		protocol += "A"
	}
	// The peer's name goes into a header: nothing in it may end the line.
	helo := strings.Map(func(r rune) rune {
		if r < ' ' {
			return '?'
		}
		return r
	}, s.conn.Hostname())
	return envelope{from: s.from, rcpts: s.rcpts, helo: helo, peer: s.conn.Conn().RemoteAddr().String(), protocol: protocol}
}
