// Package demo shows what the channel does, from outside: it sends mail by
// SMTP, reads the customers' mailboxes by IMAP, looks at sessions and replies
// by the API, and finds the tickets in Zendesk.
package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"net/url"
	"strconv"
	"time"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/mailbox"
	"emailchannel.dev/emailchannel/shared/zendesk"
)

// ErrNoSuite is returned when no suite answers at the addresses.
var ErrNoSuite = errors.New("no suite answers")

type demo struct {
	out   io.Writer
	addrs suite.Addrs
	start time.Time
}

// Run walks three mails through the suite and tells what happens.
func Run(ctx context.Context, out io.Writer, addrs suite.Addrs, corpus string) error {
	d := demo{out: out, addrs: addrs, start: time.Now()}
	if err := d.api(ctx, http.MethodGet, "/v1/queues", nil, nil); err != nil {
		return errors.Join(ErrNoSuite, err)
	}
	mails, source := three(corpus)
	fmt.Fprintf(out, "three mails of %s\n", source)
	var last *seen
	for _, m := range mails {
		s, err := d.customer(ctx, m)
		if err != nil {
			return fmt.Errorf("mail of %s: %w", m.from, err)
		}
		last = s
	}
	if last == nil {
		return errors.New("no mail to send")
	}
	return d.conversation(ctx, last)
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "%6.2fs  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

// seen is a session with the mail that began it.
type seen struct {
	session
	mail mail
}

type session struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Queue    string `json:"queue"`
	Agent    string `json:"agent"`
	Messages int    `json:"messages"`
}

// customer sends a mail and waits for session, agent, answer and ticket.
func (d *demo) customer(ctx context.Context, m mail) (*seen, error) {
	before, err := d.inbox(ctx, m.from)
	if err != nil {
		return nil, err
	}
	if err := d.send(m.from, m.to, m.raw); err != nil {
		return nil, err
	}
	d.say("%s writes to %s: %q", m.from, m.to, m.subject)
	sent, err := email.Parse(bytes.NewReader(m.raw), "", email.DefaultLimits(), nil)
	if err != nil {
		return nil, err
	}
	s := seen{mail: m}
	err = until(ctx, func() (bool, error) {
		s.session, err = d.sessionOf(ctx, m.from, sent.MessageID)
		return s.ID != "", err
	})
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	d.say("  session %s in queue %s, %s", s.ID, s.Queue, s.State)
	err = until(ctx, func() (bool, error) {
		err := d.api(ctx, http.MethodGet, "/v1/sessions/"+s.ID, nil, &s.session)
		return s.Agent != "", err
	})
	if err != nil {
		return nil, fmt.Errorf("assignment: %w", err)
	}
	d.say("  assigned to %s", s.Agent)
	answer, err := d.next(ctx, m.from, before)
	if err != nil {
		return nil, fmt.Errorf("auto-reply: %w", err)
	}
	d.say("  auto-reply in the customer's mailbox: %q (In-Reply-To <%s>, %s)", answer.Subject, answer.InReplyTo[0], answer.ClassReason)
	return &s, d.ticket(ctx, s.ID)
}

