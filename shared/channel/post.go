package channel

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
)

// letter is a mail of ours from the moment it is written: the same ID, and so
// the same documents, object and Message-ID, at every attempt.
type letter struct {
	Outbound
	Message Message
}

// pen composes letters into the archive.
type pen struct {
	archive Archive
	secrets Secrets
	files   []Attachment // that an agent's mail brings
	shared  []Attachment // that settings add, and that are none of the message's own
}

// write composes a draft into the archive. The draft's Message-ID is made from
// id; its recipients are those of To and Cc.
func (p pen) write(ctx context.Context, id string, a Account, s Session, d email.Draft) (letter, error) {
	_, domain, _ := strings.Cut(a.Address, "@")
	d.MessageID = email.NewMessageID(id, domain)
	if d.Headers == nil {
		d.Headers = map[string]string{}
	}
	d.Headers[email.IDHeader] = id
	var err error
	if d.DKIM, err = p.sign(ctx, a); err != nil {
		return letter{}, err
	}
	words := []string{d.Subject, d.Text, d.HTML, fmt.Sprint(d.To, d.Cc)}
	for _, f := range slices.Concat(p.files, p.shared) {
		words = append(words, f.Object, f.ContentID)
	}
	object := outboundObject(id, digest(words...))
	size, err := compose(ctx, p.archive, object, d)
	if err != nil {
		return letter{}, fmt.Errorf("compose %s: %w", object, err)
	}
	msg := Message{
		ID: email.Fingerprint(d.MessageID), Session: s.ID, Direction: Out, From: d.From, To: d.To, Cc: d.Cc,
		Subject: d.Subject, MessageID: d.MessageID, InReplyTo: d.InReplyTo, References: d.References,
		At: d.Date.UTC(), Text: d.Text, HTML: d.HTML, Attachments: p.files, Raw: object, Outbound: id, Size: size,
	}
	if msg.Text == "" {
		msg.Text = email.TextFromHTML(d.HTML)
	}
	o := Outbound{ID: id, State: Queued, Session: s.ID, Message: msg.ID, Account: a.ID, From: a.Address, Object: object, Size: size, Due: msg.At.Add(overdue), CreatedAt: msg.At, UpdatedAt: msg.At}
	for _, list := range [][]email.Address{d.To, d.Cc} {
		for _, to := range list {
			if _, known := o.recipient(to.Addr); !known { // some servers deliver once for each time they are told
				o.To = append(o.To, email.Mailable(to.Addr))
			}
		}
	}
	return letter{Outbound: o, Message: msg}, nil
}

// sign is the account's DKIM key; nil when it signs nothing.
func (p pen) sign(ctx context.Context, a Account) (*email.DKIM, error) {
	if a.DKIM.Domain == "" {
		return nil, nil
	}
	secret, err := p.secrets.Get(ctx, a.Secret)
	if err != nil {
		return nil, fmt.Errorf("DKIM key of account %s: %w", a.ID, err)
	}
	key, err := ParseDKIMKey(ParseCredentials(secret).DKIMKey)
	if err != nil {
		return nil, fmt.Errorf("DKIM key of account %s: %w", a.ID, err)
	}
	return &email.DKIM{Domain: a.DKIM.Domain, Selector: a.DKIM.Selector, Key: key}, nil
}

// put writes the letter's documents, and fails with ErrExists if it was written before.
func (l letter) put(tx Tx) {
	tx.Create(outboundPath(l.ID), l.Outbound)
	tx.Set(messagePath(l.Session, l.Message.ID), l.Message)
	tx.Set(mailPath(l.Message.ID), Mail{State: Stored, Session: l.Session, Direction: Out, MessageID: l.Message.MessageID, Sender: email.Normalize(l.From), Outbound: l.ID, Raw: l.Object, At: l.CreatedAt, Sent: l.CreatedAt})
}

// hand tells send about the letter. If that is lost, Sweep finds it overdue.
func (l letter) hand(ctx context.Context, bus Bus) error {
	return bus.Publish(ctx, event.TopicOutbound, event.Encode(event.Outbound{ID: l.ID}))
}

// references is the chain of a reply to m (RFC 5322 3.6.4).
func references(m Message) []string {
	refs := append([]string{}, m.References...)
	if m.MessageID != "" {
		refs = append(refs, m.MessageID)
	}
	return refs
}

// compose streams a draft into the archive and returns its size in bytes.
func compose(ctx context.Context, archive Archive, object string, d email.Draft) (int64, error) {
	r, w := io.Pipe()
	out := &measured{w: w}
	done := make(chan error, 1)
	go func() {
		err := email.Compose(out, d)
		w.CloseWithError(err)
		done <- err
	}()
	err := archive.Put(ctx, object, "message/rfc822", r)
	r.Close() // an object that was there already is not read to its end
	if composing := <-done; composing != nil {
		err = composing
	}
	return out.n, err
}

// measured counts what is written, also when nobody reads it any more.
type measured struct {
	w      *io.PipeWriter
	n      int64
	closed bool
}

func (m *measured) Write(b []byte) (int, error) {
	m.n += int64(len(b))
	if !m.closed {
		if _, err := m.w.Write(b); err != nil {
			m.closed = true
		}
	}
	return len(b), nil
}

// dated is the date of a letter, without a fraction, as a mail tells it.
func dated(now time.Time) time.Time { return now.UTC().Truncate(time.Second) }
