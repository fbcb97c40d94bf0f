package zendesk

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// term is one word of a search: a property with an operator, or a free word (no property).
type term struct {
	property string
	op       byte // ':' '<' '>'
	value    string
	negated  bool
}

// parseQuery reads Zendesk's search syntax: words, "quoted phrases", property:value, property<value, -negated.
func parseQuery(q string) []term {
	var terms []term
	for _, word := range splitQuoted(q) {
		t := term{value: word}
		if rest, found := strings.CutPrefix(word, "-"); found {
			t.negated, t.value = true, rest
		}
		if i := strings.IndexAny(t.value, ":<>"); i > 0 {
			t.property, t.op, t.value = strings.ToLower(t.value[:i]), t.value[i], t.value[i+1:]
		}
		t.value = strings.Trim(t.value, `"`)
		terms = append(terms, t)
	}
	return terms
}

// splitQuoted splits at spaces outside quotation marks.
func splitQuoted(q string) []string {
	var words []string
	word, quoted := "", false
	for _, r := range q {
		if r == '"' {
			quoted = !quoted
		}
		switch {
		case r != ' ' || quoted:
			word += string(r)
		case word != "":
			words, word = append(words, word), ""
		}
	}
	if word != "" {
		words = append(words, word)
	}
	return words
}

func searchAll(s *Server, c *call) (answer, error) {
	terms := parseQuery(c.query("query"))
	kind := ""
	terms = slices.DeleteFunc(terms, func(t term) bool {
		if t.property == "type" {
			kind = t.value
		}
		return t.property == "type" || t.property == "order_by" || t.property == "sort"
	})
	var found []any // *ticket or *user: only a page of them is read from disk
	if kind != "user" {
		tickets, err := s.matchingTickets(terms, c.query("sort_order") == "asc")
		if err != nil {
			return answer{}, err
		}
		found = append(found, tickets...)
	}
	if kind != "ticket" {
		for _, u := range s.matchingUsers(terms) {
			found = append(found, u)
		}
	}
	page, body, err := paginate(c, found)
	if err != nil {
		return answer{}, err
	}
	results := make([]any, 0, len(page))
	for _, record := range page {
		r, err := s.result(c, record)
		if err != nil {
			return answer{}, err
		}
		results = append(results, r)
	}
	body["results"], body["facets"] = results, nil
	return ok(body)
}

// result is a record as a search answers it.
func (s *Server) result(c *call, record any) (any, error) {
	if u, isUser := record.(*user); isUser {
		return struct {
			userView
			ResultType string `json:"result_type"`
		}{c.userView(u), "user"}, nil
	}
	v, err := s.viewOf(c.base, record.(*ticket))
	return struct {
		ticketView
		ResultType string `json:"result_type"`
	}{v, "ticket"}, err
}

// matchingTickets are newest first, Zendesk's order where all match alike, or oldest first.
func (s *Server) matchingTickets(terms []term, oldestFirst bool) ([]any, error) {
	ids := s.state.ticketIDs()
	if !oldestFirst {
		slices.Reverse(ids)
	}
	var found []any
	for _, id := range ids {
		t := s.state.tickets[id]
		match, err := all(terms, func(q term) (bool, error) { return s.ticketMatches(t, q) })
		if err != nil {
			return nil, err
		}
		if match {
			found = append(found, t)
		}
	}
	return found, nil
}

// all tells whether every term matches.
func all(terms []term, match func(term) (bool, error)) (bool, error) {
	for _, t := range terms {
		m, err := match(t)
		if err != nil || m == t.negated {
			return false, err
		}
	}
	return true, nil
}

