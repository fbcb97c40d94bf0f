package channel

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/reply"
	"emailchannel.dev/emailchannel/shared/session"
	"emailchannel.dev/emailchannel/shared/thread"
)

// arrival is one delivery of a parsed mail on its way into the database.
type arrival struct {
	event.Received
	mail  *email.Mail
	files []Attachment
	cat   *Catalog
	keys  [][]byte // of the subject tokens, when the subject seems to hold one
	now   time.Time

	auth    email.Authentication
	forged  bool   // the results speak against the author
	human   bool   // it reads like a report, but is about no mail of ours, or from one who takes part: a person's, for all we know
	refused string // why a token in the subject was not followed
}

// maxSources bounds how many deliveries of one mail are remembered.
const maxSources = 100

// announcedFor is how long a mail that a reply named is expected.
const announcedFor = 400 * 24 * time.Hour

// store writes what the mail means and returns the entries to announce. It
// runs in a transaction and begins by looking whether it ran before.
func (a *arrival) store(ctx context.Context, tx Tx) ([]History, error) {
	a.refused, a.human = "", false // of an attempt before
	k, err := a.recall(ctx, tx)
	if err != nil {
		return nil, err
	}
	if k.own != nil && k.own.State != Announced {
		return a.again(ctx, tx, k)
	}
	d, suppressed, err := a.decide(ctx, tx, &k)
	switch {
	case err != nil:
		return nil, err
	case suppressed != "":
		a.put(tx, k, Mail{State: Suppressed, Rule: suppressed})
		return nil, nil
	case d.Join == "":
		return a.open(tx, k, d)
	}
	return a.join(ctx, tx, k, d)
}

// decide tells where the mail belongs, or why it makes no session: a report
// about a mail that is none of ours has nobody to answer and nothing to do.
func (a *arrival) decide(ctx context.Context, tx Tx, k *known) (d thread.Decision, suppressed string, err error) {
	a.human = a.mail.Report != nil && a.mail.Report.Unsure && (!k.related() || k.takesPart(a.sender()))
	if a.report() && !k.related() {
		return d, string(a.mail.Class) + " about no mail of ours", nil
	}
	d = a.byAncestors(*k)
	if d.Join == "" && !a.report() && k.sentFrom == "" {
		d, err = a.byToken(ctx, tx, k, d)
	}
	return d, "", err
}

// same tells whether a mail with this one's Message-ID is this one. Servers on
// the way change much, but neither the sender nor the date; broken programs and
// hostile people use an ID again.
func (a *arrival) same(m *Mail) bool {
	if m.Content != "" && a.mail.Date.IsZero() && m.Content != a.mail.ContentFingerprint {
		return false
	}
	return (m.State == Erased || m.Sender == a.sender()) && (m.Sent.IsZero() || a.mail.Date.IsZero() || m.Sent.Equal(a.mail.Date))
}

// again handles a mail that is stored: another delivery of the event, or of
// the mail itself to a second account or by a second server (SE-8).
func (a *arrival) again(ctx context.Context, tx Tx, k known) ([]History, error) {
	seen := slices.Contains(k.own.Sources, a.Source)
	if seen && k.own.Retention != Purged {
		return a.unpublished(ctx, tx, k)
	}
	fields := map[string]any{}
	if !seen && len(k.own.Sources) < maxSources {
		fields["sources"] = append(slices.Clone(k.own.Sources), a.Source)
	}
	if k.own.Retention == Purged { // its objects are there once more, and Purge deletes them once more
		fields["retention"] = Purging
	}
	if len(fields) > 0 {
		tx.Patch(mailPath(k.id), fields)
	}
	return nil, nil
}

// unpublished returns the entry of the mail's arrival if its event may not
// have been published before a crash.
func (a *arrival) unpublished(ctx context.Context, tx Tx, k known) ([]History, error) {
	if k.own.Event == "" {
		return nil, nil
	}
	h, err := get[History](ctx, tx, historyPath(k.own.Session, k.own.Event))
	if err != nil || h == nil || h.Due.IsZero() {
		return nil, err
	}
	return []History{*h}, nil
}

// report tells whether the mail is about another mail.
func (a *arrival) report() bool {
	return (a.mail.Class == email.ClassBounce || a.mail.Class == email.ClassFeedback) && !a.human
}

func (a *arrival) byAncestors(k known) thread.Decision {
	m := thread.Mail{Sender: a.sender(), Trusted: a.report() || a.cat.Own(a.sender())}
	var cs []thread.Candidate
	if k.about != nil {
		if s := k.current(&Mail{Session: k.about.Session}); s != nil {
			cs = append(cs, thread.Candidate{By: k.about.ID, Session: thread.Session{ID: s.ID, Participants: s.Participants}})
		}
	}
	for _, id := range k.ancestors {
		if s := k.current(k.mails[id]); s != nil && (k.sentFrom == "" || s.Queue == k.queue) {
			cs = append(cs, thread.Candidate{By: id, Session: thread.Session{ID: s.ID, Participants: s.Participants}})
		}
	}
	if s := k.current(k.own); s != nil {
		cs = append(cs, thread.Candidate{By: a.mail.MessageID, Own: true, Session: thread.Session{ID: s.ID, Participants: s.Participants}})
	}
	d := thread.Decide(m, cs)
	if k.sentFrom != "" && d.Join == "" && d.Linked == "" {
		d.Linked, d.Rule = k.sentFrom, thread.RuleOurs
	}
	if d.Join != "" && a.report() {
		d.Rule = thread.RuleBounced
	}
	return d
}

