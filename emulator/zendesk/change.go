package zendesk

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ticketInput is what a create, an update or an entry of a batch may change.
type ticketInput struct {
	ID             int64           `json:"id"`
	Subject        opt[string]     `json:"subject"`
	ExternalID     opt[string]     `json:"external_id"`
	Status         string          `json:"status"`
	Priority       opt[string]     `json:"priority"`
	Type           opt[string]     `json:"type"`
	Recipient      opt[string]     `json:"recipient"`
	RequesterID    int64           `json:"requester_id"`
	Requester      *requesterInput `json:"requester"`
	SubmitterID    int64           `json:"submitter_id"`
	AssigneeID     opt[int64]      `json:"assignee_id"`
	AssigneeEmail  string          `json:"assignee_email"`
	GroupID        opt[int64]      `json:"group_id"`
	Tags           opt[[]string]   `json:"tags"`
	AdditionalTags []string        `json:"additional_tags"`
	RemoveTags     []string        `json:"remove_tags"`
	CustomFields   []fieldValue    `json:"custom_fields"`
	Comment        *commentInput   `json:"comment"`
	Metadata       map[string]any  `json:"metadata"`
	SafeUpdate     bool            `json:"safe_update"`
	UpdatedStamp   *time.Time      `json:"updated_stamp"`
}

type requesterInput struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// change is an update of one ticket, from whichever call it comes.
func (s *Server) change(c *call, b *batch, t *ticket, in *ticketInput) (*ticket, error) {
	if t.Status == statusClosed {
		return nil, invalid("status", "Status: closed prevents ticket update", "ClosedTicket")
	}
	if in.SafeUpdate && (in.UpdatedStamp == nil || !in.UpdatedStamp.Equal(t.UpdatedAt)) {
		return nil, &failure{status: http.StatusConflict, code: "UpdateConflict", description: "Safe Update prevented ticket update"}
	}
	changed, err := s.applyInput(t, in)
	if err != nil {
		return nil, err
	}
	changed.UpdatedAt = c.now
	if in.RequesterID != 0 || in.Requester != nil {
		if changed.RequesterID, err = s.requester(c, b, in); err != nil {
			return nil, err
		}
	}
	var added *comment
	if in.Comment != nil {
		if added, err = s.newComment(c, b, t.ID, in); err != nil {
			return nil, err
		}
		b.comment(added)
	}
	// Counted last: what is refused for another reason costs no update.
	if err := s.state.countUpdate(t.ID, c.now); err != nil {
		return nil, err
	}
	b.ticket(changed)
	return changed, nil
}

// applyInput returns a copy of the ticket with the input's properties.
func (s *Server) applyInput(old *ticket, in *ticketInput) (*ticket, error) {
	t := *old
	if in.Subject.Set {
		t.Subject = in.Subject.Value
	}
	in.ExternalID.apply(&t.ExternalID)
	in.Priority.apply(&t.Priority)
	in.Type.apply(&t.Type)
	in.Recipient.apply(&t.Recipient)
	in.GroupID.apply(&t.GroupID)
	if in.SubmitterID != 0 {
		t.SubmitterID = in.SubmitterID
	}
	if err := s.assign(&t, in); err != nil {
		return nil, err
	}
	if err := setStatus(&t, in.Status); err != nil {
		return nil, err
	}
	t.Tags = mergedTags(t.Tags, in)
	t.CustomFields = s.mergedFields(t.CustomFields, in.CustomFields)
	return &t, nil
}

func setStatus(t *ticket, status string) error {
	switch {
	case status == "":
		return nil
	case !slices.Contains(statusOrder, status):
		return invalid("status", "Status: "+status+" is not valid", "InvalidValue")
	case status == statusNew && t.Status != statusNew:
		return invalid("status", "Status: cannot be changed back to new", "InvalidValue")
	}
	t.Status = status
	return nil
}

func (s *Server) assign(t *ticket, in *ticketInput) error {
	id := in.AssigneeID
	if in.AssigneeEmail != "" {
		u := s.state.userByEmail(in.AssigneeEmail)
		if u == nil {
			return invalid("assignee", "Assignee: "+in.AssigneeEmail+" is not valid", "InvalidValue")
		}
		id = opt[int64]{Set: true, Value: u.ID}
	}
	if id.Set && !id.Null {
		if u := s.state.users[id.Value]; u == nil || u.Role == roleEndUser {
			return invalid("assignee", "Assignee: is no agent of this account", "InvalidValue")
		}
		if t.Status == statusNew {
			t.Status = statusOpen
		}
	}
	id.apply(&t.AssigneeID)
	return nil
}

// requester is the ticket's requester: by ID, by name and address (made when new), else the caller.
func (s *Server) requester(c *call, b *batch, in *ticketInput) (int64, error) {
	switch {
	case in.RequesterID != 0:
		if s.state.users[in.RequesterID] == nil {
			return 0, invalid("requester", "Requester: is not valid", "InvalidValue")
		}
		return in.RequesterID, nil
	case in.Requester == nil:
		return c.user.ID, nil
	}
	if u := s.state.userByEmail(in.Requester.Email); u != nil {
		return u.ID, nil
	}
	if in.Requester.Name == "" {
		return 0, invalid("requester", "Requester: Name: is too short (minimum one character)", "BlankValue")
	}
	u := &user{
		ID: s.state.nextUser(), Name: in.Requester.Name, Email: in.Requester.Email,
		Role: roleEndUser, Active: true, CreatedAt: c.now, UpdatedAt: c.now,
	}
	b.user(u)
	return u.ID, nil
}

// mergedTags applies tags (replaces), additional_tags and remove_tags; tags are lower case, sorted, without spaces.
func mergedTags(old []string, in *ticketInput) []string {
	tags := slices.Clone(old)
	if in.Tags.Set {
		tags = slices.Clone(in.Tags.Value)
	}
	tags = append(tags, in.AdditionalTags...)
	tags = slices.DeleteFunc(tags, func(t string) bool { return slices.Contains(in.RemoveTags, t) })
	return cleanTags(tags)
}

func cleanTags(tags []string) []string {
	clean := []string{}
	for _, t := range tags {
		clean = append(clean, strings.Fields(strings.ToLower(t))...)
	}
	slices.Sort(clean)
	return slices.Compact(clean)
}

// mergedFields sets the values of fields that exist; Zendesk ignores the others without a word.
func (s *Server) mergedFields(old, in []fieldValue) []fieldValue {
	values := slices.Clone(old)
	for _, v := range in {
		if s.state.fields[v.ID] == nil {
			continue
		}
		values = slices.DeleteFunc(values, func(o fieldValue) bool { return o.ID == v.ID })
		values = append(values, fieldValue{ID: v.ID, Value: json.RawMessage(v.Value)})
	}
	return values
}
