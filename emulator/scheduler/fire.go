package scheduler

import (
	"context"
	"time"

	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// arm sets the timer of an enabled job for the first tick after from. The server's mu is held.
func (s *Server) arm(j *job, from time.Time) {
	j.stop()
	if s.closed || j.pb.State != schedulerpb.Job_ENABLED {
		return
	}
	if tick := j.next(from); !tick.IsZero() { // zero: 31 February
		s.armAt(j, tick)
	}
}

func (s *Server) armAt(j *job, tick time.Time) {
	gen := j.gen
	j.setAt(tick)
	j.timer = s.opt.Clock.AfterFunc(tick.Sub(s.opt.Clock.Now()), func() { s.tick(j, gen, tick) })
}

// tick is the clock's call: it fires, or leaves the tick out because a later one is due in the same Advance.
func (s *Server) tick(j *job, gen int, tick time.Time) {
	s.mu.Lock()
	if s.closed || j.gen != gen {
		s.mu.Unlock()
		return
	}
	if !s.opt.EveryTick {
		last := j.last(tick, s.opt.Clock.Horizon())
		if last.After(s.opt.Clock.Now()) {
			s.armAt(j, last)
			s.mu.Unlock()
			return
		}
		tick = last
	}
	s.mu.Unlock()
	err := s.fire(s.ctx, j, tick)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || j.gen != gen {
		return // paused, changed or deleted meanwhile
	}
	s.arm(j, tick)
	if err != nil {
		s.retry(j, tick, 1)
	}
}

// retry sets the timer for the n-th repetition of a failed firing, unless it would be one too many or the next
// tick comes first.
func (s *Server) retry(j *job, tick time.Time, n int) {
	r := j.pb.RetryConfig
	now := s.opt.Clock.Now()
	if n > int(r.GetRetryCount()) {
		return
	}
	wait := backoff(r, n)
	if limit := r.MaxRetryDuration.AsDuration(); limit > 0 && now.Add(wait).Sub(tick) > limit {
		return
	}
	if j.pb.ScheduleTime != nil && !now.Add(wait).Before(j.pb.ScheduleTime.AsTime()) {
		return
	}
	gen := j.gen
	s.opt.Clock.AfterFunc(wait, func() {
		s.mu.Lock()
		ok := !s.closed && j.gen == gen
		s.mu.Unlock()
		if !ok || s.fire(s.ctx, j, tick) == nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed && j.gen == gen {
			s.retry(j, tick, n+1)
		}
	})
}

// backoff doubles from min_backoff_duration (5 s) max_doublings (5) times, up to max_backoff_duration (1 h).
func backoff(r *schedulerpb.RetryConfig, n int) time.Duration {
	wait, most, doublings := 5*time.Second, time.Hour, 5
	if r.MinBackoffDuration != nil {
		wait = r.MinBackoffDuration.AsDuration()
	}
	if r.MaxBackoffDuration != nil {
		most = r.MaxBackoffDuration.AsDuration()
	}
	if r.MaxDoublings > 0 {
		doublings = int(r.MaxDoublings)
	}
	for range min(n-1, doublings) {
		wait = min(2*wait, most)
	}
	return min(wait, most)
}

// fire runs the job's target once and notes the outcome. The server's mu is not held.
func (s *Server) fire(ctx context.Context, j *job, tick time.Time) error {
	select {
	case j.firing <- struct{}{}:
		defer func() { <-j.firing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return context.Canceled
	}
	s.work.Add(1)
	defer s.work.Done()
	s.running++
	j.pb.LastAttemptTime = timestamppb.New(s.opt.Clock.Now())
	pb := proto.CloneOf(j.pb)
	s.mu.Unlock()

	err := s.call(ctx, j.id(), pb, tick)

	s.mu.Lock()
	defer s.mu.Unlock()
	j.pb.Status = status.Convert(err).Proto()
	if err != nil && status.Code(err) == codes.Unknown {
		j.pb.Status.Code = int32(codes.Unavailable)
	}
	if s.running--; s.running == 0 {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	return err
}
