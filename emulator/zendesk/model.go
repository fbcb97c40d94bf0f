package zendesk

import (
	"encoding/json"
	"time"
)

// The three roles of a user.
const (
	roleEndUser = "end-user"
	roleAgent   = "agent"
	roleAdmin   = "admin"
)

// The states of a ticket.
const (
	statusNew     = "new"
	statusOpen    = "open"
	statusPending = "pending"
	statusHold    = "hold"
	statusSolved  = "solved"
	statusClosed  = "closed"
)

// statusOrder is the order that a search compares states in.
var statusOrder = []string{statusNew, statusOpen, statusPending, statusHold, statusSolved, statusClosed}

// ticket as it is stored. Values are never changed in place: a change makes a copy.
type ticket struct {
	ID           int64        `json:"id"`
	ExternalID   *string      `json:"external_id"`
	Subject      string       `json:"subject"`
	Status       string       `json:"status"`
	Priority     *string      `json:"priority"`
	Type         *string      `json:"type"`
	Recipient    *string      `json:"recipient"`
	RequesterID  int64        `json:"requester_id"`
	SubmitterID  int64        `json:"submitter_id"`
	AssigneeID   *int64       `json:"assignee_id"`
	GroupID      *int64       `json:"group_id"`
	Tags         []string     `json:"tags"`
	CustomFields []fieldValue `json:"custom_fields"`
	Via          via          `json:"via"`
	CreatedAt    time.Time    `json:"created_at"`
	UpdatedAt    time.Time    `json:"updated_at"`
}

type fieldValue struct {
	ID    int64           `json:"id"`
	Value json.RawMessage `json:"value"`
}

type via struct {
	Channel string         `json:"channel"`
	Source  map[string]any `json:"source,omitempty"`
}

// comment as it is stored; it stays on disk and is read when asked for.
type comment struct {
	ID          int64          `json:"id"`
	TicketID    int64          `json:"ticket_id"`
	AuthorID    int64          `json:"author_id"`
	Body        string         `json:"body,omitempty"`
	HTMLBody    string         `json:"html_body,omitempty"`
	Public      bool           `json:"public"`
	Attachments []attachment   `json:"attachments,omitempty"`
	Custom      map[string]any `json:"custom,omitempty"`
	Via         via            `json:"via"`
	CreatedAt   time.Time      `json:"created_at"`
}

type attachment struct {
	ID          int64  `json:"id"`
	FileName    string `json:"file_name"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	Inline      bool   `json:"inline"`
	ContentURL  string `json:"content_url"`
}

// upload is a token and its files, until a comment takes them or the hour is over.
type upload struct {
	Token       string       `json:"token"`
	Attachments []attachment `json:"attachments"`
	CreatedAt   time.Time    `json:"created_at"`
	Used        bool         `json:"used,omitempty"`
}

type user struct {
	ID         int64           `json:"id"`
	Name       string          `json:"name"`
	Email      string          `json:"email,omitempty"`
	Phone      *string         `json:"phone"`
	ExternalID *string         `json:"external_id"`
	Role       string          `json:"role"`
	Active     bool            `json:"active"`
	Verified   bool            `json:"verified"`
	Notes      string          `json:"notes,omitempty"`
	Details    string          `json:"details,omitempty"`
	Tags       []string        `json:"tags,omitempty"`
	UserFields json.RawMessage `json:"user_fields,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`
}

// field is a ticket field. Zendesk knows many properties; they are kept as they came.
type field struct {
	ID    int64                      `json:"id"`
	Props map[string]json.RawMessage `json:"props"`
}

// opt tells a property that is absent from one that is null.
type opt[T any] struct {
	Set   bool
	Null  bool
	Value T
}

func (o *opt[T]) UnmarshalJSON(b []byte) error {
	o.Set = true
	if string(b) == "null" {
		o.Null = true
		return nil
	}
	return json.Unmarshal(b, &o.Value)
}

// apply writes the property's value to *to; null clears it.
func (o opt[T]) apply(to **T) {
	switch {
	case !o.Set:
	case o.Null:
		*to = nil
	default:
		v := o.Value
		*to = &v
	}
}
