package zendesk

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// DefaultToken is the API token that is accepted when Options names none.
const DefaultToken = "demo"

// spikeLimit is Zendesk's own ceiling per account and minute, whatever the plan.
const spikeLimit = 100_000

// Options of a Server. Dir is required, the rest has defaults.
type Options struct {
	Dir   string           // holds the log and the uploaded files; made when missing
	Now   func() time.Time // the suite's clock; nil is time.Now
	Spec  string           // path of Zendesk's OpenAPI file; "" or a missing file switches the check off
	Token string           // the API token, or OAuth token, that is accepted; "" is DefaultToken
	// Agents are the e-mail addresses that may log in. Empty: every address that is no end user's becomes an
	// admin on first use.
	Agents []string
	// Fault is asked before each operation, with its OpenAPI operationId. nil is no fault; *Fault says what
	// happens; any other error is a 503.
	Fault     func(op string) error
	PerMinute int          // requests per minute and account; 0 is 100,000, Zendesk's spike protection
	Log       *slog.Logger // nil is slog.Default
}

// Server is the fake. It is an http.Handler; all methods may be called at the same time.
type Server struct {
	opts     Options
	mux      *http.ServeMux
	contract *contractLoader
	started  time.Time

	mu      sync.Mutex // guards everything below
	log     *appendLog
	state   *state
	account window
	stats   Stats
}

// Stats counts what the server has done since it was opened, and what it holds.
type Stats struct {
	Requests    int // API requests, refused ones included
	Violations  int // requests that broke the OpenAPI file
	RateLimited int // answered 429
	Replayed    int // answered from an idempotency key
	Tickets     int
	Comments    int
	Users       int
	PendingJobs int
	SpecChecked bool // the OpenAPI file was found and is in use
}

// Open reads what Dir holds and returns a server that is ready; the OpenAPI file is read in the background and
// only the first request waits for it.
func Open(opts Options) (*Server, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.Token = cmp.Or(opts.Token, DefaultToken)
	opts.PerMinute = cmp.Or(opts.PerMinute, spikeLimit)
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if err := os.MkdirAll(filepath.Join(opts.Dir, "files"), 0o700); err != nil {
		return nil, fmt.Errorf("zendesk fake: %w", err)
	}
	log, state, err := load(filepath.Join(opts.Dir, "zendesk.log"), opts.Now())
	if err != nil {
		return nil, fmt.Errorf("zendesk fake: open %s: %w", opts.Dir, err)
	}
	s := &Server{opts: opts, log: log, state: state, started: time.Now()}
	s.mux = s.routes()
	s.contract = loadContract(opts.Spec, servedPaths(), opts.Log)
	return s, nil
}

// ServeHTTP answers an API request or shows the human's page.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.URL.Path = trimJSONSuffix(r.URL.Path)
	s.mux.ServeHTTP(w, r)
}

// Close ends the server; what was acknowledged is already on disk.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.close()
}

// Stats tells the counters as they are now. It waits for the OpenAPI file.
func (s *Server) Stats() Stats {
	checked := s.contract.wait() != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Tickets, st.Users, st.PendingJobs = len(s.state.tickets), len(s.state.users), len(s.state.pending)
	for _, refs := range s.state.comments {
		st.Comments += len(refs)
	}
	st.SpecChecked = checked
	return st
}

// now is the suite's time in Zendesk's precision, whole seconds in UTC.
func (s *Server) now() time.Time { return s.opts.Now().UTC().Truncate(time.Second) }
