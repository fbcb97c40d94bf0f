package config

import (
	"context"
	"errors"
	"io"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/mailbox"
)

// Mail reads and sends through the accounts' servers: package mailbox as the
// use cases want it.
type Mail struct {
	dialer *mailbox.Dialer
	sender *mailbox.Sender
}

// Mail makes the mail client.
func (e Env) Mail() (*Mail, error) {
	insecure, err := e.flag("ALLOW_INSECURE_MAIL")
	if err != nil {
		return nil, err
	}
	d := &mailbox.Dialer{AllowInsecure: insecure}
	return &Mail{dialer: d, sender: mailbox.NewSender(d)}, nil
}

func server(s channel.Server) mailbox.Server {
	return mailbox.Server{Host: s.Host, Port: s.Port, Security: mailbox.Security(s.Security)}
}

func login(a channel.Account, secret string) mailbox.Login {
	return mailbox.Login{User: a.User, Password: channel.ParseCredentials(secret).Password, Mechanism: mailbox.MechanismPassword}
}

// Fetch implements channel.Mailbox.
func (m *Mail) Fetch(ctx context.Context, a channel.Account, secret, folder string, from channel.Cursor, most int, deliver func(context.Context, channel.Fetched) error) (channel.Cursor, error) {
	cur, err := m.dialer.Fetch(ctx, server(a.Incoming), login(a, secret), folder,
		mailbox.Cursor{UIDValidity: from.UIDValidity, LastUID: from.LastUID}, most,
		func(ctx context.Context, it mailbox.Item) error {
			return deliver(ctx, channel.Fetched{UID: it.UID, UIDValidity: it.UIDValidity, At: it.InternalDate, Size: it.Size, Body: it.Body})
		})
	next := from
	next.UIDValidity, next.LastUID = cur.UIDValidity, cur.LastUID
	return next, err
}

// Send implements channel.Sender.
func (m *Mail) Send(ctx context.Context, a channel.Account, secret, from string, to []string, size int64, msg io.Reader) (channel.Receipt, error) {
	got, err := m.sender.Send(ctx, server(a.Outgoing), login(a, secret), mailbox.Envelope{From: from, To: to, Size: size}, msg)
	r := channel.Receipt{Answer: got.Response}
	for rcpt, refusal := range got.Refused {
		if r.Refused == nil {
			r.Refused = map[string]channel.Refusal{}
		}
		r.Refused[rcpt] = channel.Refusal{Status: refusal.Enhanced, Answer: refusal.Error(), Temporary: refusal.Temporary()}
	}
	var se *mailbox.ServerError
	switch {
	case errors.Is(err, mailbox.ErrUncertain):
		err = errors.Join(channel.ErrUncertain, err)
	case errors.As(err, &se) && se.Permanent():
		err = errors.Join(channel.ErrRejected, err)
	}
	return r, err
}

// Verify logs in to both servers of an account (AC-3); an outbound-only one
// has no incoming server.
func (m *Mail) Verify(ctx context.Context, a channel.Account, secret string) error {
	var in error
	if !a.OutboundOnly {
		in = m.dialer.VerifyIMAP(ctx, server(a.Incoming), login(a, secret), a.Folders)
	}
	return errors.Join(in, m.dialer.VerifySMTP(ctx, server(a.Outgoing), login(a, secret)))
}