// open starts a session with the mail.
func (a *arrival) open(tx Tx, k known, d thread.Decision) ([]History, error) {
	id, err := session.NewID(rand.Reader)
	if err != nil {
		return nil, err
	}
	account := a.addressee(k)
	s := Session{ID: id, Account: account, Subject: a.mail.Subject, Consumer: a.consumer(), CreatedAt: a.now, FirstMessage: k.id, Linked: d.Linked}
	if d.Linked != "" {
		s.LinkedBy = d.Rule
	}
	if q, ok := a.cat.QueueOf(account); ok {
		s.Queue = q.ID
	}
	if err := s.apply(session.Inbound, a.cat.Session, a.now); err != nil {
		return nil, err
	}
	s.wait(a.now)
	return []History{a.write(tx, k, d, s, reply.First, true)}, nil
}

// addressee is the account whose session the mail begins. One that was written to several of ours is the first one's
// that it names, To before Cc, so that it does not depend on whose mailbox is polled first.
func (a *arrival) addressee(k known) string {
	first, named := "", false
	for _, list := range [][]email.Address{a.mail.To, a.mail.Cc} {
		for _, addr := range list {
			id, ok := a.cat.accountAt(addr.Addr)
			if q, used := a.cat.QueueOf(id); ok && used && first == "" && a.cat.Serving(q.ID) {
				first = id
			}
			named = named || id == a.Account
		}
	}
	if !named || first == "" || k.sentFrom != "" { // it came by a list, an alias or a rule, which is how it is for this account
		return a.Account
	}
	return first
}

// join adds the mail to a session. An end user's mail moves the session; a
// report, or a machine's answer, does not.
func (a *arrival) join(ctx context.Context, tx Tx, k known, d thread.Decision) ([]History, error) {
	s := *k.sessions[d.Join]
	before := s
	var scenario reply.Scenario
	var due bool
	if a.human || a.mail.Class == email.ClassNormal || a.mail.Class == email.ClassList {
		scenario, due = reply.Decide(before.facts(), a.now)
		err := s.apply(session.Inbound, a.cat.Session, a.now)
		if errors.Is(err, session.ErrNewSession) && len(d.Merge) > 0 { // its replies began the new session already
			return a.join(ctx, tx, k, thread.Decision{Rule: thread.RuleAnnounced, Join: d.Merge[0], Merge: d.Merge[1:], By: a.mail.MessageID})
		}
		if errors.Is(err, session.ErrNewSession) {
			return a.open(tx, k, thread.Decision{Rule: thread.RuleExpired, Linked: d.Join, By: d.By})
		}
		if err == nil {
			err = a.rehome(ctx, tx, &s, before.State)
		}
		if err != nil {
			return nil, err
		}
		if s.State == session.Active || s.State == session.Reopened {
			s.wait(a.now)
		}
	}
	merged, err := a.merge(ctx, tx, k, &s, d.Merge)
	if err != nil {
		return nil, err
	}
	load(tx, before, s)
	return append(merged, a.write(tx, k, d, s, scenario, due)), nil
}

// rehome puts a session that was closed, or whose queue was deleted, where
// somebody can work on it: into the queue that takes the mail now if its own is
// gone, and to its agent only if he still serves that.
func (a *arrival) rehome(ctx context.Context, tx Tx, s *Session, was session.State) error {
	if _, ok := a.cat.ByQueue[s.Queue]; !ok {
		q, ok := a.cat.QueueOf(a.Account)
		if !ok {
			return nil
		}
		s.Queue = q.ID
		if !slices.Contains(q.Accounts, s.Account) {
			s.Account = a.Account
		}
	} else if was != session.Closed {
		return nil
	}
	return s.letGo(ctx, tx)
}

