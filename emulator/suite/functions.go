package suite

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"emailchannel.dev/emailchannel/functions/api"
	"emailchannel.dev/emailchannel/functions/autoreply"
	"emailchannel.dev/emailchannel/functions/flush"
	"emailchannel.dev/emailchannel/functions/hook"
	"emailchannel.dev/emailchannel/functions/ingest"
	"emailchannel.dev/emailchannel/functions/poll"
	"emailchannel.dev/emailchannel/functions/record"
	"emailchannel.dev/emailchannel/functions/route"
	"emailchannel.dev/emailchannel/functions/send"
	"emailchannel.dev/emailchannel/functions/sweep"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/trigger"
)

// build makes a function's handler from its surroundings.
type build func(context.Context, config.Env) (http.Handler, error)

var builds = map[string]build{
	"poll": poll.Handler, "ingest": ingest.Handler, "route": route.Handler, "autoreply": autoreply.Handler, "send": send.Handler,
	"record": record.Handler, "flush": flush.Handler, "sweep": sweep.Handler, "api": api.Handler, "hook": hook.Handler,
}

// FunctionsMux serves all functions: the API at /v1/, hook at /hook/, the
// others at /functions/NAME.
func FunctionsMux(lookup func(string) (string, bool), now func() time.Time) *http.ServeMux {
	mux := http.NewServeMux()
	for name, b := range builds {
		env := config.Env{Function: name, Lookup: lookup, Now: now}
		h := trigger.Lazy(func(ctx context.Context) (http.Handler, error) { return b(ctx, env) })
		switch name {
		case "api":
			mux.Handle("/v1/", h)
		case "hook":
			mux.Handle("/hook/", h)
		default:
			mux.Handle("POST /functions/"+name, h)
		}
	}
	return mux
}

// env is what the functions are configured with in the suite.
func (s *Suite) env() map[string]string {
	a := s.Addrs
	return map[string]string{
		"GOOGLE_CLOUD_PROJECT": Project, "MAIL_BUCKET": Bucket, "SCHEDULER_LOCATION": Location, "ALLOW_INSECURE_MAIL": "true", "SKIP_DKIM": "true",
		"FIRESTORE_EMULATOR_HOST": a.Firestore, "PUBSUB_EMULATOR_HOST": a.PubSub, "STORAGE_EMULATOR_HOST": a.Storage,
		"SECRETS_EMULATOR_HOST": a.Secrets, "SCHEDULER_EMULATOR_HOST": a.Scheduler, "API_TOKENS": DemoTokens,
	}
}

func (s *Suite) startFunctions() error {
	if s.opt.Isolate {
		return s.startProcess()
	}
	vars := s.env()
	s.functions = s.killable(FunctionsMux(func(name string) (string, bool) { v, ok := vars[name]; return v, ok }, s.Clock.Now))
	return nil
}

// killable ends a request's goroutine at a step that the fault switch names,
// which is what a crash looks like to everything outside: no answer. Once one
// of a request's goroutines was ended, the others come no further either.
func (s *Suite) killable(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var mu sync.Mutex
		dead := false
		ctx := fault.WithSteps(r.Context(), func(step string) {
			s.steps.see(step)
			mu.Lock()
			defer mu.Unlock()
			if !dead && s.Faults.Kill(step) {
				s.log.Info("killed by a fault", "step", step)
				dead = true
			}
			if dead {
				runtime.Goexit()
			}
		})
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// steps remembers which named steps functions came by.
type steps struct {
	mu   sync.Mutex
	seen []string
}

func (s *steps) see(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.seen, step) {
		s.seen = append(s.seen, step)
	}
}

func (s *steps) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.seen)
	slices.Sort(out)
	return out
}

// Headers by which the suite tells a functions process the time and the steps
// at which to end.
const (
	nowHeader     = "Emulator-Now"
	frozenHeader  = "Emulator-Frozen"
	killHeader    = "Emulator-Kill"
	controlHeader = "Emulator-Control" // base URL of the suite's own endpoints
)

// claimKill asks the suite whether this process is the one to end at the step:
// a fault counts how often it strikes.
func claimKill(control, step string) bool {
	resp, err := http.Post(control+"/_emulator/kill?step="+url.QueryEscape(step), "", nil)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// killedStatus is the exit status of a functions process that a fault ended.
const killedStatus = 137

// FunctionsProcess is the variable that tells a process that it is the
// functions of a suite, and ends when its standard input does.
const FunctionsProcess = "EMULATOR_FUNCTIONS"

// RunFunctions serves the functions alone, against what the environment names,
// until ctx ends. It prints its address on out.
func RunFunctions(ctx context.Context, listen string, out io.Writer) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	clk := &followed{}
	mux := FunctionsMux(os.LookupEnv, clk.now)
	var claiming sync.Mutex // several goroutines at the step are one strike
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clk.follow(r.Header)
		kills := r.Header.Values(killHeader)
		mux.ServeHTTP(w, r.WithContext(fault.WithSteps(r.Context(), func(step string) {
			if !slices.Contains(kills, step) {
				return
			}
			claiming.Lock()
			defer claiming.Unlock()
			if claimKill(r.Header.Get(controlHeader), step) {
				os.Exit(killedStatus)
			}
		})))
	})}
	fmt.Fprintln(out, ln.Addr())
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if os.Getenv(FunctionsProcess) != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // the suite holds the other end, and is gone when this ends
			srv.Close()
		}()
	}
	if err := srv.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// followed is the suite's clock as a functions process knows it from requests;
// without a suite it is real time.
type followed struct {
	mu     sync.Mutex
	offset time.Duration
	frozen time.Time
}

func (f *followed) follow(h http.Header) {
	t, err := time.Parse(time.RFC3339Nano, h.Get(nowHeader))
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offset, f.frozen = time.Until(t), time.Time{}
	if h.Get(frozenHeader) != "" {
		f.frozen = t
	}
}

func (f *followed) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.frozen.IsZero() {
		return f.frozen
	}
	return time.Now().Add(f.offset).UTC()
}
