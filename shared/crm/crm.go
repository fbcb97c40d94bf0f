// Package crm holds the rules by which the CRM learns of e-mail sessions
// (CR-1, CR-2, CR-5), as pure tables: what happened, the settings and what the
// record has already, to the operations that are due.
//
// An operation is written down under a key that is the same at every attempt
// before anything is sent; carrying one out is the business of the adapters.
package crm

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// When tells at which moment bodies are posted.
type When string

const (
	AtEnd      When = "end"   // when the session is closed: the whole thread, once
	AfterReply When = "reply" // after each reply of an agent: the thread so far
)

// Settings are the record settings of an admin; [Default] gives the product's.
type Settings struct {
	Incoming     bool `json:"incoming"`      // CR-1: inbound mail without a record gets one
	Outgoing     bool `json:"outgoing"`      // CR-1: outbound mail likewise
	Bodies       bool `json:"bodies"`        // CR-2: comments carry the text; else time, agent and end user only
	CommentsWhen When `json:"comments_when"` // CR-2
}

// Default is what a new channel starts with.
func Default() Settings {
	return Settings{Incoming: true, Outgoing: true, Bodies: true, CommentsWhen: AtEnd}
}

// Validate names every bad field.
func (s Settings) Validate() error {
	if s.CommentsWhen != AtEnd && s.CommentsWhen != AfterReply {
		return fmt.Errorf("record.comments_when: %q is neither %q nor %q", s.CommentsWhen, AtEnd, AfterReply)
	}
	return nil
}

// Trigger is what happened to a session, as far as the CRM cares.
type Trigger string

const (
	Inbound  Trigger = "inbound"  // a mail came in
	Outbound Trigger = "outbound" // an agent started a session or replied
	Changed  Trigger = "changed"  // another agent, queue or state
	Ended    Trigger = "ended"    // the session was closed
)

// Kind of an operation.
type Kind string

const (
	Create  Kind = "create"  // open a ticket for the session
	Comment Kind = "comment" // post the messages that the record does not have yet
	Update  Kind = "update"  // bring agent, queue and status up to date
)

// Record is what is known of the session's ticket.
type Record struct {
	Exists  bool // a ticket exists or its creation is under way
	Created bool // the ticket exists
}

// Decide returns the operations that a trigger makes due, in order.
func Decide(t Trigger, s Settings, r Record) []Kind {
	switch {
	case t == Inbound && !r.Exists && s.Incoming, t == Outbound && !r.Exists && s.Outgoing:
		if t == Outbound && s.CommentsWhen == AfterReply {
			return []Kind{Create, Comment}
		}
		return []Kind{Create}
	case !r.Exists:
		return nil
	case t == Outbound && s.CommentsWhen == AfterReply:
		return []Kind{Comment}
	case t == Changed && r.Created: // a ticket not yet created is created with today's facts
		return []Kind{Update}
	case t == Ended && s.CommentsWhen == AtEnd:
		return []Kind{Comment}
	}
	return nil
}

// Facts are what a record says of its session (CR-5).
type Facts struct {
	SessionID, Subject      string
	EndUser, EndUserName    string // an address
	Address                 string // the channel's, by which the session runs
	Started                 bool   // by an agent, whose mail went from Address to EndUser
	Agent, Queue, AgentMail string
	MergedInto              string // the session that the conversation went on in; its ticket takes over
	At                      time.Time
}

// Mark is the line by which a description is known as one of the session.
func (f Facts) Mark() string { return "Session ID: " + f.SessionID + "\n" }

// Description is the first, internal text of the record.
func (f Facts) Description() string {
	agent := f.Agent
	if agent == "" {
		agent = "not assigned"
	}
	from, to, at := f.EndUser, f.Address, "Received at"
	if f.Started {
		from, to, at = to, from, "Sent at"
	}
	var b strings.Builder
	for _, row := range [][2]string{
		{"Sent by", from}, {"Received by", to}, {"Session ID", f.SessionID},
		{"Assigned agent", agent}, {"Queue", f.Queue}, {"Subject", shorten(f.Subject, headLine)},
		{at, f.At.UTC().Format(time.RFC3339)},
	} {
		fmt.Fprintf(&b, "%s: %s\n", row[0], row[1])
	}
	if f.MergedInto != "" {
		fmt.Fprintf(&b, "Merged into session: %s\n", f.MergedInto)
	}
	return b.String()
}

// Post is one message as a comment tells it.
type Post struct {
	ID           string // of the message; Link ends in "#" and the ID
	Link         string // the message in the agent page
	At           time.Time
	From, To     string
	Agent        string // the agent who wrote it, if one did
	EndUser      string
	Subject      string
	Text         string
	Public, Auto bool
}

// MaxComment is the largest comment in bytes that Zendesk takes: what MySQL's TEXT holds.
const MaxComment = 64<<10 - 1

const headLine = 2 << 10 // bytes of a name, a list of recipients, a subject

// In tells whether a comment is the message's: it has the end of its link. The rest
// of the link is the console's address, which an admin may change meanwhile.
func (p Post) In(comment string) bool {
	return p.ID != "" && strings.Contains(comment, "#"+p.ID)
}

// Body is the text of the comment. Its link holds the message's ID, by which
// a comment is recognised whose answer was lost ([Post.In]).
func (p Post) Body(bodies bool) string {
	if !bodies {
		return fmt.Sprintf("%s\nAgent: %s\nEnd user: %s\n%s", p.At.UTC().Format(time.RFC3339), p.Agent, p.EndUser, p.Link)
	}
	head := fmt.Sprintf("From: %s\nTo: %s\nDate: %s\nSubject: %s\n\n", shorten(p.From, headLine), shorten(p.To, headLine), p.At.UTC().Format(time.RFC3339), shorten(p.Subject, headLine))
	tail := "\n\n" + p.Link
	return head + shorten(p.Text, MaxComment-len(head)-len(tail)) + tail
}

// shorten cuts a text that has more than most bytes, between characters.
func shorten(text string, most int) string {
	const cut = "\n[shortened]"
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:max(most-len(cut), 0)], "") + cut
}

// ErrRefused is wrapped by errors of writes that the CRM refused for good.
var ErrRefused = errors.New("refused by the CRM")

// RetryAfter is an error that names when the CRM wants to be asked again.
type RetryAfter struct {
	Err   error
	After time.Duration
}

func (e *RetryAfter) Error() string { return e.Err.Error() }
func (e *RetryAfter) Unwrap() error { return e.Err }

// Unfinished is the error of a change that the CRM took, and of which it is not
// known yet what became. Whoever asks by Job is told.
type Unfinished struct {
	Job string
	Err error
}

func (e *Unfinished) Error() string { return "job " + e.Job + ": " + e.Err.Error() }
func (e *Unfinished) Unwrap() error { return e.Err }