// send delivers a mail as a customer's server would. It does not use STARTTLS,
// which net/smtp's SendMail would, as nobody knows the suite's certificate.
func (d *demo) send(from, to string, raw []byte) error {
	c, err := smtp.Dial(d.addrs.SMTP)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := errors.Join(c.Mail(from), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(raw); err != nil {
		return err
	}
	return errors.Join(w.Close(), c.Quit())
}

// sessionOf finds the session that has the mail.
func (d *demo) sessionOf(ctx context.Context, from, messageID string) (session, error) {
	var list struct{ Items []session }
	if err := d.api(ctx, http.MethodGet, "/v1/sessions?address="+url.QueryEscape(email.Normalize(from)), nil, &list); err != nil {
		return session{}, err
	}
	for _, s := range list.Items {
		var msgs struct {
			Items []struct {
				MessageID string `json:"message_id"`
			}
		}
		if err := d.api(ctx, http.MethodGet, "/v1/sessions/"+s.ID+"/messages", nil, &msgs); err != nil {
			return session{}, err
		}
		for _, m := range msgs.Items {
			if m.MessageID == messageID {
				return s, nil
			}
		}
	}
	return session{}, nil
}

func (d *demo) ticket(ctx context.Context, id string) error {
	c := zendesk.New(zendesk.Config{BaseURL: "http://" + d.addrs.Zendesk, Email: "channel@example.com", Token: "demo"})
	err := until(ctx, func() (bool, error) {
		t, err := c.TicketByExternalID(ctx, id)
		if err != nil || t == nil {
			return false, err
		}
		d.say("  ticket %d in Zendesk: %q, http://%s/agent/tickets/%d", t.ID, t.Subject, d.addrs.Zendesk, t.ID)
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("ticket: %w", err)
	}
	return nil
}

// conversation has the agent reply and the customer answer.
func (d *demo) conversation(ctx context.Context, s *seen) error {
	before, err := d.inbox(ctx, s.mail.from)
	if err != nil {
		return err
	}
	body := map[string]any{"text": "Hello,\n\nI am looking into it and come back to you today.\n"}
	if err := d.api(ctx, http.MethodPost, "/v1/sessions/"+s.ID+"/reply", body, nil); err != nil {
		return fmt.Errorf("agent's reply: %w", err)
	}
	reply, err := d.next(ctx, s.mail.from, before)
	if err != nil {
		return fmt.Errorf("agent's reply: %w", err)
	}
	d.say("%s replies by the API; in the customer's mailbox: %q", s.Agent, reply.Subject)
	raw := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%s@demo.example>\r\nIn-Reply-To: <%s>\r\nReferences: <%s>\r\n\r\nThank you, that is all I need.\r\n",
		s.mail.from, s.mail.to, "Re: thanks", rand.Text(), reply.MessageID, reply.MessageID)
	if err := d.send(s.mail.from, s.mail.to, []byte(raw)); err != nil {
		return err
	}
	d.say("%s answers, with another subject", s.mail.from)
	have := s.Messages
	err = until(ctx, func() (bool, error) {
		err := d.api(ctx, http.MethodGet, "/v1/sessions/"+s.ID, nil, &s.session)
		return s.Messages >= have+2, err
	})
	if err != nil {
		return fmt.Errorf("the answer does not thread: %w", err)
	}
	d.say("  it is in the same session %s, %s, which has %d mails now", s.ID, s.State, s.Messages)
	fmt.Fprintf(d.out, "done; look at http://%s/\n", d.addrs.HTTP)
	return nil
}

// inbox is how far a customer's INBOX goes.
func (d *demo) inbox(ctx context.Context, addr string) (mailbox.Cursor, error) {
	return d.fetch(ctx, addr, mailbox.Cursor{}, func(*email.Mail) {})
}

// next waits for the customer's next mail.
func (d *demo) next(ctx context.Context, addr string, from mailbox.Cursor) (*email.Mail, error) {
	var got *email.Mail
	err := until(ctx, func() (bool, error) {
		_, err := d.fetch(ctx, addr, from, func(m *email.Mail) {
			if got == nil && len(m.InReplyTo) > 0 {
				got = m
			}
		})
		return got != nil, err
	})
	return got, err
}

func (d *demo) fetch(ctx context.Context, addr string, from mailbox.Cursor, each func(*email.Mail)) (mailbox.Cursor, error) {
	host, port, err := net.SplitHostPort(d.addrs.IMAP)
	if err != nil {
		return from, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return from, err
	}
	dialer := &mailbox.Dialer{AllowInsecure: true}
	return dialer.Fetch(ctx, mailbox.Server{Host: host, Port: n, Security: "none"}, mailbox.Login{User: addr, Password: suite.DemoPassword, Mechanism: mailbox.MechanismPassword}, "INBOX", from, 1000,
		func(_ context.Context, it mailbox.Item) error {
			m, err := email.Parse(it.Body, "", email.DefaultLimits(), nil)
			if err == nil {
				each(m)
			}
			return err
		})
}

// api calls the channel's API as its admin.
func (d *demo) api(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+d.addrs.HTTP+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer supervisor-token")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", rand.Text())
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// until asks again until it is so, or the context ends.
func until(ctx context.Context, ask func() (bool, error)) error {
	for {
		ok, err := ask()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
