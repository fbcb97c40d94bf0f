package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	client "cloud.google.com/go/scheduler/apiv1"
	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"emailchannel.dev/emailchannel/emulator/clock"
	"emailchannel.dev/emailchannel/emulator/grpctest"
)

const (
	parent = "projects/p/locations/l"
	poll   = parent + "/jobs/poll"
	sweep  = parent + "/jobs/sweep"
	topic  = "projects/p/topics/ticks"
)

// at is a clock that stands at the given RFC 3339 time.
func at(t *testing.T, text string) *clock.Clock {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	c := clock.New()
	c.Freeze(true)
	c.SetOffset(time.Until(when))
	c.Advance(when.Sub(c.Now())) // what passed between the two
	return c
}

// firings notes what is published and when.
type firings struct {
	mu  sync.Mutex
	clk *clock.Clock
	got []string
	err error
}

func (f *firings) publish(_ context.Context, topic string, data []byte, attrs map[string]string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, fmt.Sprintf("%s %s", data, f.clk.Now().Format("01-02T15:04:05")))
	return f.err
}

func open(t *testing.T, opt Options) *Server {
	t.Helper()
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func dial(t *testing.T, s *Server) *client.CloudSchedulerClient {
	t.Helper()
	c, err := client.NewCloudSchedulerClient(context.Background(), option.WithGRPCConn(grpctest.Dial(t, s.Register)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func topicJob(name, schedule string) *schedulerpb.Job {
	return &schedulerpb.Job{
		Name: name, Schedule: schedule,
		Target: &schedulerpb.Job_PubsubTarget{PubsubTarget: &schedulerpb.PubsubTarget{TopicName: topic, Data: []byte(name[strings.LastIndexByte(name, '/')+1:])}},
	}
}

func ensure(t *testing.T, s *Server, jobs ...*schedulerpb.Job) {
	t.Helper()
	for _, j := range jobs {
		if err := s.EnsureJob(j); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *firings) want(t *testing.T, what string, want ...string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.got, want) {
		t.Errorf("%s: fired %v, want %v", what, f.got, want)
	}
	f.got = nil
}

func TestEveryTickInOrder(t *testing.T) {
	clk := at(t, "2026-01-01T00:00:30Z")
	f := &firings{clk: clk}
	s := open(t, Options{Clock: clk, Publish: f.publish, EveryTick: true})
	ensure(t, s, topicJob(sweep, "*/2 * * * *"), topicJob(poll, "* * * * *"))
	clk.Advance(4 * time.Minute)
	f.want(t, "4 minutes", "poll 01-01T00:01:00", "sweep 01-01T00:02:00", "poll 01-01T00:02:00",
		"poll 01-01T00:03:00", "sweep 01-01T00:04:00", "poll 01-01T00:04:00")
}

func TestTicksOfOneAdvanceAreCoalesced(t *testing.T) {
	clk := at(t, "2026-01-01T00:00:30Z")
	f := &firings{clk: clk}
	s := open(t, Options{Clock: clk, Publish: f.publish})
	yearly := topicJob(parent+"/jobs/yearly", "0 6 1 2 *")
	ensure(t, s, topicJob(sweep, "*/5 * * * *"), topicJob(poll, "* * * * *"), yearly)
	clk.Advance(29 * time.Second)
	f.want(t, "before the tick")
	clk.Advance(time.Second)
	f.want(t, "at the tick", "poll 01-01T00:01:00")
	clk.Advance(9*time.Minute + 30*time.Second)
	f.want(t, "ten minutes", "poll 01-01T00:10:00", "sweep 01-01T00:10:00")
	clk.Advance(45 * 24 * time.Hour)
	f.want(t, "45 days", "yearly 02-01T06:00:00", "poll 02-15T00:10:00", "sweep 02-15T00:10:00")
	clk.Advance(time.Minute)
	f.want(t, "a minute more", "poll 02-15T00:11:00")
}

func TestRealTimeFires(t *testing.T) {
	clk := at(t, "2026-01-01T00:00:59.9Z")
	fired := make(chan string, 1)
	s := open(t, Options{Clock: clk, Publish: func(_ context.Context, topic string, _ []byte, _ map[string]string) error {
		fired <- topic
		return nil
	}})
	ensure(t, s, topicJob(poll, "* * * * *"))
	clk.Freeze(false)
	if got := <-fired; got != topic {
		t.Errorf("published to %s", got)
	}
}

func TestTimeZone(t *testing.T) {
	clk := at(t, "2026-03-28T00:00:00Z")
	f := &firings{clk: clk}
	s := open(t, Options{Clock: clk, Publish: f.publish, EveryTick: true})
	j := topicJob(poll, "30 8 * * *")
	j.TimeZone = "Europe/Berlin" // summer time begins on the 29th
	ensure(t, s, j)
	clk.Advance(48 * time.Hour)
	f.want(t, "Berlin", "poll 03-28T07:30:00", "poll 03-29T06:30:00")
}

func TestRefused(t *testing.T) {
	s := open(t, Options{Clock: clock.New()})
	for name, change := range map[string]func(*schedulerpb.Job){
		"name":        func(j *schedulerpb.Job) { j.Name = "poll" },
		"schedule":    func(j *schedulerpb.Job) { j.Schedule = "every 5 minutes" },
		"descriptor":  func(j *schedulerpb.Job) { j.Schedule = "@hourly" },
		"zone inside": func(j *schedulerpb.Job) { j.Schedule = "TZ=UTC * * * * *" },
		"seconds":     func(j *schedulerpb.Job) { j.Schedule = "0 * * * * *" },
		"zone":        func(j *schedulerpb.Job) { j.TimeZone = "Mars/Olympus" },
		"target":      func(j *schedulerpb.Job) { j.Target = nil },
		"topic":       func(j *schedulerpb.Job) { j.GetPubsubTarget().TopicName = "ticks" },
		"deadline":    func(j *schedulerpb.Job) { j.AttemptDeadline = durationpb.New(time.Hour) },
	} {
		j := topicJob(poll, "* * * * *")
		change(j)
		if err := s.EnsureJob(j); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v, want InvalidArgument", name, err)
		}
	}
}

func TestClient(t *testing.T) {
	clk := at(t, "2026-01-01T00:00:30Z")
	f := &firings{clk: clk}
	s := open(t, Options{Clock: clk, Publish: f.publish})
	c := dial(t, s)
	ctx := t.Context()
	wantCode := func(what string, err error, code codes.Code) {
		t.Helper()
		if status.Code(err) != code {
			t.Errorf("%s: %v, want %v", what, err, code)
		}
	}
	job, err := c.CreateJob(ctx, &schedulerpb.CreateJobRequest{Parent: parent, Job: topicJob(poll, "* * * * *")})
	if err != nil || job.State != schedulerpb.Job_ENABLED || job.ScheduleTime.AsTime().Format("15:04:05") != "00:01:00" {
		t.Fatalf("CreateJob = %v, %v", job, err)
	}
	_, err = c.CreateJob(ctx, &schedulerpb.CreateJobRequest{Parent: parent, Job: topicJob(poll, "* * * * *")})
	wantCode("second CreateJob", err, codes.AlreadyExists)
	_, err = c.ResumeJob(ctx, &schedulerpb.ResumeJobRequest{Name: poll})
	wantCode("ResumeJob of an enabled job", err, codes.FailedPrecondition)
	if _, err = c.PauseJob(ctx, &schedulerpb.PauseJobRequest{Name: poll}); err != nil {
		t.Fatal(err)
	}
	clk.Advance(10 * time.Minute)
	f.want(t, "paused")
	job, err = c.RunJob(ctx, &schedulerpb.RunJobRequest{Name: poll})
	if err != nil || job.Status.GetCode() != 0 || job.State != schedulerpb.Job_PAUSED {
		t.Errorf("RunJob = %v, %v", job, err)
	}
	f.want(t, "RunJob", "poll 01-01T00:10:30")

	job, err = c.UpdateJob(ctx, &schedulerpb.UpdateJobRequest{
		Job: &schedulerpb.Job{Name: poll, Schedule: "*/5 * * * *", Target: &schedulerpb.Job_PubsubTarget{
			PubsubTarget: &schedulerpb.PubsubTarget{Data: []byte("new")},
		}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"schedule", "pubsub_target.data"}},
	})
	if err != nil || job.State != schedulerpb.Job_PAUSED || job.GetPubsubTarget().TopicName != topic {
		t.Errorf("UpdateJob = %v, %v", job, err)
	}
	_, err = c.UpdateJob(ctx, &schedulerpb.UpdateJobRequest{
		Job: &schedulerpb.Job{Name: poll}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"nothing"}},
	})
	wantCode("unknown field", err, codes.InvalidArgument)
	if _, err = c.ResumeJob(ctx, &schedulerpb.ResumeJobRequest{Name: poll}); err != nil {
		t.Fatal(err)
	}
	clk.Advance(5 * time.Minute)
	f.want(t, "resumed", "new 01-01T00:15:00")

	for _, id := range []string{"a", "b", "z"} {
		ensure(t, s, topicJob(parent+"/jobs/"+id, "0 0 1 1 *"))
	}
	var names []string
	jobs := c.ListJobs(ctx, &schedulerpb.ListJobsRequest{Parent: parent, PageSize: 3})
	for j, err := jobs.Next(); err == nil; j, err = jobs.Next() {
		names = append(names, strings.TrimPrefix(j.Name, parent+"/jobs/"))
	}
	if want := []string{"a", "b", "poll", "z"}; !slices.Equal(names, want) {
		t.Errorf("ListJobs = %v, want %v", names, want)
	}
	if err := c.DeleteJob(ctx, &schedulerpb.DeleteJobRequest{Name: poll}); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetJob(ctx, &schedulerpb.GetJobRequest{Name: poll})
	wantCode("GetJob of a deleted job", err, codes.NotFound)
	clk.Advance(time.Hour)
	f.want(t, "deleted")
}

