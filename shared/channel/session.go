package channel

import (
	"encoding/json"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/session"
	"emailchannel.dev/emailchannel/shared/thread"
)

// Session is one conversation that the centre handles. Its ID never changes.
type Session struct {
	ID           string        `json:"id"`
	State        session.State `json:"state"`
	EnteredAt    time.Time     `json:"entered_at"`    // entry into State
	LastActivity time.Time     `json:"last_activity"` // the last mail or agent's act
	Since        time.Time     `json:"since"`         // from which the state's threshold counts (SE-4)
	Queue        string        `json:"queue"`
	Account      string        `json:"account"` // through which it came in and answers go out
	Agent        string        `json:"agent"`
	Waiting      bool          `json:"waiting"` // for an agent, by the rules of AS-3
	WaitingSince time.Time     `json:"waiting_since,omitzero"`
	Subject      string        `json:"subject"`
	Consumer     email.Address `json:"consumer"`
	Participants []string      `json:"participants"` // normalised addresses of all who wrote or were written to
	Messages     int           `json:"messages"`     // received, and written by agents; auto-responses do not count
	FirstMessage string        `json:"first_message"`
	LastInbound  string        `json:"last_inbound"`
	Outbound     bool          `json:"outbound"` // started by an agent
	Linked       string        `json:"linked,omitempty"`
	LinkedBy     thread.Rule   `json:"linked_by,omitempty"`
	MergedInto   string        `json:"merged_into,omitempty"`
	CreatedAt    time.Time     `json:"created_at"`
	AnsweredAt   time.Time     `json:"answered_at,omitzero"` // first reply of an agent
	AnsweredBy   string        `json:"answered_by,omitempty"`
	ResolvedAt   time.Time     `json:"resolved_at,omitzero"` // last time, unless it was reopened since
	Handling     int           `json:"handling_seconds"`     // in state active so far, until it last left that
	UpdatedAt    time.Time     `json:"updated_at"`
	Hold         *Hold         `json:"hold,omitempty"`     // keeps it from being purged or erased (ST-5)
	Released     bool          `json:"released,omitempty"` // its hold ended, and what that kept is yet to be looked at again
	Erasure      string        `json:"erasure,omitempty"`  // under way
	ErasedAt     time.Time     `json:"erased_at,omitzero"` // an end user's data were last erased from it
}

func (s *Session) facts() session.Facts {
	return session.Facts{State: s.State, EnteredAt: s.EnteredAt, LastActivity: s.LastActivity}
}

// apply moves the session by an event of the state machine.
func (s *Session) apply(e session.Event, set session.Settings, now time.Time) error {
	f, err := session.Apply(s.facts(), e, set, now)
	if err != nil {
		return err
	}
	s.enter(f)
	s.Since, s.UpdatedAt = session.Since(f), now
	return nil
}

// enter takes over the facts, with what the reports count of a change of state.
func (s *Session) enter(f session.Facts) {
	if s.State == session.Active && f.State != session.Active {
		s.Handling += int(max(0, f.EnteredAt.Sub(s.EnteredAt)).Round(time.Second) / time.Second)
	}
	switch {
	case f.State == session.Resolved && s.State != session.Resolved:
		s.ResolvedAt = f.EnteredAt
	case f.State != session.Resolved && f.State != session.Closed:
		s.ResolvedAt = time.Time{}
	}
	s.State, s.EnteredAt, s.LastActivity = f.State, f.EnteredAt, f.LastActivity
}

// wait puts the session among those that wait for an agent.
func (s *Session) wait(now time.Time) {
	if s.Agent == "" && !s.Waiting {
		s.Waiting, s.WaitingSince = true, now
	}
}

// Direction of a message.
type Direction string

const (
	In   Direction = "in"
	Out  Direction = "out"
	Note Direction = "note" // internal, never mailed
)

// Message is one mail or note of a session: sessions/{id}/messages/{ID}.
type Message struct {
	ID             string                `json:"id"` // the mail's fingerprint
	Session        string                `json:"session"`
	Direction      Direction             `json:"direction"`
	Auto           bool                  `json:"auto"`            // an auto-response of ours
	Agent          string                `json:"agent,omitempty"` // who wrote it
	From           email.Address         `json:"from"`
	ReplyTo        []email.Address       `json:"reply_to,omitempty"`
	To             []email.Address       `json:"to"`
	Cc             []email.Address       `json:"cc,omitempty"`
	Subject        string                `json:"subject"`
	MessageID      string                `json:"message_id"`
	InReplyTo      string                `json:"in_reply_to,omitempty"`
	References     []string              `json:"references,omitempty"`
	At             time.Time             `json:"at"`
	Text           string                `json:"text"`
	HTML           string                `json:"html,omitempty"`
	Attachments    []Attachment          `json:"attachments,omitempty"`
	Class          email.Class           `json:"class,omitempty"`
	ClassReason    string                `json:"class_reason,omitempty"`
	NoAnswer       string                `json:"no_answer,omitempty"`      // why no auto-response was sent (AR-6)
	Authentication *email.Authentication `json:"authentication,omitempty"` // how far the sender's domain is proven
	Degraded       []string              `json:"degraded,omitempty"`       // what parsing had to repair or leave out (OP-5)
	Raw            string                `json:"raw"`                      // object in the archive
	Outbound       string                `json:"outbound,omitempty"`       // outbound/{id}
	Bounced        string                `json:"bounced,omitempty"`        // what the report says
	Size           int64                 `json:"size"`
	RetentionAt    time.Time             `json:"retention_at"`       // when the end of the storage period was acted upon: it was purged, or a hold kept it
	PurgedAt       time.Time             `json:"purged_at,omitzero"` // when its content was deleted (ST-3, ST-5)
}

