package zendesk

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Job is the state of an UpdateMany.
type Job struct {
	ID      string     `json:"id"`
	Status  string     `json:"status"` // queued, working, failed, killed, completed
	Message string     `json:"message"`
	Total   int        `json:"total"`
	Results JobResults `json:"results"`
}

// JobResults has an entry per ticket once the job is completed.
type JobResults []JobResult

// JobResult is what became of one ticket's change.
type JobResult struct {
	ID      int64  `json:"id"`
	Success bool   `json:"success"`
	Error   string `json:"error"`
	Details string `json:"details"`
}

// UnmarshalJSON also takes the object {"success": …} that some jobs answer instead of a list; it holds no entry.
func (r *JobResults) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]JobResult)(r))
	}
	*r = nil
	return nil
}

// jobCompleted is the status of a job that ran to its end.
const jobCompleted = "completed"

// results are those of each ticket.
func (j Job) results() map[int64]JobResult {
	out := map[int64]JobResult{}
	for _, res := range j.Results {
		out[res.ID] = res
	}
	return out
}

// Finished tells that nothing more will happen: completed, failed or killed. Only a completed job's results are whole.
func (j Job) Finished() bool {
	return j.Status == jobCompleted || j.Status == "failed" || j.Status == "killed"
}

// Temporary tells whether the refused change may succeed later. Zendesk gives results a code but no HTTP status.
func (r JobResult) Temporary() bool {
	if r.Success {
		return false
	}
	switch r.Error {
	case "TooManyTicketUpdates", "TooManyRequests", "UpdateConflict", "TicketUpdateConflict", "InternalError", "Timeout":
		return true
	}
	return false
}

type jobBody struct {
	Job Job `json:"job_status"`
}

// Job reads the state of an UpdateMany. *APIError 404 for one that Zendesk has forgotten (after about an hour).
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	var out jobBody
	err := c.do(ctx, request{name: "Job", method: http.MethodGet, path: "/job_statuses/" + url.PathEscape(id), out: &out})
	return out.Job, err
}
