package zendesk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Errors of calls that are not made, as Zendesk would refuse them.
var (
	ErrCommentTooLarge = errors.New("zendesk: comment is larger than 64 KB")
	ErrTooMany         = errors.New("zendesk: a batch takes 1 to 100 tickets")
	ErrBatchTags       = errors.New("zendesk: additional_tags and remove_tags work in a batch only")
)

// Ticket is a ticket as it is created and read. Zero values are not sent.
type Ticket struct {
	ID           int64          `json:"id,omitempty"`          // read only
	ExternalID   string         `json:"external_id,omitempty"` // our session's ID
	Subject      string         `json:"subject,omitempty"`
	Description  string         `json:"description,omitempty"` // read only: the first comment
	Status       Status         `json:"status,omitempty"`
	Priority     string         `json:"priority,omitempty"`
	Type         string         `json:"type,omitempty"`
	Recipient    string         `json:"recipient,omitempty"`
	RequesterID  int64          `json:"requester_id,omitempty"`
	Requester    *Requester     `json:"requester,omitempty"` // write only: made when new
	AssigneeID   int64          `json:"assignee_id,omitempty"`
	GroupID      int64          `json:"group_id,omitempty"`
	Tags         []string       `json:"tags,omitempty"`
	CustomFields []FieldValue   `json:"custom_fields,omitempty"`
	Comment      *Comment       `json:"comment,omitempty"`  // write only, required to create
	Metadata     map[string]any `json:"metadata,omitempty"` // write only: Comment.Metadata["custom"] of the first comment
	CreatedAt    time.Time      `json:"created_at,omitzero"`
	UpdatedAt    time.Time      `json:"updated_at,omitzero"`
}

// Status of a ticket.
type Status string

// The states of a ticket. A closed one takes no update any more.
const (
	StatusNew     Status = "new"
	StatusOpen    Status = "open"
	StatusPending Status = "pending"
	StatusHold    Status = "hold"
	StatusSolved  Status = "solved"
	StatusClosed  Status = "closed"
)

// Requester names an end user by address.
type Requester struct {
	Name  string `json:"name"`
	Email string `json:"email,omitempty"`
}

// FieldValue is the value of a custom field: a string, a number, a bool, a list, or nil.
type FieldValue struct {
	ID    int64 `json:"id"`
	Value any   `json:"value"`
}

// TicketUpdate is a change of one ticket. Zero values are not sent and leave the ticket as it is.
type TicketUpdate struct {
	ID             int64          `json:"id,omitempty"` // of UpdateMany's entries
	Subject        string         `json:"subject,omitempty"`
	ExternalID     string         `json:"external_id,omitempty"`
	Status         Status         `json:"status,omitempty"`
	Priority       string         `json:"priority,omitempty"`
	RequesterID    int64          `json:"requester_id,omitempty"`
	AssigneeID     int64          `json:"assignee_id,omitempty"`
	GroupID        int64          `json:"group_id,omitempty"`
	Tags           []string       `json:"tags,omitempty"`            // replaces all
	AdditionalTags []string       `json:"additional_tags,omitempty"` // UpdateMany only
	RemoveTags     []string       `json:"remove_tags,omitempty"`     // UpdateMany only
	CustomFields   []FieldValue   `json:"custom_fields,omitempty"`
	Comment        *Comment       `json:"comment,omitempty"`
	Metadata       map[string]any `json:"metadata,omitempty"` // Comment.Metadata["custom"] of the comment
	SafeUpdate     bool           `json:"safe_update,omitempty"`
	UpdatedStamp   time.Time      `json:"updated_stamp,omitzero"` // with SafeUpdate: the UpdatedAt that was read; 409 when it is another
}

type ticketBody struct {
	Ticket Ticket `json:"ticket"`
}

// CreateTicket creates a ticket with its first comment. The key (at most 255 characters, unique to this ticket)
// makes a repetition with the same ticket harmless for two hours; after that look for it with TicketByExternalID
// first. ErrCommentTooLarge; *APIError 400 "IdempotentRequestError" when the key was used for another ticket.
func (c *Client) CreateTicket(ctx context.Context, key string, t Ticket) (Ticket, error) {
	if err := checkComment(t.Comment); err != nil {
		return Ticket{}, fmt.Errorf("zendesk CreateTicket: %w", err)
	}
	t.ID, t.Description, t.CreatedAt, t.UpdatedAt = 0, "", time.Time{}, time.Time{}
	t.Comment = t.Comment.writable()
	var out ticketBody
	r := request{name: "CreateTicket", method: http.MethodPost, path: "/tickets", in: ticketBody{t}, out: &out}
	if key != "" {
		r.header = map[string]string{"Idempotency-Key": key}
	}
	err := c.do(ctx, r)
	return out.Ticket, err
}

