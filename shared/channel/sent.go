package channel

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/session"
)

// SentFolder is an account's folder of sent mail. It is where the fate of an
// uncertain mail may be seen, the name under which a server sent ours, and
// where a copy goes if the account wants one (AG-3).
type SentFolder interface {
	// FindSent looks for the letter by its ID in our own header field or by its
	// Message-ID, and returns the Message-ID that it has there; "" when it is
	// not there.
	FindSent(ctx context.Context, a Account, secret, id, messageID string) (string, error)
	// AppendSent files a copy.
	AppendSent(ctx context.Context, a Account, secret string, at time.Time, size int64, msg io.Reader) error
}

// lookAfter is when the folder is looked into, again and again: a server files
// what it sends within minutes, or, if it was down, when it is back.
var lookAfter = []time.Duration{5 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

// look files the copy of an accepted mail, or finds out about an uncertain one.
// A mail that is not in the folder may have been sent all the same, so it
// stays uncertain.
func (s *Send) look(ctx context.Context, a Account, o *try) error {
	at, err := s.sent(ctx, a, o)
	now := s.Now().UTC()
	switch {
	case err != nil && o.Looks+1 < len(lookAfter), err == nil && at == "" && o.State == Uncertain && o.Looks+1 < len(lookAfter):
		if err != nil {
			slog.WarnContext(ctx, "folder of sent mail", "outbound", o.ID, "account", a.ID, "error", err)
		}
		return s.Docs.Write(ctx, func(tx Tx) {
			o.patch(tx, map[string]any{"due": now.Add(lookAfter[o.Looks+1]), "looks": o.Looks + 1})
		})
	case err != nil || at == "" && o.State == Uncertain:
		return s.Docs.Write(ctx, func(tx Tx) { o.patch(tx, map[string]any{"due": nil}) })
	}
	return s.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		free, err := unknown(ctx, tx, at)
		if err != nil {
			return err
		}
		fields := map[string]any{"due": nil}
		if o.State == Uncertain {
			const why = "found in the folder of sent mail"
			fields["state"], fields["answer"], fields["updated_at"] = Accepted, why, now
			h := History{ID: "found-" + o.ID, Session: o.Session, Kind: session.KindSent, At: now, Actor: ActorChannel, Agent: o.Agent, Message: o.Message, From: string(Uncertain), To: string(Accepted), Note: why}
			tx.Set(historyPath(h.Session, h.ID), h)
		}
		o.patch(tx, fields)
		if free {
			alias(tx, o.Outbound, at, now)
		}
		return nil
	})
}

// unknown tells whether no mail came in under a Message-ID. One of ours that
// came to another of our queues is a mail of that.
func unknown(ctx context.Context, tx Tx, id string) (bool, error) {
	if id == "" {
		return true, nil
	}
	m, err := get[Mail](ctx, tx, mailPath(email.Fingerprint(id)))
	return m == nil || m.State == Announced, err
}

// sent finds the letter in the folder; of an accepted one it files a copy where
// there is none.
func (s *Send) sent(ctx context.Context, a Account, o *try) (at string, err error) {
	if a.ID == "" || a.OutboundOnly {
		return "", fmt.Errorf("account %s has no folders", o.Account)
	}
	secret, err := s.Secrets.Get(ctx, a.Secret)
	if err != nil {
		return "", fmt.Errorf("secret of account %s: %w", a.ID, err)
	}
	at, err = s.Folder.FindSent(ctx, a, secret, o.ID, messageID(o.ID, a))
	if err != nil || at != "" || o.State != Accepted || !a.Sent.Copy {
		return at, err
	}
	body, err := s.Archive.Open(ctx, o.Object)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", o.Object, err)
	}
	defer body.Close()
	return "", s.Folder.AppendSent(ctx, a, secret, o.CreatedAt, o.Size, body)
}

// messageID is the one that the account's letters of this ID have.
func messageID(id string, a Account) string {
	_, domain, _ := strings.Cut(a.Address, "@")
	return email.NewMessageID(id, domain)
}

// alias makes mail that answers the letter under another Message-ID find its
// session (SE-8).
func alias(tx Tx, o *Outbound, id string, now time.Time) {
	if id == "" || email.Fingerprint(id) == o.Message {
		return
	}
	tx.Set(mailPath(email.Fingerprint(id)), Mail{State: Stored, Session: o.Session, Direction: Out, MessageID: id, Sender: email.Normalize(o.From), Outbound: o.ID, Raw: o.Object, At: now})
}

var sesHost = regexp.MustCompile(`^email-smtp(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com$`)

// renamed is the Message-ID that a server says it put in place of ours; "" when
// it says nothing. Exchange Online names it in angle brackets; Amazon SES
// answers "Ok" and the part before its domain:
// https://docs.aws.amazon.com/ses/latest/dg/header-fields.html.
func renamed(server Server, answer string) string {
	if ids := email.ParseMessageIDs(answer); len(ids) > 0 && strings.Contains(answer, "<") {
		return ids[0]
	}
	region := sesHost.FindStringSubmatch(server.Host)
	words := strings.Fields(answer)
	if region == nil || len(words) < 2 || !strings.EqualFold(words[0], "ok") {
		return ""
	}
	domain := region[1] + ".amazonses.com"
	if region[1] == "us-east-1" {
		domain = "email.amazonses.com"
	}
	return words[1] + "@" + domain
}
