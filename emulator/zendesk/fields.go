package zendesk

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

func listFields(s *Server, c *call) (answer, error) {
	all := make([]*field, 0, len(s.state.fields))
	for _, f := range s.state.fields {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *field) int { return cmp.Compare(a.ID, b.ID) })
	page, body, err := paginate(c, all)
	if err != nil {
		return answer{}, err
	}
	views := make([]any, 0, len(page))
	for _, f := range page {
		views = append(views, f.Props)
	}
	body["ticket_fields"] = views
	return ok(body)
}

func createField(s *Server, c *call) (answer, error) {
	var in struct {
		Field map[string]json.RawMessage `json:"ticket_field"`
	}
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	for _, name := range []string{"type", "title"} {
		var v string
		if json.Unmarshal(in.Field[name], &v) != nil || v == "" {
			return answer{}, invalid(name, name+": cannot be blank", "BlankValue")
		}
	}
	f := &field{ID: s.state.lastField + 1, Props: in.Field}
	url := fmt.Sprintf("%s%s/ticket_fields/%d.json", c.base, apiRoot, f.ID)
	for name, v := range map[string]any{"id": f.ID, "url": url, "active": true, "removable": true, "created_at": c.now, "updated_at": c.now} {
		raw, err := json.Marshal(v)
		if err != nil {
			return answer{}, err
		}
		f.Props[name] = raw
	}
	b := new(batch)
	b.field(f)
	if err := s.commit(b); err != nil {
		return answer{}, err
	}
	s.state.lastField = f.ID
	return answer{status: http.StatusCreated, body: map[string]any{"ticket_field": f.Props}, header: map[string]string{"Location": url}}, nil
}
