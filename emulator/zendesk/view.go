package zendesk

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// ticketView is a ticket as the API answers it.
type ticketView struct {
	ticket
	URL         string       `json:"url"`
	RawSubject  string       `json:"raw_subject"`
	Description string       `json:"description"`
	IsPublic    bool         `json:"is_public"`
	Fields      []fieldValue `json:"custom_fields"` // hides the stored ones
}

func ticketURL(base string, id int64) string {
	return fmt.Sprintf("%s%s/tickets/%d.json", base, apiRoot, id)
}

// view answers every custom field, null where it has no value, as Zendesk does.
func (s *Server) view(base string, t *ticket, description string) ticketView {
	fields := make([]fieldValue, 0, len(s.state.fields))
	for id := range s.state.fields {
		v := fieldValue{ID: id, Value: json.RawMessage("null")}
		if i := slices.IndexFunc(t.CustomFields, func(f fieldValue) bool { return f.ID == id }); i >= 0 {
			v.Value = t.CustomFields[i].Value
		}
		fields = append(fields, v)
	}
	slices.SortFunc(fields, func(a, b fieldValue) int { return cmp.Compare(a.ID, b.ID) })
	return ticketView{
		ticket: *t, URL: ticketURL(base, t.ID), RawSubject: t.Subject, Description: description,
		IsPublic: true, Fields: fields,
	}
}

// viewOf is view with the description read from the ticket's first comment.
func (s *Server) viewOf(base string, t *ticket) (ticketView, error) {
	var first comment
	if refs := s.state.comments[t.ID]; len(refs) > 0 {
		if err := s.log.read(refs[0], &first); err != nil {
			return ticketView{}, err
		}
	}
	return s.view(base, t, first.plain()), nil
}

func auditView(t *ticket, c *call) map[string]any {
	return map[string]any{
		"ticket_id": t.ID, "author_id": c.user.ID, "created_at": c.now, "events": []any{}, "via": via{Channel: "api"},
	}
}

// commentView is a comment as the API answers it.
type commentView struct {
	comment
	Type        string         `json:"type"`
	AuditID     int64          `json:"audit_id"`
	Body        string         `json:"body"`
	HTMLBody    string         `json:"html_body"`
	PlainBody   string         `json:"plain_body"`
	Attachments []attachment   `json:"attachments"`
	Metadata    map[string]any `json:"metadata"`
	Custom      any            `json:"custom,omitempty"` // hides the stored one; it is in Metadata
	TicketID    any            `json:"ticket_id,omitempty"`
}

func (c *comment) view(base string) commentView {
	attachments := []attachment{}
	for _, a := range c.Attachments {
		a.ContentURL = base + a.ContentURL
		attachments = append(attachments, a)
	}
	metadata := map[string]any{"system": map[string]any{"client": "API"}}
	if c.Custom != nil {
		metadata["custom"] = c.Custom
	}
	return commentView{
		comment: *c, Type: "Comment", AuditID: c.ID + 1_000_000_000, Body: c.plain(), HTMLBody: c.html(),
		PlainBody: c.plain(), Attachments: attachments, Metadata: metadata,
	}
}
