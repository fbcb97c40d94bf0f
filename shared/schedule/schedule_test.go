package schedule_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/emulator/clock"
	"emailchannel.dev/emailchannel/emulator/scheduler"
	"emailchannel.dev/emailchannel/shared/schedule"
)

type suite struct {
	*schedule.Jobs
	clock *clock.Clock
	raw   schedulerpb.CloudSchedulerClient

	mu        sync.Mutex
	published []string
	calls     map[string]int
}

func start(t *testing.T) *suite {
	t.Helper()
	s := &suite{clock: clock.New(), calls: map[string]int{}}
	s.clock.Freeze(true)
	fake, err := scheduler.Open(scheduler.Options{Clock: s.clock, Publish: s.publish})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(s.count))
	fake.Register(server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	t.Cleanup(func() { server.Stop(); fake.Close() })
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	conn, err := grpc.NewClient(l.Addr().String(), plain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s.raw = schedulerpb.NewCloudSchedulerClient(conn)
	s.Jobs, err = schedule.New(context.Background(), "p", "local", option.WithEndpoint(l.Addr().String()),
		option.WithoutAuthentication(), option.WithGRPCDialOption(plain))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *suite) publish(_ context.Context, topic string, data []byte, _ map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published = append(s.published, topic+" "+string(data))
	return nil
}

func (s *suite) count(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	s.mu.Lock()
	s.calls[info.FullMethod]++
	s.mu.Unlock()
	return next(ctx, req)
}

func (s *suite) job(t *testing.T, name string) *schedulerpb.Job {
	t.Helper()
	j, err := s.raw.GetJob(t.Context(), &schedulerpb.GetJobRequest{Name: "projects/p/locations/local/jobs/" + name})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// ticks moves the clock by d and tells how often the jobs fired.
func (s *suite) ticks(d time.Duration) int {
	s.mu.Lock()
	s.published = nil
	s.mu.Unlock()
	for range int(d / time.Minute) {
		s.clock.Advance(time.Minute)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.published)
}

func poll() schedule.Job {
	return schedule.Job{Name: "poll", Cron: "* * * * *", TimeZone: "UTC", Topic: "poll", Data: []byte("{}")}
}

func TestLifeOfAJob(t *testing.T) {
	s := start(t)
	if err := s.Set(t.Context(), poll()); err != nil {
		t.Fatal(err)
	}
	if n := s.ticks(10 * time.Minute); n != 10 || s.published[0] != "projects/p/topics/poll {}" {
		t.Errorf("%d ticks: %q", n, s.published)
	}
	for range 2 {
		if err := s.Pause(t.Context(), "poll"); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.ticks(10 * time.Minute); n != 0 {
		t.Errorf("%d ticks while paused", n)
	}
	for range 2 {
		if err := s.Resume(t.Context(), "poll"); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.ticks(10 * time.Minute); n != 10 {
		t.Errorf("%d ticks after resuming", n)
	}
	s.ticks(0)
	if err := s.Run(t.Context(), "poll"); err != nil || len(s.published) != 1 {
		t.Errorf("run: %q, %v", s.published, err)
	}
}

func TestSetFollowsChangesAndKeepsTheState(t *testing.T) {
	s := start(t)
	job := poll()
	for _, change := range []func(){
		func() {},
		func() { job.Cron = "*/5 * * * *" },
		func() { job.TimeZone = "Europe/Vienna" },
		func() { job.Topic = "projects/other/topics/x" },
		func() { job.Data = []byte(`{"a":1}`) },
	} {
		change()
		if err := s.Set(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		if err := s.Pause(t.Context(), "poll"); err != nil {
			t.Fatal(err)
		}
		got := s.job(t, "poll")
		if got.Schedule != job.Cron || got.TimeZone != job.TimeZone || string(got.GetPubsubTarget().Data) != string(job.Data) {
			t.Errorf("%v", got)
		}
		if got.State != schedulerpb.Job_PAUSED {
			t.Errorf("state %v", got.State)
		}
	}
	if got := s.job(t, "poll").GetPubsubTarget().TopicName; got != job.Topic {
		t.Errorf("topic %s", got)
	}
	job.Cron = "*/7 * * * *"
	if err := s.Set(t.Context(), job); err != nil || s.job(t, "poll").State != schedulerpb.Job_PAUSED {
		t.Errorf("set resumed a paused job, or %v", err)
	}
}

func TestSetOfTheSameJobChangesNothing(t *testing.T) {
	s := start(t)
	for range 3 {
		if err := s.Set(t.Context(), poll()); err != nil {
			t.Fatal(err)
		}
	}
	const service = "/google.cloud.scheduler.v1.CloudScheduler/"
	if s.calls[service+"CreateJob"] != 1 || s.calls[service+"UpdateJob"] != 0 {
		t.Errorf("%v", s.calls)
	}
}

func TestConcurrentSet(t *testing.T) {
	s := start(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := s.Set(t.Context(), poll()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestErrors(t *testing.T) {
	s := start(t)
	for op, f := range map[string]func(context.Context, string) error{"pause": s.Pause, "resume": s.Resume, "run": s.Run} {
		if err := f(t.Context(), "absent"); !errors.Is(err, schedule.ErrNotFound) {
			t.Errorf("%s: %v", op, err)
		}
	}
	for name, change := range map[string]func(*schedule.Job){
		"cron": func(j *schedule.Job) { j.Cron = "every day" },
		"zone": func(j *schedule.Job) { j.TimeZone = "Mars/Olympus" },
		"name": func(j *schedule.Job) { j.Name = "a b" },
	} {
		j := poll()
		change(&j)
		if err := s.Set(t.Context(), j); !errors.Is(err, schedule.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
