package zendesk

import (
	"context"
	"net/http"
)

// TicketField is a system or custom field of tickets.
type TicketField struct {
	ID     int64  `json:"id,omitempty"` // read only
	Type   string `json:"type"`         // text, textarea, integer, decimal, date, checkbox, …
	Title  string `json:"title"`
	Active bool   `json:"active,omitempty"`
}

// TicketFields lists the account's ticket fields.
func (c *Client) TicketFields(ctx context.Context) ([]TicketField, error) {
	r := request{name: "TicketFields", method: http.MethodGet, path: "/ticket_fields"}
	return collect[TicketField](ctx, c, r, "ticket_fields")
}

// CreateTicketField makes a custom field. Titles need not be unique: look for it with TicketFields before.
func (c *Client) CreateTicketField(ctx context.Context, f TicketField) (TicketField, error) {
	f.ID = 0
	type body struct {
		Field TicketField `json:"ticket_field"`
	}
	var out body
	err := c.do(ctx, request{name: "CreateTicketField", method: http.MethodPost, path: "/ticket_fields", in: body{f}, out: &out})
	return out.Field, err
}
