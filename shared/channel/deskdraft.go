package channel

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/session"
)

// outgoing is a mail that is about to be written: its outbound ID, its account
// and its session as far as that is known.
type outgoing struct {
	id    string
	asked string // see Outbound.Asked
	cat   *Catalog
	from  Account
	s     Session
	words Words
	draft email.Draft

	enclosed []Attachment // the words' uploads, as the message has them
	pictures []Attachment // of the queue's signature
}

const (
	maxRecipients = 100
	maxKey        = 200
	maxAddress    = 320       // bytes of an address, and of the name beside it
	maxSubject    = 998       // bytes: a line of RFC 5322 2.1.1, were it not folded
	maxWords      = 400 << 10 // bytes of text and of HTML; both fit a document of 1 MiB
)

// reply drafts the answer to a session's last mail.
func (d *Desk) reply(ctx context.Context, n *outgoing, ag *Agent) error {
	cat, err := d.Config.Load(ctx)
	if err != nil {
		return err
	}
	n.cat = cat
	s, w := &n.s, n.words
	if n.from, err = sender(cat, s.Queue, s.Account); err != nil {
		return err
	}
	last, err := d.last(ctx, s)
	if err != nil {
		return err
	}
	if len(w.To) == 0 {
		w.To = answerTo(cat, *s, last)
	}
	n.draft = d.draft(n.from, ag, w)
	n.sign(s.Queue, ag)
	n.draft.Subject = email.ReplySubject(s.Subject)
	if last != nil {
		n.draft.InReplyTo, n.draft.References = last.MessageID, references(*last)
	}
	bad := w.check()
	if w.Subject != "" && w.Subject != n.draft.Subject {
		n.draft.Subject = w.Subject
		if !cat.SubjectEdit {
			bad.add("subject", "subject line editing is off (subject_edit)")
		}
	}
	if n.draft.Subject, err = d.mark(ctx, cat, s, n.draft.Subject); err != nil {
		return err
	}
	return bad.err()
}

// last is the mail that a reply answers: the end user's last, else the first
// of all; nil if it is not there any more.
func (d *Desk) last(ctx context.Context, s *Session) (*Message, error) {
	id := cmp.Or(s.LastInbound, s.FirstMessage)
	if id == "" {
		return nil, nil
	}
	return get[Message](ctx, d.Docs, messagePath(s.ID, id))
}

// answerTo are those who are answered. A Reply-To that leads back to us, as web forms write it, or to no address is
// as good as none.
func answerTo(cat *Catalog, s Session, last *Message) []email.Address {
	switch {
	case last == nil:
		return []email.Address{s.Consumer}
	case last.Direction == Out:
		return last.To
	}
	var to []email.Address
	seen := map[string]bool{}
	for _, a := range last.ReplyTo {
		if addr := email.Normalize(a.Addr); isAddress(a.Addr) && !cat.returns(addr) && !seen[addr] {
			to, seen[addr] = append(to, a), true
		}
	}
	if len(to) == 0 {
		return []email.Address{last.From}
	}
	return to
}

// compose drafts the first mail of a new session.
func (d *Desk) compose(ctx context.Context, who Actor, queue string, n *outgoing) error {
	w := n.words
	cat, err := d.Config.Load(ctx)
	if err != nil {
		return err
	}
	ag, err := agentOf(ctx, d.Docs, who)
	if err != nil {
		return err
	}
	bad := w.check()
	if w.Subject == "" {
		bad.add("subject", "missing")
	}
	if len(w.To) == 0 {
		bad.add("to", "missing")
	}
	if _, ok := cat.ByQueue[queue]; !ok {
		bad.add("queue", "there is no queue %q", queue)
	}
	if err := bad.err(); err != nil {
		return err
	}
	if !serves(who, ag, queue) {
		return fmt.Errorf("%s does not serve queue %s: %w", who.ID, queue, ErrForbidden)
	}
	n.cat = cat
	if n.from, err = sender(cat, queue, ""); err != nil {
		return err
	}
	n.draft = d.draft(n.from, ag, w)
	n.sign(queue, ag)
	n.draft.Subject = w.Subject
	id, err := session.NewID(rand.Reader)
	n.s = Session{ID: id, Queue: queue, Account: n.from.ID, Subject: w.Subject, Consumer: w.To[0]}
	return err
}

// sender is the account that a session's mail goes out from.
func sender(cat *Catalog, queue, account string) (Account, error) {
	if a, ok := cat.Accounts[account]; ok {
		return a, nil
	}
	for _, id := range cat.ByQueue[queue].Accounts {
		if a, ok := cat.Accounts[id]; ok {
			return a, nil
		}
	}
	return Account{}, conflict("queue %s has no email assigned", queue)
}

// draft is a mail with these words, under the agent's name from the account's address.
func (d *Desk) draft(from Account, ag *Agent, w Words) email.Draft {
	m := email.Draft{From: email.Address{Addr: from.Address}, To: w.To, Cc: w.Cc, Date: dated(d.Now()), Text: w.Text, HTML: w.HTML}
	if ag != nil {
		m.From.Name = ag.Name
	}
	if m.Text == "" {
		m.Text = email.TextFromHTML(m.HTML)
	}
	return m
}

func (w Words) check() *Invalid {
	var bad Invalid
	if w.Key == "" || len(w.Key) > maxKey {
		bad.add("idempotency_key", "must have 1 to %d characters", maxKey)
	}
	if strings.TrimSpace(w.Text+w.HTML) == "" {
		bad.add("text", "text or html must say something")
	}
	if len(w.Text) > maxWords || len(w.HTML) > maxWords {
		bad.add("text", "text and html may have %d bytes each", maxWords)
	}
	bad.line("subject", w.Subject, maxSubject)
	bad.enclosures(w)
	bad.recipients("to", w.To)
	bad.recipients("cc", w.Cc)
	if n := len(w.To) + len(w.Cc); n > maxRecipients {
		bad.add("to", "%d recipients, at most %d", n, maxRecipients)
	}
	return &bad
}

func (e *Invalid) recipients(field string, list []email.Address) {
	for i, a := range list {
		if !isAddress(a.Addr) {
			e.add(fmt.Sprintf("%s[%d].addr", field, i), "%q is not an address", a.Addr)
		}
		e.line(fmt.Sprintf("%s[%d].name", field, i), a.Name, maxAddress)
	}
}

// isAddress tells whether s is one plain address and nothing else.
func isAddress(s string) bool {
	list := email.ParseAddressList(s)
	return len(s) <= maxAddress && len(list) == 1 && list[0].Addr == s && list[0].Name == "" && !strings.ContainsAny(s, " \r\n\t<>,;") && strings.Count(s, "@") == 1
}