// Ticket reads a ticket. *APIError 404 when there is none.
func (c *Client) Ticket(ctx context.Context, id int64) (Ticket, error) {
	var out ticketBody
	err := c.do(ctx, request{name: "Ticket", method: http.MethodGet, path: ticketPath(id), out: &out})
	return out.Ticket, err
}

// TicketByExternalID finds the oldest ticket with this external ID; nil when there is none. It reads the tickets
// themselves, not the search index, which lags by minutes.
func (c *Client) TicketByExternalID(ctx context.Context, externalID string) (*Ticket, error) {
	q := url.Values{"external_id": {externalID}}
	found, err := collect[Ticket](ctx, c, request{name: "TicketByExternalID", path: "/tickets", query: q}, "tickets")
	if err != nil || len(found) == 0 {
		return nil, err
	}
	oldest := slices.MinFunc(found, func(a, b Ticket) int { return cmp.Compare(a.ID, b.ID) })
	return &oldest, nil
}

// TicketsOfRequester lists the tickets of an end user, oldest first, as GET /users/{id}/tickets/requested answers them.
func (c *Client) TicketsOfRequester(ctx context.Context, userID int64) ([]Ticket, error) {
	path := "/users/" + strconv.FormatInt(userID, 10) + "/tickets/requested"
	return collect[Ticket](ctx, c, request{name: "TicketsOfRequester", path: path}, "tickets")
}

// UpdateTicket changes a ticket and adds the comment, if any. *APIError 422 with Details["status"] when the ticket
// is closed (see MergedInto), 409 when SafeUpdate found another UpdatedAt, 429 after 30 updates in ten minutes.
// ErrCommentTooLarge; ErrBatchTags.
func (c *Client) UpdateTicket(ctx context.Context, id int64, u TicketUpdate) (Ticket, error) {
	if err := checkComment(u.Comment); err != nil {
		return Ticket{}, fmt.Errorf("zendesk UpdateTicket %d: %w", id, err)
	}
	if len(u.AdditionalTags)+len(u.RemoveTags) > 0 { // Zendesk would answer 200 and ignore them
		return Ticket{}, fmt.Errorf("zendesk UpdateTicket %d: %w", id, ErrBatchTags)
	}
	u.ID, u.Comment = 0, u.Comment.writable()
	in := map[string]TicketUpdate{"ticket": u}
	var out ticketBody
	err := c.do(ctx, request{name: fmt.Sprintf("UpdateTicket %d", id), method: http.MethodPut, path: ticketPath(id), in: in, out: &out})
	return out.Ticket, err
}

// UpdateMany queues up to 100 changes and returns the job's ID. Each has the ID of its ticket; put all that
// concerns one ticket into one entry. Job tells what became of them. ErrTooMany, ErrCommentTooLarge.
func (c *Client) UpdateMany(ctx context.Context, updates []TicketUpdate) (jobID string, err error) {
	if len(updates) == 0 || len(updates) > MaxBatch {
		return "", fmt.Errorf("zendesk UpdateMany: %w", ErrTooMany)
	}
	entries := slices.Clone(updates)
	for i, u := range entries {
		if err := checkComment(u.Comment); err != nil {
			return "", fmt.Errorf("zendesk UpdateMany: ticket %d: %w", u.ID, err)
		}
		entries[i].Comment = u.Comment.writable()
	}
	in := map[string][]TicketUpdate{"tickets": entries}
	var out jobBody
	err = c.do(ctx, request{name: "UpdateMany", method: http.MethodPut, path: "/tickets/update_many", in: in, out: &out})
	return out.Job.ID, err
}

// AddTags adds tags and keeps the others; unlike UpdateTicket's Tags it needs no reading before.
func (c *Client) AddTags(ctx context.Context, id int64, tags ...string) error {
	in := map[string][]string{"tags": tags}
	return c.do(ctx, request{name: fmt.Sprintf("AddTags %d", id), method: http.MethodPut, path: ticketPath(id) + "/tags", in: in})
}

// mergedInto is the comment that Zendesk leaves on a merged ticket, unless the agent writes another.
var mergedInto = regexp.MustCompile(`merged into request #(\d+)`)

// MergedInto finds the ticket that survives a merge; 0 when the ticket was not merged, or its merge comment does
// not tell. The API has no property for it: the newest comment that names a ticket is read.
func (c *Client) MergedInto(ctx context.Context, id int64) (int64, error) {
	t, err := c.Ticket(ctx, id)
	if err != nil || t.Status != StatusClosed || !slices.Contains(t.Tags, "closed_by_merge") {
		return 0, err
	}
	comments, err := c.Comments(ctx, id)
	if err != nil {
		return 0, err
	}
	for _, cm := range slices.Backward(comments) {
		if m := mergedInto.FindStringSubmatch(cm.Body); m != nil {
			return strconv.ParseInt(m[1], 10, 64)
		}
	}
	return 0, nil
}

func ticketPath(id int64) string { return "/tickets/" + strconv.FormatInt(id, 10) }
