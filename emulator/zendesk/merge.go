package zendesk

import (
	"cmp"
	"fmt"
)

const mergedTag = "closed_by_merge"

type mergeInput struct {
	Target        int64   `json:"target,omitempty"`
	IDs           []int64 `json:"ids"`
	SourceComment string  `json:"source_comment,omitempty"`
	TargetComment string  `json:"target_comment,omitempty"`
	SourcePublic  bool    `json:"source_comment_is_public,omitempty"`
	TargetPublic  bool    `json:"target_comment_is_public,omitempty"`
}

// mergeTickets queues the merge: the sources are closed with the tag closed_by_merge and a comment that names the
// target, the target gets a comment.
func mergeTickets(s *Server, c *call) (answer, error) {
	target, err := s.ticketOf(c)
	if err != nil {
		return answer{}, err
	}
	var in mergeInput
	if err := c.decode(&in); err != nil {
		return answer{}, err
	}
	for _, id := range append([]int64{target.ID}, in.IDs...) {
		t := s.state.tickets[id]
		if t == nil || t.Status == statusClosed {
			return answer{}, invalid("ids", fmt.Sprintf("Ticket %d: is closed or does not exist", id), "InvalidValue")
		}
	}
	in.Target = target.ID
	return s.queue(c, &job{Type: "Ticket Merge", Merge: &in})
}

func (s *Server) runMerge(c *call, b *batch, in *mergeInput) ([]jobResult, error) {
	target := s.state.tickets[in.Target]
	list := ""
	for _, id := range in.IDs {
		list += fmt.Sprintf(" #%d", id)
	}
	toTarget := cmp.Or(in.TargetComment, "Requests"+list+" were closed and merged into this request.")
	toSource := cmp.Or(in.SourceComment, fmt.Sprintf("This request was closed and merged into request #%d %q.", in.Target, target.Subject))

	changes := []ticketInput{{ID: in.Target, Comment: &commentInput{Body: toTarget, Public: &in.TargetPublic}}}
	for _, id := range in.IDs {
		changes = append(changes, ticketInput{
			ID: id, Status: statusClosed, AdditionalTags: []string{mergedTag},
			Comment: &commentInput{Body: toSource, Public: &in.SourcePublic},
		})
	}
	current := map[int64]*ticket{}
	var results []jobResult
	for _, change := range changes {
		r, err := s.runUpdate(c, b, current, &change)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}