// write stores the mail, its message, the session and the entry of its arrival.
func (a *arrival) write(tx Tx, k known, d thread.Decision, s Session, sc reply.Scenario, answer bool) History {
	msg := a.message(k, s)
	if answer {
		msg.NoAnswer = a.noAnswer(&s)
	}
	if d.Rule == thread.RuleBounced {
		a.bounce(tx, k, s.ID, &msg)
	}
	s.Messages++
	s.UpdatedAt = a.now
	if !a.report() {
		s.LastInbound = k.id
		s.Participants = a.participants(s.Participants)
	}
	kind := session.KindReceived
	if d.Rule == thread.RuleBounced && (msg.Bounced != "" || a.mail.Class == email.ClassFeedback) {
		kind = session.KindBounced
	}
	h := entry(&s, kind, "received-"+k.id, ActorEndUser, a.now)
	h.Message, h.Rule, h.To, h.Note = k.id, string(d.Rule), string(s.State), msg.Bounced
	h.Began = s.Messages == 1 && d.Rule != thread.RuleExpired
	if a.refused != "" {
		h.Inputs = append(h.Inputs, "token:"+a.refused)
	}
	h.Inputs = append(h.Inputs, "by:"+d.By, "account:"+a.Account, "class:"+string(a.mail.Class), "linked:"+d.Linked)
	if s.Messages == 1 && s.Account != a.Account {
		h.Inputs = append(h.Inputs, "addressee:"+s.Account)
	}
	if answer && msg.NoAnswer == "" {
		h.Scenario = string(sc)
	}
	tx.Set(sessionPath(s.ID), s)
	tx.Set(messagePath(s.ID, k.id), msg)
	tx.Set(historyPath(s.ID, h.ID), h)
	a.put(tx, k, Mail{State: Stored, Session: s.ID, Rule: string(d.Rule), Event: h.ID})
	a.announceAncestors(tx, k, s.ID)
	return h
}

func (a *arrival) put(tx Tx, k known, m Mail) {
	m.Direction, m.MessageID, m.Sender, m.Sent = In, a.mail.MessageID, a.sender(), a.mail.Date.UTC()
	if a.mail.HasMessageID && a.mail.Date.IsZero() && k.id != a.mail.ContentFingerprint {
		m.Content = a.mail.ContentFingerprint
	}
	m.Sources, m.Raw, m.At = []event.Source{a.Source}, a.Object, a.now
	tx.Set(mailPath(k.id), m)
}

// announceAncestors makes the ancestors that nobody has seen yet lead to the
// session, should they arrive after their replies.
func (a *arrival) announceAncestors(tx Tx, k known, session string) {
	for _, id := range k.ancestors {
		if k.mails[id] == nil {
			tx.Set(mailPath(email.Fingerprint(id)), Mail{State: Announced, Session: session, MessageID: id, At: a.now, Expires: a.now.Add(announcedFor)})
		}
	}
}

// noAnswer tells why this mail must not be answered by a machine (AR-6).
func (a *arrival) noAnswer(s *Session) string {
	if reason, ok := a.mail.Suppress(); ok {
		return reason
	}
	switch from := a.sender(); {
	case from == "":
		return "no sender"
	case a.cat.returns(from):
		return "own address"
	case s.Queue == "":
		return "no queue"
	case a.old():
		return "in the mailbox before the account was added"
	case a.forged && a.cat.ByQueue[s.Queue].Forged == ForgedMark:
		return "the sender's address failed authentication: " + proof(a.auth)
	}
	return ""
}

// clocksApart is how far a mail server's clock may be behind ours.
const clocksApart = time.Hour

// old tells whether the mail was there before its account: the archive of a mailbox that served people until now.
func (a *arrival) old() bool {
	added := a.cat.Accounts[a.Account].CreatedAt
	return !added.IsZero() && !a.ReceivedAt.IsZero() && a.ReceivedAt.Before(added.Add(-clocksApart))
}

func (a *arrival) message(k known, s Session) Message {
	m := a.mail
	msg := Message{
		ID: k.id, Session: s.ID, Direction: In, From: a.consumer(), ReplyTo: m.ReplyTo, To: m.To, Cc: m.Cc,
		Subject: m.Subject, MessageID: m.MessageID, References: m.References, At: a.now,
		Text: m.Text, HTML: m.HTML, Attachments: a.files, Class: m.Class, ClassReason: m.ClassReason,
		Degraded: m.Degraded, Raw: a.Object, Size: m.Bytes,
	}
	if len(m.InReplyTo) > 0 {
		msg.InReplyTo = m.InReplyTo[0]
	}
	if a.auth.Source != "" {
		msg.Authentication = &a.auth
	}
	msg.fit()
	return msg
}

// sender is the address that counts as the writer's: From, else Sender, else the envelope's.
func (a *arrival) sender() string { return email.Normalize(a.consumer().Addr) }

func (a *arrival) consumer() email.Address {
	for _, list := range [][]email.Address{a.mail.From, a.mail.Sender} {
		for _, addr := range list {
			if addr.Addr != "" {
				return addr
			}
		}
	}
	return email.Address{Addr: a.mail.ReturnPath}
}

// maxParticipants bounds a session's participants; those who came first stay.
const maxParticipants = 200

func (a *arrival) participants(have []string) []string {
	out := slices.Clone(have)
	add := func(addr string) {
		if addr = email.Normalize(addr); addr != "" && len(out) < maxParticipants && !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	add(a.sender())
	for _, list := range [][]email.Address{a.mail.From, a.mail.ReplyTo, a.mail.To, a.mail.Cc} {
		for _, addr := range list {
			add(addr.Addr)
		}
	}
	return out
}