func TestHTTPTargetWithRetries(t *testing.T) {
	clk := at(t, "2026-01-01T00:00:30Z")
	var s *Server
	var got []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := r.Header
		got = append(got, fmt.Sprintf("%s %s %s %s %s %s %s busy=%v", clk.Now().Format("15:04:05"), r.Method, body, h.Get("X-Own"),
			h.Get("Authorization"), h.Get("X-Cloudscheduler-Jobname"), h.Get("X-Cloudscheduler-Scheduletime"), s.Busy()))
		if len(got) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	s = open(t, Options{Clock: clk, SignToken: func(email, audience string) (string, error) {
		if audience != srv.URL {
			return "", errors.New("wrong audience " + audience)
		}
		return "token-of-" + email, nil
	}})
	ensure(t, s, &schedulerpb.Job{
		Name: sweep, Schedule: "*/5 * * * *",
		RetryConfig: &schedulerpb.RetryConfig{RetryCount: 4, MinBackoffDuration: durationpb.New(10 * time.Second)},
		Target: &schedulerpb.Job_HttpTarget{HttpTarget: &schedulerpb.HttpTarget{
			Uri: srv.URL, HttpMethod: schedulerpb.HttpMethod_PUT, Headers: map[string]string{"X-Own": "1"}, Body: []byte("{}"),
			AuthorizationHeader: &schedulerpb.HttpTarget_OidcToken{OidcToken: &schedulerpb.OidcToken{ServiceAccountEmail: "sa"}},
		}},
	})
	clk.Advance(9 * time.Minute)
	var want []string
	for _, when := range []string{"00:05:00", "00:05:10", "00:05:30"} {
		want = append(want, when+" PUT {} 1 Bearer token-of-sa sweep 2026-01-01T00:05:00Z busy=true")
	}
	if !slices.Equal(got, want) {
		t.Errorf("requests %q\nwant %q", got, want)
	}
	if err := s.Quiet(t.Context()); err != nil || s.Busy() {
		t.Errorf("Quiet = %v, busy %v", err, s.Busy())
	}
}