func (s *Server) ticketMatches(t *ticket, q term) (bool, error) {
	switch q.property {
	case "":
		return containsFold(t.Subject, q.value) || strconv.FormatInt(t.ID, 10) == strings.TrimPrefix(q.value, "#"), nil
	case "external_id":
		return t.ExternalID != nil && *t.ExternalID == q.value, nil
	case "subject":
		return containsFold(t.Subject, q.value), nil
	case "status":
		return compareBy(q.op, slices.Index(statusOrder, t.Status), slices.Index(statusOrder, q.value)), nil
	case "tags":
		return slices.Contains(t.Tags, strings.ToLower(q.value)), nil
	case "requester":
		return s.isUser(t.RequesterID, q.value), nil
	case "assignee":
		if t.AssigneeID == nil {
			return q.value == "none", nil
		}
		return s.isUser(*t.AssigneeID, q.value), nil
	case "created", "updated":
		when := t.CreatedAt
		if q.property == "updated" {
			when = t.UpdatedAt
		}
		return compareTime(q, when)
	}
	if id, found := strings.CutPrefix(q.property, "custom_field_"); found {
		return t.hasField(id, q.value), nil
	}
	return false, &failure{status: http.StatusUnprocessableEntity, code: "invalid", description: "Invalid search: " + q.property + " is not served by the emulator"}
}

func (t *ticket) hasField(id, value string) bool {
	return slices.ContainsFunc(t.CustomFields, func(f fieldValue) bool {
		var v any
		if json.Unmarshal(f.Value, &v) != nil {
			return false
		}
		return strconv.FormatInt(f.ID, 10) == id && fmt.Sprint(v) == value
	})
}

func compareTime(q term, when time.Time) (bool, error) {
	layout := time.RFC3339
	if len(q.value) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	at, err := time.Parse(layout, q.value)
	if err != nil {
		return false, badRequest("invalid", "Invalid search: "+q.property+" "+q.value)
	}
	if q.op == ':' {
		return when.Format(layout) == q.value, nil
	}
	return compareBy(q.op, when.Unix(), at.Unix()), nil
}

func compareBy[T cmp.Ordered](op byte, have, want T) bool {
	switch op {
	case '<':
		return have < want
	case '>':
		return have > want
	}
	return have == want
}

func (s *Server) isUser(id int64, value string) bool {
	u := s.state.users[id]
	return strconv.FormatInt(id, 10) == value || u != nil && (strings.EqualFold(u.Email, value) || strings.EqualFold(u.Name, value))
}

// matchingUsers are in the order of their IDs. A lone e-mail address takes the index.
func (s *Server) matchingUsers(terms []term) []*user {
	if len(terms) == 1 && terms[0].property == "email" && !terms[0].negated && !strings.Contains(terms[0].value, "*") {
		if u := s.state.userByEmail(terms[0].value); u != nil {
			return []*user{u}
		}
		return nil
	}
	var found []*user
	for _, u := range s.state.users {
		// userMatches knows no error: what a user has not, it does not match.
		if match, _ := all(terms, func(q term) (bool, error) { return userMatches(u, q), nil }); match {
			found = append(found, u)
		}
	}
	slices.SortFunc(found, func(a, b *user) int { return cmp.Compare(a.ID, b.ID) })
	return found
}

func userMatches(u *user, q term) bool {
	switch q.property {
	case "":
		return containsFold(u.Name, q.value) || containsFold(u.Email, q.value) || u.Phone != nil && strings.Contains(*u.Phone, q.value)
	case "email":
		return strings.EqualFold(u.Email, q.value)
	case "name":
		return containsFold(u.Name, q.value)
	case "phone":
		return u.Phone != nil && *u.Phone == q.value
	case "external_id":
		return u.ExternalID != nil && strings.EqualFold(*u.ExternalID, q.value)
	case "role":
		return u.Role == q.value
	}
	return false
}

func searchUsers(s *Server, c *call) (answer, error) {
	terms := parseQuery(c.query("query"))
	if ext := c.query("external_id"); ext != "" {
		terms = append(terms, term{property: "external_id", op: ':', value: ext})
	}
	var users []*user
	if len(terms) > 0 {
		users = s.matchingUsers(terms)
	}
	page, body, err := paginate(c, users)
	if err != nil {
		return answer{}, err
	}
	views := make([]userView, 0, len(page))
	for _, u := range page {
		views = append(views, c.userView(u))
	}
	body["users"] = views
	return ok(body)
}

func containsFold(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}
