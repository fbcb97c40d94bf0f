package zendesk

import (
	"net/http"
	"time"
)

func listTags(s *Server, c *call) (answer, error) {
	t, err := s.ticketOf(c)
	if err != nil {
		return answer{}, err
	}
	return ok(map[string]any{"tags": t.Tags})
}

func setTags(s *Server, c *call) (answer, error) {
	a, err := s.changeTags(c, func(in *ticketInput, tags []string) { in.Tags = opt[[]string]{Set: true, Value: tags} })
	a.status = http.StatusCreated
	return a, err
}

func addTags(s *Server, c *call) (answer, error) {
	return s.changeTags(c, func(in *ticketInput, tags []string) { in.AdditionalTags = tags })
}

func removeTags(s *Server, c *call) (answer, error) {
	return s.changeTags(c, func(in *ticketInput, tags []string) { in.RemoveTags = tags })
}

func (s *Server) changeTags(c *call, put func(*ticketInput, []string)) (answer, error) {
	t, err := s.ticketOf(c)
	if err != nil {
		return answer{}, err
	}
	var in struct {
		Tags         []string   `json:"tags"`
		SafeUpdate   any        `json:"safe_update"` // the page shows the string "true"
		UpdatedStamp *time.Time `json:"updated_stamp"`
	}
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	change := ticketInput{SafeUpdate: in.SafeUpdate == true || in.SafeUpdate == "true", UpdatedStamp: in.UpdatedStamp}
	put(&change, in.Tags)
	b := new(batch)
	changed, err := s.change(c, b, t, &change)
	if err != nil {
		return answer{}, err
	}
	if err := s.commit(b); err != nil {
		return answer{}, err
	}
	return ok(map[string]any{"tags": changed.Tags})
}
