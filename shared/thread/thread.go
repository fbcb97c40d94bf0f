// Package thread decides which session a mail belongs to (SE-8).
//
// A mail names its ancestors in In-Reply-To and References (RFC 5322 3.6.4).
// Each one is looked up among the mails that were received, sent or announced;
// the nearest known ancestor wins. Subjects never decide. Replies may arrive
// before what they answer: the ancestors that they name are then announced,
// and the late one finds the session of its replies.
//
// A sender who has no part in the conversation does not join it: his mail gets
// a session of its own that points to the one it names, so that agents see the
// connection and nobody reads or steers a conversation by guessing an ID. Mail
// of ours that comes to another queue than it was sent from gets one, too.
package thread

import "slices"

// MaxAncestors bounds how many Message-IDs of a mail are looked up.
const MaxAncestors = 12

// Ancestors returns the Message-IDs to look up, nearest first: In-Reply-To,
// then References from its end. Of more than [MaxAncestors] the nearest and,
// as the root says most about old threads, the first are kept.
func Ancestors(self string, inReplyTo, references []string) []string {
	var ids []string
	add := func(id string) {
		if id != "" && id != self && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range inReplyTo {
		add(id)
	}
	for _, id := range slices.Backward(references) {
		add(id)
	}
	if len(ids) > MaxAncestors {
		ids = append(ids[:MaxAncestors-1], ids[len(ids)-1])
	}
	return ids
}

// Rule names why a mail went where it went.
type Rule string

const (
	RuleNew            Rule = "new"             // no ancestor is known
	RuleAncestor       Rule = "ancestor"        // In-Reply-To or References name a known mail
	RuleAnnounced      Rule = "announced"       // an earlier mail named this one as its ancestor
	RuleBounced        Rule = "bounced"         // a report about a mail that we sent
	RuleToken          Rule = "token"           // a signed token in the subject (CH-2)
	RuleTokenRefused   Rule = "token-refused"   // a token that CH-5 does not accept
	RuleNotParticipant Rule = "not-participant" // the sender takes no part in the thread
	RuleExpired        Rule = "expired"         // the session is closed for good (SE-5)
	RuleOurs           Rule = "ours"            // an agent of another queue wrote it
)

// Opens tells whether a mail under the rule begins a session.
func (r Rule) Opens() bool {
	switch r {
	case RuleNew, RuleNotParticipant, RuleTokenRefused, RuleExpired, RuleOurs:
		return true
	}
	return false
}

// Session is what the decision needs of a session that the mail may join.
type Session struct {
	ID           string
	Participants []string // normalised addresses
}

// Mail is what the decision needs of a mail.
type Mail struct {
	Sender  string // normalised address
	Trusted bool   // sent by the channel itself, or a report about its mail
}

// Takes tells whether the sender of m takes part in s.
func Takes(m Mail, s Session) bool {
	return m.Trusted || m.Sender != "" && slices.Contains(s.Participants, m.Sender)
}

// RefuseToken tells why a mail may not join the session that a well-signed
// token in its subject names; "" when it may (CH-5). served says that the mail
// came in on an account of the session's queue, forged that its sender is not
// who he claims to be, as far as mail authentication can tell.
func RefuseToken(m Mail, s Session, served, forged bool) string {
	switch {
	case !served:
		return "the session's queue is not served by this account"
	case forged:
		return "the sender's address failed authentication"
	case !Takes(m, s):
		return "the sender takes no part in the session"
	}
	return ""
}

// Decision is the outcome with what it rests on (AS-7).
type Decision struct {
	Rule   Rule
	Join   string   // the session that the mail joins; empty: a new one
	Merge  []string // sessions that the mail shows to be the same conversation
	Linked string   // a session that the new one points to
	By     string   // the Message-ID that decided
}

// Candidate is a session that the mail's own or an ancestor's ID led to.
type Candidate struct {
	By      string // Message-ID
	Own     bool   // it is the mail's own ID, announced by a reply
	Session Session
}

// Decide picks among candidates, which are ordered nearest ancestor first,
// those of the mail's own ID last. Sessions that both an ancestor and a reply
// lead to are one conversation and are merged into the ancestor's.
func Decide(m Mail, candidates []Candidate) Decision {
	d := Decision{Rule: RuleNew}
	for _, c := range candidates {
		if !Takes(m, c.Session) {
			if d.Join == "" && d.Linked == "" {
				d.Linked, d.By = c.Session.ID, c.By
			}
			continue
		}
		switch {
		case d.Join == "":
			d.Join, d.By, d.Rule = c.Session.ID, c.By, RuleAncestor
			if c.Own {
				d.Rule = RuleAnnounced
			}
		case c.Own && c.Session.ID != d.Join && !slices.Contains(d.Merge, c.Session.ID):
			d.Merge = append(d.Merge, c.Session.ID)
		}
	}
	if d.Join != "" {
		d.Linked = ""
	} else if d.Linked != "" {
		d.Rule = RuleNotParticipant
	}
	return d
}
