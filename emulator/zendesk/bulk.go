package zendesk

import (
	"encoding/json"
	"net/http"
)

// updateMany queues a batch, in either of its two forms: ?ids=1,2 with one "ticket" for all of them, or "tickets",
// each with its id. (The OpenAPI file has no body for it.)
func updateMany(s *Server, c *call) (answer, error) {
	var in struct {
		Ticket  json.RawMessage   `json:"ticket"`
		Tickets []json.RawMessage `json:"tickets"`
	}
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	changes := in.Tickets
	if list := c.query("ids"); list != "" {
		ids, err := idList(list)
		if err != nil {
			return answer{}, err
		}
		if changes, err = sameForAll(ids, in.Ticket); err != nil {
			return answer{}, err
		}
	}
	switch {
	case len(changes) == 0:
		return answer{}, badRequest("MissingParameter", "tickets: is missing or empty")
	case len(changes) > maxMany:
		return answer{}, &failure{status: http.StatusUnprocessableEntity, code: "TooManyValues", description: "tickets: at most 100"}
	}
	return s.queue(c, &job{Type: "Bulk Update Ticket", Changes: changes})
}

// sameForAll gives each ID a copy of the change.
func sameForAll(ids []int64, change json.RawMessage) ([]json.RawMessage, error) {
	var props map[string]any
	if err := json.Unmarshal(change, &props); err != nil {
		return nil, badRequest("InvalidJSON", "ticket: "+err.Error())
	}
	var all []json.RawMessage
	for _, id := range ids {
		props["id"] = id
		one, err := json.Marshal(props)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// runUpdates applies each change by itself: one that is refused leaves the others alone.
func (s *Server) runUpdates(c *call, b *batch, changes []json.RawMessage) ([]jobResult, error) {
	results := make([]jobResult, 0, len(changes))
	current := map[int64]*ticket{} // a ticket that the batch names twice is changed twice
	for _, raw := range changes {
		var in ticketInput
		if err := json.Unmarshal(raw, &in); err != nil {
			results = append(results, jobResult{Action: "update", Error: "InvalidJSON", Details: err.Error()})
			continue
		}
		r, err := s.runUpdate(c, b, current, &in)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}

func (s *Server) runUpdate(c *call, b *batch, current map[int64]*ticket, in *ticketInput) (jobResult, error) {
	t := current[in.ID]
	if t == nil {
		t = s.state.tickets[in.ID]
	}
	if t == nil {
		return failed(in.ID, notFound())
	}
	// Into its own batch first, so that a refused change leaves nothing behind.
	own := new(batch)
	changed, err := s.change(c, own, t, in)
	if err != nil {
		return failed(in.ID, err)
	}
	b.join(own)
	current[in.ID] = changed
	return jobResult{ID: in.ID, Action: "update", Success: true, Status: "Updated"}, nil
}

// join appends the other batch.
func (b *batch) join(other *batch) {
	shift := int64(b.buf.Len())
	b.buf.Write(other.buf.Bytes())
	for _, apply := range other.apply {
		b.apply = append(b.apply, func(st *state, base int64) { apply(st, base+shift) })
	}
	if b.err == nil {
		b.err = other.err
	}
}
