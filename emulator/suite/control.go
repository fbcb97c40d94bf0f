package suite

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/emulator/faults"
	"emailchannel.dev/emailchannel/shared/event"
)

// mux is the HTTP part: the functions, the API, the suite's own endpoints and
// a page for people.
func (s *Suite) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/functions/", s.function)
	mux.HandleFunc("/v1/", s.function)
	mux.HandleFunc("/hook/", s.function)
	mux.HandleFunc("GET /_emulator/clock", s.getClock)
	mux.HandleFunc("POST /_emulator/clock", s.setClock)
	mux.HandleFunc("GET /_emulator/faults", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.Faults.Rules()) })
	mux.HandleFunc("POST /_emulator/faults", s.addFault)
	mux.HandleFunc("DELETE /_emulator/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.Faults.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_emulator/kill", func(w http.ResponseWriter, r *http.Request) {
		if !s.Faults.Kill(r.URL.Query().Get("step")) {
			w.WriteHeader(http.StatusConflict)
		}
	})
	mux.HandleFunc("GET /_emulator/idle", s.getIdle)
	mux.HandleFunc("GET /_emulator/stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.Stats()) })
	mux.HandleFunc("GET /_emulator/steps", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.steps.list()) })
	mux.HandleFunc("GET /{$}", s.page)
	return mux
}

// function hands a request to the functions and counts it as running.
func (s *Suite) function(w http.ResponseWriter, r *http.Request) {
	s.running.Add(1)
	defer s.running.Add(-1)
	h := s.functions
	if s.google != nil && strings.HasPrefix(r.URL.Path, "/functions/") {
		h = s.google.watch(h)
	}
	h.ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v)
}

type clockState struct {
	Now    time.Time `json:"now"`
	Frozen bool      `json:"frozen"`
}

func (s *Suite) getClock(w http.ResponseWriter, _ *http.Request) {
	answer(w, clockState{s.Clock.Now(), s.Clock.Frozen()})
}

// setClock moves or stops the clock: {"advance":"720h"}, {"freeze":true}.
func (s *Suite) setClock(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Advance faults.Duration `json:"advance"`
		Freeze  *bool           `json:"freeze"`
	}
	if !decodeBody(w, r, &req) {
		return
	}
	if req.Advance < 0 {
		http.Error(w, "advance: the clock does not go back", http.StatusBadRequest)
		return
	}
	if req.Freeze != nil {
		s.Clock.Freeze(*req.Freeze)
	}
	if req.Advance > 0 {
		// First, as what is stored on the way would be in the future of a suite that is killed there.
		if err := s.saveClock(s.Clock.Offset() + time.Duration(req.Advance)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		s.Clock.Advance(time.Duration(req.Advance))
		if s.firestore != nil {
			s.firestore.Sweep(s.Clock.Now())
		}
	}
	s.getClock(w, r)
}

func (s *Suite) addFault(w http.ResponseWriter, r *http.Request) {
	var rule faults.Rule
	if !decodeBody(w, r, &rule) {
		return
	}
	if why := s.beyond(rule); why != "" {
		http.Error(w, why, http.StatusConflict)
		return
	}
	if err := s.Faults.Add(rule); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func decodeBody(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		http.Error(w, "body: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// Idle tells whether nothing is queued or running.
func (s *Suite) Idle() bool {
	return s.bell.busy.Load() == 0 && s.running.Load() == 0 && s.broker.Idle() && !s.scheduler.Busy()
}

// WaitIdle returns when the suite is idle, three times in a row: what one part
// finishes another begins.
func (s *Suite) WaitIdle(ctx context.Context) error {
	for quiet := 0; quiet < 3; {
		if s.Idle() {
			quiet++
		} else {
			quiet = 0
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// Stored tells whether all mail has gone its way but for the CRM, whose
// operations are stored and wait for the end of their batching period.
func (s *Suite) Stored() bool {
	if s.pubsub == nil { // Google's broker tells no subscription from another
		return s.Idle()
	}
	if s.bell.busy.Load() > 0 || s.scheduler.Busy() {
		return false
	}
	for name, sub := range s.pubsub.Stats().Subscriptions {
		if sub.Pending > 0 && !strings.HasSuffix(name, event.TopicFlush+".flush") {
			return false
		}
	}
	return true
}

func (s *Suite) getIdle(w http.ResponseWriter, r *http.Request) {
	timeout := 30 * time.Second
	if v := r.URL.Query().Get("timeout"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			http.Error(w, "timeout: "+err.Error(), http.StatusBadRequest)
			return
		}
		timeout = d
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if err := s.WaitIdle(ctx); err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusGatewayTimeout)
		answer(w, map[string]any{"idle": false, "pubsub": s.backlog(), "running": s.running.Load(), "polls": s.bell.busy.Load()})
		return
	}
	if s.google != nil {
		answer(w, map[string]any{"idle": true, "how": "no call of a function for 1 s, no refusal for 5 s, outboxes empty; Google's broker cannot be asked what it holds"})
		return
	}
	answer(w, map[string]any{"idle": true})
}

// notCounted is what Google's emulators know of what they did and hold.
const notCounted = "not counted: Google's emulator"

// backlog is what Pub/Sub holds, by subscription.
func (s *Suite) backlog() any {
	if s.pubsub == nil {
		return notCounted
	}
	return s.pubsub.Stats().Subscriptions
}

// Stats are the billed operations and what else the suite counts.
type Stats struct {
	Firestore any    `json:"firestore"` // by function
	Storage   any    `json:"storage"`
	PubSub    any    `json:"pubsub"`
	Zendesk   any    `json:"zendesk"`
	Restarts  int64  `json:"functions_restarts"`
	HeapBytes uint64 `json:"heap_bytes"`
}

// Stats counts since the start.
func (s *Suite) Stats() Stats {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	out := Stats{notCounted, s.storage.Stats(), notCounted, s.zendesk.Stats(), s.restarts.Load(), m.HeapAlloc}
	if !s.opt.Google {
		out.Firestore, out.PubSub = s.firestore.Stats(), s.pubsub.Stats()
	}
	return out
}
