package channel

import (
	"context"
	"fmt"
	"io"
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

// write composes a draft into the archive. The draft's Message-ID is made from
// id; its recipients are those of To and Cc.
func write(ctx context.Context, archive Archive, id string, a Account, s Session, d email.Draft) (letter, error) {
	_, domain, _ := strings.Cut(a.Address, "@")
	d.MessageID = email.NewMessageID(id, domain)
	object := outboundObject(id)
	r, w := io.Pipe()
	size := &counter{}
	go func() { w.CloseWithError(email.Compose(io.MultiWriter(w, size), d)) }()
	err := archive.Put(ctx, object, "message/rfc822", r)
	r.CloseWithError(err)
	if err != nil {
		return letter{}, fmt.Errorf("compose %s: %w", object, err)
	}
	msg := Message{
		ID: email.Fingerprint(d.MessageID), Session: s.ID, Direction: Out, From: d.From, To: d.To, Cc: d.Cc,
		Subject: d.Subject, MessageID: d.MessageID, InReplyTo: d.InReplyTo, References: d.References,
		At: d.Date.UTC(), Text: d.Text, HTML: d.HTML, Raw: object, Outbound: id, Size: size.n,
	}
	if msg.Text == "" {
		msg.Text = email.TextFromHTML(d.HTML)
	}
	o := Outbound{ID: id, State: Queued, Session: s.ID, Message: msg.ID, Account: a.ID, From: a.Address, Object: object, Size: size.n, Due: msg.At.Add(overdue), CreatedAt: msg.At, UpdatedAt: msg.At}
	for _, list := range [][]email.Address{d.To, d.Cc} {
		for _, to := range list {
			o.To = append(o.To, to.Addr)
		}
	}
	return letter{Outbound: o, Message: msg}, nil
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

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}

// dated is the date of a letter, without a fraction, as a mail tells it.
func dated(now time.Time) time.Time { return now.UTC().Truncate(time.Second) }
