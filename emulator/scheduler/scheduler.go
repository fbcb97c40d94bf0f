// Package scheduler is the suite's Cloud Scheduler: jobs that the official client manages over gRPC and that a
// cron clock fires at Pub/Sub topics and HTTP endpoints.
//
// What it decides:
//
//   - A schedule has the five fields of cron, read in the job's IANA time zone (UTC without one). Descriptors
//     such as @hourly and App Engine's "every 5 minutes" are refused, because not everything takes them.
//   - A job fires when the suite's clock reaches its tick, and what it calls sees that time. One job never runs
//     beside itself.
//   - Ticks are coalesced: of those that fall due within one clock.Advance, or while the process stood, each
//     job fires the last only. Advance("720h") is one firing of a job that runs every minute, not 43,200. Options.EveryTick
//     fires them all.
//   - A firing that fails is repeated as the job's retry_config says, which by default is not at all.
//   - An HTTP firing lasts at most attempt_deadline (180 s) of real time: while Advance waits for it, the suite's
//     clock stands. So a clock callback ends when the firing has ended.
//
// Jobs and whether they are paused are kept in one JSON file; the outcome of their last firing is not. What would
// have fired while the process was down does not fire.
package scheduler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/grpc"

	"emailchannel.dev/emailchannel/emulator/clock"
)

// Options configure a Server. Only Clock is required.
type Options struct {
	// Dir keeps the jobs across restarts; empty keeps them in memory.
	Dir   string
	Clock *clock.Clock
	// Publish carries out a pubsub_target. topic is the full resource name.
	Publish func(ctx context.Context, topic string, data []byte, attrs map[string]string) error
	// Client carries out an http_target; nil means a client of its own.
	Client *http.Client
	// SignToken makes the token of an http_target with an oidc_token.
	SignToken func(email, audience string) (string, error)
	// EveryTick fires each tick that an Advance passes.
	EveryTick bool
}

// Server is google.cloud.scheduler.v1.CloudScheduler. It is safe for concurrent use.
type Server struct {
	schedulerpb.UnimplementedCloudSchedulerServer
	opt    Options
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu      sync.Mutex
	jobs    map[string]*job
	running int
	changed chan struct{} // closed and replaced when running becomes 0
	closed  bool
	work    sync.WaitGroup
}

// Open starts a server and, with a directory, restores its jobs.
func Open(opt Options) (*Server, error) {
	if opt.Clock == nil {
		return nil, errors.New("scheduler: Options.Clock is missing")
	}
	if opt.Client == nil {
		opt.Client = &http.Client{Transport: &http.Transport{}}
	}
	s := &Server{opt: opt, jobs: map[string]*job{}, changed: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if opt.Dir != "" {
		if err := s.load(); err != nil {
			return nil, fmt.Errorf("scheduler: restore %s: %w", s.file(), err)
		}
	}
	return s, nil
}

// Register adds the service.
func (s *Server) Register(r grpc.ServiceRegistrar) { schedulerpb.RegisterCloudSchedulerServer(r, s) }

// Close stops all jobs and waits for those that are running, whose requests it cancels.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, j := range s.jobs {
		j.stop()
	}
	s.mu.Unlock()
	s.cancel()
	s.work.Wait()
	s.opt.Client.CloseIdleConnections()
	return nil
}

// Busy reports that a job is being fired. One that waits for its next tick or a retry does not count.
func (s *Server) Busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running > 0
}

// Quiet returns when the server is not Busy, or with the context's error.
func (s *Server) Quiet(ctx context.Context) error {
	for {
		s.mu.Lock()
		running, changed := s.running, s.changed
		s.mu.Unlock()
		if running == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
