package zendesk

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func createTicket(s *Server, c *call) (answer, error) {
	if kept, err := s.replay(c); kept != nil || err != nil {
		if err != nil {
			return answer{}, err
		}
		return *kept, nil
	}
	var in struct {
		Ticket ticketInput `json:"ticket"`
	}
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	b := new(batch)
	t, first, err := s.newTicket(c, b, &in.Ticket)
	if err != nil {
		return answer{}, err
	}
	a := answer{
		status: http.StatusCreated,
		body:   map[string]any{"ticket": s.view(c.base, t, first.plain())},
		header: map[string]string{"Location": ticketURL(c.base, t.ID)},
	}
	if err := s.remember(c, b, &a); err != nil {
		return answer{}, err
	}
	return a, s.commit(b)
}

func (s *Server) newTicket(c *call, b *batch, in *ticketInput) (*ticket, *comment, error) {
	if in.Comment == nil {
		return nil, nil, invalid("base", "Description: cannot be blank", "BlankValue")
	}
	requester, err := s.requester(c, b, in)
	if err != nil {
		return nil, nil, err
	}
	t := &ticket{
		ID: s.state.lastTicket + 1, Status: statusNew, RequesterID: requester, SubmitterID: c.user.ID,
		Tags: []string{}, Via: via{Channel: "api"}, CreatedAt: c.now, UpdatedAt: c.now,
	}
	if in.AssigneeID.Set && !in.AssigneeID.Null || in.AssigneeEmail != "" {
		t.Status = statusOpen
	}
	t, err = s.applyInput(t, in)
	if err != nil {
		return nil, nil, err
	}
	first, err := s.newComment(c, b, t.ID, in)
	if err != nil {
		return nil, nil, err
	}
	if t.Subject == "" { // Zendesk shows the first words of the description
		t.Subject = firstWords(first.plain())
	}
	b.ticket(t)
	b.comment(first)
	return t, first, nil
}

// firstWords is at most 100 characters of the first line.
func firstWords(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if r := []rune(line); len(r) > 100 {
		return string(r[:100])
	}
	return line
}

func (s *Server) ticketOf(c *call) (*ticket, error) {
	id, err := c.id("ticket_id")
	if err != nil {
		return nil, err
	}
	t := s.state.tickets[id]
	if t == nil {
		return nil, notFound()
	}
	return t, nil
}

func showTicket(s *Server, c *call) (answer, error) {
	t, err := s.ticketOf(c)
	if err != nil {
		return answer{}, err
	}
	v, err := s.viewOf(c.base, t)
	if err != nil {
		return answer{}, err
	}
	return ok(map[string]any{"ticket": v})
}

func updateTicket(s *Server, c *call) (answer, error) {
	t, err := s.ticketOf(c)
	if err != nil {
		return answer{}, err
	}
	var in struct {
		Ticket ticketInput `json:"ticket"`
	}
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	in.Ticket.AdditionalTags, in.Ticket.RemoveTags = nil, nil // Zendesk heeds them in a batch only
	b := new(batch)
	changed, err := s.change(c, b, t, &in.Ticket)
	if err != nil {
		return answer{}, err
	}
	if err := s.commit(b); err != nil {
		return answer{}, err
	}
	v, err := s.viewOf(c.base, changed)
	if err != nil {
		return answer{}, err
	}
	return ok(map[string]any{"ticket": v, "audit": auditView(changed, c)})
}

func listTickets(s *Server, c *call) (answer, error) {
	var ids []int64
	if ext := c.query("external_id"); ext != "" {
		ids = slices.Clone(s.state.byExternal[ext])
	} else {
		ids = s.state.ticketIDs()
	}
	return s.ticketPageOf(c, "tickets", ids)
}

func requestedTickets(s *Server, c *call) (answer, error) {
	id, err := c.id("user_id")
	if err != nil {
		return answer{}, err
	}
	if s.state.users[id] == nil {
		return answer{}, notFound()
	}
	ids := slices.Clone(s.state.byUser[id])
	slices.Sort(ids)
	return s.ticketPageOf(c, "tickets", ids)
}

func showMany(s *Server, c *call) (answer, error) {
	ids, err := idList(c.query("ids"))
	if err != nil {
		return answer{}, err
	}
	ids = slices.DeleteFunc(ids, func(id int64) bool { return s.state.tickets[id] == nil })
	return s.ticketPageOf(c, "tickets", ids)
}

// idList reads "1,2,3", at most a hundred.
func idList(list string) ([]int64, error) {
	parts := strings.Split(list, ",")
	if len(parts) > maxMany {
		return nil, badRequest("TooManyValues", "ids: at most 100")
	}
	var ids []int64
	for _, p := range parts {
		id, err := strconv.ParseInt(strings.TrimSpace(p), 10, 64)
		if err != nil {
			return nil, badRequest("InvalidValue", "ids: "+strconv.Quote(p)+" is no ID")
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (st *state) ticketIDs() []int64 {
	ids := make([]int64, 0, len(st.tickets))
	for id := range st.tickets {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// ticketPageOf answers one page of the tickets.
func (s *Server) ticketPageOf(c *call, name string, ids []int64) (answer, error) {
	page, body, err := paginate(c, ids)
	if err != nil {
		return answer{}, err
	}
	views := make([]ticketView, 0, len(page))
	for _, id := range page {
		v, err := s.viewOf(c.base, s.state.tickets[id])
		if err != nil {
			return answer{}, err
		}
		views = append(views, v)
	}
	body[name] = views
	return ok(body)
}
