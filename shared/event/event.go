// Package event defines what the functions tell each other.
//
// Events carry pointers, never mail: an object of the archive or a document's
// ID. Each one is published after the transaction that caused it, under an ID
// that is the same at every attempt, so that consumers can recognise it.
package event

import (
	"encoding/json"
	"fmt"
	"time"
)

// Topics, by the name that Terraform gives them.
const (
	TopicPoll     = "mail-poll"
	TopicReceived = "mail-received"
	TopicSession  = "session-changed"
	TopicQueue    = "queue-changed"
	TopicOutbound = "mail-outbound"
	TopicFlush    = "crm-flush"
	TopicSweep    = "sweep"
	TopicDead     = "dead-letter"
)

// Poll asks for one account to be polled; without an account, for all.
type Poll struct {
	Account   string  `json:"account,omitempty"`
	Mail      *Source `json:"mail,omitempty"`      // nothing but this mail, which could not be fetched before
	Round     int     `json:"round,omitempty"`     // how often it came back from quarantine
	Reconcile bool    `json:"reconcile,omitempty"` // compare the mailbox with what became of its mail, however lately that was done
}

// Received points to a raw mail in the archive.
type Received struct {
	Source
	Object     string    `json:"object"`
	ReceivedAt time.Time `json:"received_at"`
	Size       int64     `json:"size"`
	Round      int       `json:"round,omitempty"`  // how often it came back from quarantine
	Passed     bool      `json:"passed,omitempty"` // somebody looked at it and lets it in
}

// Source is where a mail came from: one UID of one folder (RFC 3501 2.3.1.1),
// or one request that pushed it.
type Source struct {
	Account     string `json:"account"`
	Folder      string `json:"folder,omitempty"`
	UIDValidity uint32 `json:"uid_validity,omitempty"`
	UID         uint32 `json:"uid,omitempty"`
	Push        string `json:"push,omitempty"`
}

// Key is the source as one word, fit for an object's or a document's name.
func (s Source) Key() string {
	if s.Push != "" {
		return s.Account + "-push-" + s.Push
	}
	return fmt.Sprintf("%s-%s-%d-%d", s.Account, s.Folder, s.UIDValidity, s.UID)
}

// Session tells that something happened to a session.
type Session struct {
	ID       string    `json:"id"` // the history entry's
	Session  string    `json:"session"`
	Queue    string    `json:"queue"`
	Kind     string    `json:"kind"` // session.Kind
	Message  string    `json:"message,omitempty"`
	Agent    string    `json:"agent,omitempty"`
	Scenario string    `json:"scenario,omitempty"` // reply.Scenario, when an auto-response is due
	Waiting  bool      `json:"waiting,omitempty"`  // the session waits for an agent
	Began    bool      `json:"began,omitempty"`    // the session began with this, and goes on from no other
	At       time.Time `json:"at"`
}

// Queue asks route to drain the mail that waits in a queue; empty means all.
type Queue struct {
	Queue string `json:"queue,omitempty"`
}

// Outbound asks send to deliver outbound/{ID}.
type Outbound struct {
	ID string `json:"id"`
}

// Flush asks flush to carry CRM operations out.
type Flush struct {
	Stored bool `json:"stored,omitempty"` // some have just been stored, and more may follow; else it is the schedule that asks
}

// Sweep asks sweep for a run, as its schedule does.
type Sweep struct{}

// Message is an event as the bus carries it.
type Message struct {
	Data       []byte
	Attributes map[string]string
	Key        string // messages of one key arrive in order where a subscription asks for it
}

// Encode makes the message of an event. Attributes are what subscriptions
// filter by, so they are written here and nowhere else.
func Encode(e any) Message {
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // the types above always marshal
	}
	m := Message{Data: data, Attributes: map[string]string{}}
	switch e := e.(type) {
	case Session:
		m.Key = e.Queue
		m.Attributes["kind"] = e.Kind
		if e.Scenario != "" {
			m.Attributes["scenario"] = e.Scenario
		}
		if e.Waiting {
			m.Attributes["waiting"] = "true"
		}
	case Queue:
		m.Key = e.Queue
	}
	return m
}