func TestFailureIsNotedAndNotRepeated(t *testing.T) {
	clk := at(t, "2026-01-01T00:00:30Z")
	f := &firings{clk: clk, err: errors.New("no such topic")}
	s := open(t, Options{Clock: clk, Publish: f.publish})
	ensure(t, s, topicJob(sweep, "0 * * * *"))
	clk.Advance(100 * time.Minute)
	f.want(t, "one attempt", "sweep 01-01T01:00:00")
	j, err := s.GetJob(t.Context(), &schedulerpb.GetJobRequest{Name: sweep})
	if err != nil || j.Status.GetCode() == 0 || !strings.Contains(j.Status.Message, "no such topic") {
		t.Errorf("status %v, %v", j.GetStatus(), err)
	}
}

func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	clk := at(t, "2026-01-01T00:00:30Z")
	f := &firings{clk: clk}
	opt := Options{Dir: dir, Clock: clk, Publish: f.publish}
	s := open(t, opt)
	ensure(t, s, topicJob(poll, "* * * * *"), topicJob(sweep, "* * * * *"))
	if _, err := s.PauseJob(t.Context(), &schedulerpb.PauseJobRequest{Name: sweep}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	clk.Advance(time.Hour)
	f.want(t, "closed")
	s = open(t, opt)
	ensure(t, s, topicJob(sweep, "* * * * *")) // the configuration does not undo the pause
	clk.Advance(time.Minute)
	f.want(t, "restarted", "poll 01-01T01:01:00")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "scheduler.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(opt); err == nil {
		t.Error("a broken file was taken")
	}
}

func TestCloseCancelsARunningJob(t *testing.T) {
	arrived := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	defer srv.Close()
	s := open(t, Options{Clock: clock.New()})
	ensure(t, s, &schedulerpb.Job{Name: poll, Schedule: "* * * * *", Target: &schedulerpb.Job_HttpTarget{HttpTarget: &schedulerpb.HttpTarget{Uri: srv.URL}}})
	ran := make(chan *schedulerpb.Job)
	go func() {
		j, _ := s.RunJob(context.Background(), &schedulerpb.RunJobRequest{Name: poll})
		ran <- j
	}()
	<-arrived
	if !s.Busy() {
		t.Error("not busy while the request runs")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if j := <-ran; j.Status.GetCode() == 0 {
		t.Error("a cancelled request counts as success")
	}
}
