package config

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/mailbox"
)

// Mail reads and sends through the accounts' servers: package mailbox as the
// use cases want it.
type Mail struct {
	dialer *mailbox.Dialer
	sender *mailbox.Sender
	tokens *tokens
}

// Mail makes the mail client, which takes OAuth2 credentials from the secrets
// and keeps renewed ones there.
func (e Env) Mail(secrets channel.Secrets) (*Mail, error) {
	insecure, err := e.flag("ALLOW_INSECURE_MAIL")
	if err != nil {
		return nil, err
	}
	d := &mailbox.Dialer{AllowInsecure: insecure}
	return &Mail{dialer: d, sender: mailbox.NewSender(d), tokens: newTokens(secrets, d)}, nil
}

// LookupTXT asks the DNS for the keys of signatures; nil where they are not to
// be checked.
func (e Env) LookupTXT() (func(context.Context, string) ([]string, error), error) {
	skip, err := e.flag("SKIP_DKIM")
	if err != nil || skip {
		return nil, err
	}
	return func(ctx context.Context, domain string) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		return net.DefaultResolver.LookupTXT(ctx, domain)
	}, nil
}

// lookupTimeout bounds one question to the DNS; a mail has a few signatures.
const lookupTimeout = 5 * time.Second

func server(s channel.Server) mailbox.Server {
	return mailbox.Server{Host: s.Host, Port: s.Port, Security: mailbox.Security(s.Security)}
}

// login is what the account logs in with.
func (m *Mail) login(ctx context.Context, a channel.Account, secret string) (mailbox.Login, error) {
	if a.Auth == "" || a.Auth == channel.AuthPassword {
		return mailbox.Login{User: a.User, Password: channel.ParseCredentials(secret).Password, Mechanism: mailbox.MechanismPassword}, nil
	}
	token, err := m.tokens.get(ctx, a)
	return mailbox.Login{User: a.User, Token: token, Mechanism: string(a.Auth)}, err
}

// refused drops an access token that a server did not take, so that the next
// log-in gets another.
func (m *Mail) refused(a channel.Account, l mailbox.Login, err error) error {
	var imap *mailbox.Refusal
	var smtp *mailbox.ServerError
	if l.Token != "" && (errors.As(err, &imap) && imap.Command == "AUTHENTICATE" || errors.As(err, &smtp) && smtp.Command == "AUTH") {
		m.tokens.source.Forget(a.ID, l.Token)
	}
	return err
}

// Open implements channel.Mailbox.
func (m *Mail) Open(ctx context.Context, a channel.Account, secret, name string) (channel.Folder, error) {
	l, err := m.login(ctx, a, secret)
	if err != nil {
		return nil, err
	}
	f, err := m.dialer.Open(ctx, server(a.Incoming), l, name)
	if err != nil {
		return nil, m.refused(a, l, err)
	}
	return folder{f}, nil
}

// folder is a mailbox.Folder as the use cases want it.
type folder struct{ *mailbox.Folder }

// Fetch implements channel.Folder.
func (f folder) Fetch(ctx context.Context, from channel.Cursor, most int, deliver func(context.Context, channel.Fetched) error) (channel.Cursor, error) {
	cur, err := f.Folder.Fetch(ctx, mailbox.Cursor{UIDValidity: from.UIDValidity, LastUID: from.LastUID}, most,
		func(ctx context.Context, it mailbox.Item) error {
			return deliver(ctx, channel.Fetched{UID: it.UID, UIDValidity: it.UIDValidity, At: it.InternalDate, Size: it.Size, Body: it.Body})
		})
	from.UIDValidity, from.LastUID = cur.UIDValidity, cur.LastUID
	var bad *mailbox.FetchError
	if errors.As(err, &bad) {
		err = &channel.Unfetched{UID: bad.UID, Err: err}
	}
	return from, err
}

// Send implements channel.Sender.
func (m *Mail) Send(ctx context.Context, a channel.Account, secret, from string, to []string, size int64, msg io.Reader) (channel.Receipt, error) {
	l, err := m.login(ctx, a, secret)
	if err != nil {
		return channel.Receipt{}, err
	}
	got, err := m.sender.Send(ctx, server(a.Outgoing), l, mailbox.Envelope{From: from, To: to, Size: size}, msg)
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
	case errors.As(err, &se) && se.Permanent() && se.Command != "CONNECT" && se.Command != "AUTH" && se.Command != "STARTTLS":
		err = errors.Join(channel.ErrRejected, err)
	}
	return r, m.refused(a, l, err)
}

// FindSent implements channel.SentFolder.
func (m *Mail) FindSent(ctx context.Context, a channel.Account, secret, id, messageID string) (string, error) {
	l, err := m.login(ctx, a, secret)
	if err != nil {
		return "", err
	}
	found, at, err := m.dialer.FindSent(ctx, server(a.Incoming), l, a.Sent.Folder, id, messageID)
	if !found {
		return "", m.refused(a, l, err)
	}
	if at == "" { // it has lost its Message-ID, but is there
		at = messageID
	}
	return at, err
}

// AppendSent implements channel.SentFolder.
func (m *Mail) AppendSent(ctx context.Context, a channel.Account, secret string, at time.Time, size int64, msg io.Reader) error {
	l, err := m.login(ctx, a, secret)
	if err != nil {
		return err
	}
	err = m.dialer.Append(ctx, server(a.Incoming), l, mailbox.Copy{Folder: a.Sent.Folder, Flags: []string{`\Seen`}, Date: at, Size: size}, msg)
	return m.refused(a, l, err)
}

// Verify logs in to both servers of an account (AC-3); an outbound-only one
// has no incoming server.
func (m *Mail) Verify(ctx context.Context, a channel.Account, secret string) error {
	l, err := m.login(ctx, a, secret)
	if err != nil {
		return err
	}
	if !a.OutboundOnly {
		err = m.dialer.VerifyIMAP(ctx, server(a.Incoming), l, a.Folders)
	}
	return m.refused(a, l, errors.Join(err, m.dialer.VerifySMTP(ctx, server(a.Outgoing), l)))
}
