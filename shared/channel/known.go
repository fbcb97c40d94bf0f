package channel

import (
	"context"
	"slices"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/thread"
)

// known is what the database knows of a mail and its ancestors.
type known struct {
	id        string // the mail's own document
	own       *Mail
	ancestors []string         // Message-IDs, nearest first
	mails     map[string]*Mail // by Message-ID, nil where there is none
	sessions  map[string]*Session
	about     *Outbound // the mail of ours that a report is about
	sentFrom  string    // the session that it was sent from, when it is ours and came to another queue
	queue     string    // that other queue; empty without sentFrom
}

func (a *arrival) recall(ctx context.Context, tx Tx) (known, error) {
	m := a.mail
	k := known{id: m.Fingerprint, mails: map[string]*Mail{}, sessions: map[string]*Session{}}
	nearest := m.InReplyTo
	if m.Report != nil { // what a report is about comes before what it answers
		nearest = append([]string{m.Report.OriginalMessageID}, nearest...)
	}
	k.ancestors = thread.Ancestors(m.MessageID, nearest, m.References)
	docs := make([]Mail, len(k.ancestors)+1)
	refs := []*Ref{{Path: mailPath(k.id), Into: &docs[0]}}
	for i, id := range k.ancestors {
		refs = append(refs, &Ref{Path: mailPath(email.Fingerprint(id)), Into: &docs[i+1]})
	}
	if err := tx.Get(ctx, refs...); err != nil {
		return k, err
	}
	if refs[0].Found {
		k.own = &docs[0]
	}
	if k.own != nil && k.own.State != Announced && m.HasMessageID && !a.same(k.own) {
		// A different mail under a known Message-ID is told apart by its content.
		if err := k.byContent(ctx, tx, m); err != nil {
			return k, err
		}
	}
	for i, id := range k.ancestors {
		if refs[i+1].Found {
			k.mails[id] = &docs[i+1]
		}
	}
	if err := k.loadSessions(ctx, tx); err != nil {
		return k, err
	}
	if a.sentElsewhere(&k) {
		if err := k.byContent(ctx, tx, m); err != nil {
			return k, err
		}
	}
	return k, a.recallOriginal(ctx, tx, &k)
}

// byContent takes the mail for another than that of its Message-ID.
func (k *known) byContent(ctx context.Context, tx Tx, m *email.Mail) error {
	k.id, k.own = m.ContentFingerprint, nil
	own, err := get[Mail](ctx, tx, mailPath(k.id))
	k.own = own
	return err
}

// sentElsewhere notes that the mail was sent from another queue. What agents write to a queue's address, or copy it in
// on, is in its mailbox like anybody's mail, and not only in the session that it left from.
func (a *arrival) sentElsewhere(k *known) bool {
	q, ok := a.cat.QueueOf(a.Account)
	if !ok || k.own == nil || k.own.Direction != Out {
		return false
	}
	if s := k.current(k.own); s != nil && s.Queue != q.ID {
		k.sentFrom, k.queue = s.ID, q.ID
	}
	return k.sentFrom != ""
}

// loadSessions reads the sessions that the mails belong to, following merges.
func (k *known) loadSessions(ctx context.Context, tx Tx) error {
	var want []string
	need := func(id string) {
		if id != "" && k.sessions[id] == nil && !slices.Contains(want, id) {
			want = append(want, id)
		}
	}
	if k.own != nil {
		need(k.own.Session)
	}
	for _, m := range k.mails {
		need(m.Session)
	}
	return k.follow(ctx, tx, want)
}

// find reads one more session and returns it, or what it was merged into; nil
// when there is none.
func (k *known) find(ctx context.Context, tx Tx, id string) (*Session, error) {
	if err := k.follow(ctx, tx, []string{id}); err != nil {
		return nil, err
	}
	return k.current(&Mail{Session: id}), nil
}

// follow reads sessions and those that they were merged into.
func (k *known) follow(ctx context.Context, tx Tx, want []string) error {
	for len(want) > 0 {
		docs, refs := make([]Session, len(want)), make([]*Ref, len(want))
		for i, id := range want {
			refs[i] = &Ref{Path: sessionPath(id), Into: &docs[i]}
		}
		if err := tx.Get(ctx, refs...); err != nil {
			return err
		}
		ids := want
		want = nil
		for i, id := range ids {
			if refs[i].Found {
				k.sessions[id] = &docs[i]
				if into := docs[i].MergedInto; into != "" && k.sessions[into] == nil && !slices.Contains(want, into) {
					want = append(want, into)
				}
			}
		}
	}
	return nil
}

// current is the session that a mail belongs to today.
func (k *known) current(m *Mail) *Session {
	if m == nil {
		return nil
	}
	s := k.sessions[m.Session]
	for s != nil && s.MergedInto != "" {
		s = k.sessions[s.MergedInto]
	}
	return s
}

// takesPart tells whether somebody is a participant of a session that the mail
// names.
func (k *known) takesPart(addr string) bool {
	return slices.ContainsFunc(k.ancestors, func(id string) bool {
		s := k.current(k.mails[id])
		return s != nil && slices.Contains(s.Participants, addr)
	})
}

// related tells whether the mail names one of ours, or of a session.
func (k *known) related() bool {
	if k.about != nil {
		return true
	}
	for _, id := range k.ancestors {
		if k.current(k.mails[id]) != nil {
			return true
		}
	}
	return false
}
