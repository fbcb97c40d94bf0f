package mailserver

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// envelope is what an MTA knows about a mail besides its bytes.
type envelope struct {
	from     string
	rcpts    []string
	helo     string // what the client called itself
	peer     string // its address, "" when there was no network
	protocol string // the "with" clause of Received (RFC 3848)
	bare     bool   // no trace headers
}

// deliver stores the mail once and enters it into every recipient's INBOX in one write: either all have it or none.
// It returns the queue ID.
func (s *Server) deliver(e envelope, raw io.Reader) (id string, err error) {
	rcpts := distinct(e.rcpts)
	now := s.opt.Now()
	body, err := s.store.bodies.create()
	if err != nil {
		return "", err
	}
	if !e.bare {
		raw = io.MultiReader(strings.NewReader(e.trace(body.name, rcpts, now)), raw)
	}
	size, err := body.fill(raw)
	if err != nil {
		return "", err
	}
	if err := s.store.add(rcpts, inbox, message{date: now, size: size, body: body.name}); err != nil {
		s.store.bodies.remove(body.name)
		return "", err
	}
	if s.opt.Delivered != nil {
		for _, rcpt := range rcpts {
			s.opt.Delivered(rcpt)
		}
	}
	return body.name, nil
}

// trace returns Return-Path and Received (RFC 5321 §4.4). "for" is left out when there are several recipients, both
// because the RFC asks for it (it would disclose blind copies) and because they share one file.
func (e envelope) trace(id string, rcpts []string, now time.Time) string {
	from := e.helo
	if e.peer != "" {
		from += " (" + e.peer + ")"
	}
	recipient := ""
	if len(rcpts) == 1 {
		recipient = fmt.Sprintf("\r\n\tfor <%s>", rcpts[0])
	}
	return fmt.Sprintf("Return-Path: <%s>\r\nReceived: from %s\r\n\tby mail.localhost with %s id %s%s;\r\n\t%s\r\n",
		e.from, from, e.protocol, id, recipient, now.Format(time.RFC1123Z))
}

// address is the key of a mailbox. Case is ignored everywhere, which no server does differently in practice.
func address(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func distinct(rcpts []string) []string {
	seen := make(map[string]bool, len(rcpts))
	var out []string
	for _, r := range rcpts {
		if r = address(r); !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	return out
}