// maxMessage is how large a message's document may be by its JSON, which has
// more bytes than the 1 MiB that Firestore counts.
const maxMessage = 1<<20 - 16<<10

// fit cuts text and HTML to what a document can hold beside everything else;
// the archive has the whole mail (OP-5).
func (m *Message) fit() {
	rest := *m
	rest.Text, rest.HTML = "", ""
	b, err := json.Marshal(rest)
	if err != nil {
		panic(err) // it has what JSON has
	}
	room := max(maxMessage-len(b), 0)
	if len(m.Text)+len(m.HTML) <= room {
		return
	}
	m.Text = cut(m.Text, max(room/2, room-len(m.HTML)))
	m.HTML = cut(m.HTML, room-len(m.Text))
	m.Degraded = append(slices.Clone(m.Degraded), "limit:document")
}

// Attachment is a file or inline image of a message.
type Attachment struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	ContentID string `json:"content_id,omitempty"`
	Inline    bool   `json:"inline,omitempty"`
	Size      int64  `json:"size"`
	Object    string `json:"object"` // in the archive
}

// History is one interaction of a session (SE-1), and the outbox of its event:
// Due is set until the event has been published.
type History struct {
	ID       string       `json:"id"`
	Session  string       `json:"session"`
	Kind     session.Kind `json:"kind"`
	At       time.Time    `json:"at"`
	Actor    string       `json:"actor"` // an agent's ID, "end-user" or "channel"
	Queue    string       `json:"queue"`
	Agent    string       `json:"agent,omitempty"`
	Message  string       `json:"message,omitempty"`
	From     string       `json:"from,omitempty"` // state, queue or agent before
	To       string       `json:"to,omitempty"`
	Note     string       `json:"note,omitempty"`
	Rule     string       `json:"rule,omitempty"` // why (AS-7)
	Inputs   []string     `json:"inputs,omitempty"`
	Scenario string       `json:"scenario,omitempty"`
	Waiting  bool         `json:"waiting,omitempty"` // the session waits for an agent
	Began    bool         `json:"began,omitempty"`   // the session began with it, and goes on from no other
	Due      time.Time    `json:"due,omitzero"`
	Kept     time.Time    `json:"kept,omitzero"` // since when its auto-response waits for the channel to be ON (CH-1)
}

// Actors that are no people.
const (
	ActorChannel = "channel"
	ActorEndUser = "end-user"
)

func (h History) event() event.Session {
	return event.Session{ID: h.ID, Session: h.Session, Queue: h.Queue, Kind: string(h.Kind), Message: h.Message, Agent: h.Agent, Scenario: h.Scenario, Waiting: h.Waiting, Began: h.Began, At: h.At}
}

// MailState tells what is known of a mail.
type MailState string

const (
	Stored     MailState = "stored"     // received or sent, part of a session
	Announced  MailState = "announced"  // named by a reply that came first
	Suppressed MailState = "suppressed" // archived without a session, with a reason
	Erased     MailState = "erased"     // a tombstone: known by its fingerprint, nothing else is left (ST-5)
)

// Mail is the one document of a distinct mail, in or out.
type Mail struct {
	State     MailState      `json:"state"`
	Session   string         `json:"session"`
	Direction Direction      `json:"direction"`
	MessageID string         `json:"message_id,omitempty"`
	Sender    string         `json:"sender,omitempty"`  // normalised; with Sent it tells a reused Message-ID from a second delivery
	Sent      time.Time      `json:"sent,omitzero"`     // its own Date field
	Content   string         `json:"content,omitempty"` // its content fingerprint, where it has a Message-ID and no date to tell it by
	Sources   []event.Source `json:"sources,omitempty"` // every delivery of it
	Event     string         `json:"event,omitempty"`   // the history entry of its arrival
	Rule      string         `json:"rule,omitempty"`    // thread.Rule, or why it was suppressed
	Outbound  string         `json:"outbound,omitempty"`
	Raw       string         `json:"raw,omitempty"`
	At        time.Time      `json:"at"`
	Retention Retention      `json:"retention"`
	Expires   time.Time      `json:"expires,omitzero"` // TTL of an announced one
}
