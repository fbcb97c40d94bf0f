package zendesk

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A job starts when somebody asks for it, or this long after it was queued, at the next request.
const jobDelay = time.Second

// maxJobs is how many jobs an account may have waiting.
const maxJobs = 30

// job is a queued change of many tickets. It is kept until it ran, then only on disk.
type job struct {
	Seq     int64             `json:"seq"`
	ID      string            `json:"id"`
	Type    string            `json:"type"`
	UserID  int64             `json:"user_id"`
	Queued  time.Time         `json:"queued"`
	Done    time.Time         `json:"done"` // zero: not yet
	Changes []json.RawMessage `json:"changes,omitempty"`
	Merge   *mergeInput       `json:"merge,omitempty"`
	Results []jobResult       `json:"results,omitempty"`
}

type jobResult struct {
	ID      int64  `json:"id"`
	Action  string `json:"action"`
	Success bool   `json:"success"`
	Status  string `json:"status,omitempty"`
	Error   string `json:"error,omitempty"`
	Details string `json:"details,omitempty"`
}

func (st *state) setJob(j *job, r ref) {
	st.jobs[j.ID] = r
	st.lastSeq = max(st.lastSeq, j.Seq)
	for i, p := range st.pending {
		if p.ID == j.ID {
			st.pending = append(st.pending[:i:i], st.pending[i+1:]...)
			break
		}
	}
	if j.Done.IsZero() {
		st.pending = append(st.pending, j)
	}
}

// queue stores the job and answers that it waits.
func (s *Server) queue(c *call, j *job) (answer, error) {
	if len(s.state.pending) >= maxJobs {
		return answer{}, &failure{
			status: http.StatusTooManyRequests, code: "TooManyJobs", retryAfter: jobDelay,
			description: "Too many jobs are currently queued or running, try again later",
		}
	}
	s.state.lastSeq++
	j.Seq, j.ID, j.UserID, j.Queued = s.state.lastSeq, "V3-"+rand.Text(), c.user.ID, c.now
	b := new(batch)
	b.job(j)
	if err := s.commit(b); err != nil {
		return answer{}, err
	}
	return ok(map[string]any{"job_status": j.view(c.base)})
}

// runDueJobs runs, in order, the jobs whose delay is over.
func (s *Server) runDueJobs(now time.Time) error {
	for len(s.state.pending) > 0 && !now.Before(s.state.pending[0].Queued.Add(jobDelay)) {
		if err := s.runJob(s.state.pending[0], now); err != nil {
			return err
		}
	}
	return nil
}

// runJob applies a job's changes and its results in one batch: a crash leaves it waiting or done.
func (s *Server) runJob(j *job, now time.Time) error {
	c := &call{user: s.state.users[j.UserID], now: now}
	b := new(batch)
	done := *j
	done.Done, done.Changes = now, nil
	var err error
	if j.Merge != nil {
		done.Results, err = s.runMerge(c, b, j.Merge)
	} else {
		done.Results, err = s.runUpdates(c, b, j.Changes)
	}
	if err != nil {
		return err
	}
	b.job(&done)
	return s.commit(b)
}

// failed turns a refused entry into its result; any other error ends the job's run.
func failed(id int64, err error) (jobResult, error) {
	var f *failure
	if !errors.As(err, &f) {
		return jobResult{}, err
	}
	details := f.description
	for _, list := range f.details {
		for _, d := range list {
			details = d.Description
		}
	}
	return jobResult{ID: id, Action: "update", Error: f.code, Details: details}, nil
}

func showJob(s *Server, c *call) (answer, error) {
	at, found := s.state.jobs[c.r.PathValue("job_status_id")]
	if !found {
		return answer{}, notFound()
	}
	var j job
	if err := s.log.read(at, &j); err != nil {
		return answer{}, err
	}
	for j.Done.IsZero() { // older jobs first: Zendesk keeps the order within a queue
		if err := s.runJob(s.state.pending[0], c.now); err != nil {
			return answer{}, err
		}
		if err := s.log.read(s.state.jobs[j.ID], &j); err != nil {
			return answer{}, err
		}
	}
	return ok(map[string]any{"job_status": j.view(c.base)})
}

func (j *job) view(base string) map[string]any {
	v := map[string]any{
		"id": j.ID, "job_type": j.Type, "url": fmt.Sprintf("%s%s/job_statuses/%s.json", base, apiRoot, j.ID),
		"total": max(len(j.Changes), len(j.Results)), "progress": nil, "status": "queued", "message": nil, "results": nil,
	}
	if !j.Done.IsZero() {
		v["status"], v["results"], v["progress"] = "completed", j.Results, len(j.Results)
		v["message"] = "Completed at " + j.Done.Format("2006-01-02 15:04:05 -0700")
	}
	return v
}
