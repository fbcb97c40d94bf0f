package zendesk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxBody bounds a JSON request: a batch of 100 comments of 64 KB, each byte escaped at worst twice.
const maxBody = 16 << 20

// call is one authenticated request on its way through a handler. Handlers run under the server's lock.
type call struct {
	r    *http.Request
	body []byte
	user *user // nil: nobody is logged in; only ShowCurrentUser is called so
	now  time.Time
	base string // "http://host", for the url properties
}

func (c *call) query(name string) string { return c.r.URL.Query().Get(name) }

// id is the numeric path parameter; what is no number matches no record.
func (c *call) id(name string) (int64, error) {
	n, err := strconv.ParseInt(c.r.PathValue(name), 10, 64)
	if err != nil {
		return 0, notFound()
	}
	return n, nil
}

func (c *call) decode(v any) error {
	if err := json.Unmarshal(c.body, v); err != nil {
		return &failure{status: http.StatusBadRequest, code: "InvalidJSON", description: err.Error()}
	}
	return nil
}

// answer is a handler's result: JSON in Body, or raw bytes that are sent as they are.
type answer struct {
	status int
	body   any
	raw    json.RawMessage
	header map[string]string
}

func ok(body any) (answer, error) { return answer{status: http.StatusOK, body: body}, nil }

// Fault is what Options.Fault returns to have a request fail in a certain way.
type Fault struct {
	Status     int           // answered instead of the operation; 0 with the flags below
	RetryAfter time.Duration // sent as Retry-After when positive
	HangUp     bool          // close the connection, nothing done
	LoseAnswer bool          // do the operation, then close the connection: the client cannot know
}

func (f *Fault) Error() string {
	return fmt.Sprintf("zendesk fault: status %d, hang up %t, lose answer %t", f.Status, f.HangUp, f.LoseAnswer)
}

func (s *Server) fault(op string) *Fault {
	if s.opts.Fault == nil {
		return &Fault{}
	}
	err := s.opts.Fault(op)
	if err == nil {
		return &Fault{}
	}
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return &Fault{Status: http.StatusServiceUnavailable}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, op operation) {
	f := s.fault(op.id)
	if f.HangUp {
		panic(http.ErrAbortHandler)
	}
	if f.Status != 0 {
		writeFailure(w, &failure{status: f.Status, code: http.StatusText(f.Status), retryAfter: f.RetryAfter})
		return
	}
	a, err := s.run(w, r, op)
	if f.LoseAnswer {
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		writeFailure(w, s.refused(err))
		return
	}
	writeAnswer(w, a)
}

// run takes a request through the limit, the login, the contract and the handler.
func (s *Server) run(w http.ResponseWriter, r *http.Request, op operation) (answer, error) {
	if err := s.admit(w); err != nil {
		return answer{}, err
	}
	var body []byte
	if !op.stream {
		var err error
		if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
			return answer{}, &failure{status: http.StatusRequestEntityTooLarge, code: "RequestTooLarge", description: err.Error()}
		}
	}
	c := &call{r: r, body: body, now: s.now(), base: "http://" + r.Host}
	if err := s.login(c, op.id); err != nil {
		return answer{}, err
	}
	if err := s.contract.wait().check(op, r, body); err != nil {
		return answer{}, err
	}
	if op.stream {
		return op.handle(s, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.runDueJobs(c.now); err != nil {
		return answer{}, err
	}
	return op.handle(s, c)
}

// refused turns any error into the answer's failure and counts it.
func (s *Server) refused(err error) *failure {
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{status: http.StatusInternalServerError, code: "InternalError", description: err.Error()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.status == http.StatusTooManyRequests {
		s.stats.RateLimited++
	}
	if f.code == violationCode {
		s.stats.Violations++
	}
	return f
}

func writeAnswer(w http.ResponseWriter, a answer) {
	body := []byte(a.raw)
	if body == nil {
		var buf bytes.Buffer
		if err := json.NewEncoder(&buf).Encode(a.body); err != nil {
			writeFailure(w, &failure{status: http.StatusInternalServerError, code: "InternalError", description: err.Error()})
			return
		}
		body = buf.Bytes()
	}
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}
