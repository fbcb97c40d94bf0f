package scheduler

import (
	"net/url"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // a container may have no time zones

	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"github.com/robfig/cron/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"emailchannel.dev/emailchannel/emulator/clock"
)

// job is guarded by its server's mu, except that firing is held while it runs.
type job struct {
	pb       *schedulerpb.Job
	schedule cron.Schedule
	zone     *time.Location
	timer    *clock.Timer  // the next tick or retry; nil while paused
	gen      int           // grows when timers that were set before no longer count
	firing   chan struct{} // holds one token while the job runs
}

var (
	jobName   = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/jobs/[A-Za-z0-9_-]{1,500}$`)
	topicName = regexp.MustCompile(`^projects/[^/]+/topics/[^/]+$`)
	parser    = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
)

// newJob checks pb, which it keeps and completes.
func newJob(pb *schedulerpb.Job) (*job, error) {
	if !jobName.MatchString(pb.GetName()) {
		return nil, invalid("invalid name %q: want projects/{project}/locations/{location}/jobs/{id}", pb.GetName())
	}
	if err := checkTarget(pb); err != nil {
		return nil, err
	}
	if pb.TimeZone == "" {
		pb.TimeZone = "Etc/UTC"
	}
	if pb.AttemptDeadline == nil && pb.GetHttpTarget() != nil {
		pb.AttemptDeadline = durationpb.New(180 * time.Second)
	}
	if d := pb.AttemptDeadline; d != nil && (d.AsDuration() < 15*time.Second || d.AsDuration() > 30*time.Minute) {
		return nil, invalid("attempt_deadline must be 15s to 30m, not %v", d.AsDuration())
	}
	zone, err := time.LoadLocation(pb.TimeZone)
	if err != nil || pb.TimeZone == "Local" {
		return nil, invalid("time_zone %q is not in the IANA database", pb.TimeZone)
	}
	if strings.Contains(pb.Schedule, "=") { // the parser's own way to name a time zone
		return nil, invalid("schedule %q is not a cron schedule", pb.Schedule)
	}
	schedule, err := parser.Parse(pb.Schedule)
	if err != nil {
		return nil, invalid("schedule %q is not a cron schedule: %v", pb.Schedule, err)
	}
	if pb.State == schedulerpb.Job_STATE_UNSPECIFIED {
		pb.State = schedulerpb.Job_ENABLED
	}
	return &job{pb: pb, schedule: schedule, zone: zone, firing: make(chan struct{}, 1)}, nil
}

func checkTarget(pb *schedulerpb.Job) error {
	switch t := pb.Target.(type) {
	case *schedulerpb.Job_PubsubTarget:
		if !topicName.MatchString(t.PubsubTarget.GetTopicName()) {
			return invalid("pubsub_target.topic_name %q: want projects/{project}/topics/{id}", t.PubsubTarget.GetTopicName())
		}
		if len(t.PubsubTarget.Data) == 0 && len(t.PubsubTarget.Attributes) == 0 {
			return invalid("pubsub_target needs data or an attribute")
		}
	case *schedulerpb.Job_HttpTarget:
		u, err := url.Parse(t.HttpTarget.GetUri())
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return invalid("http_target.uri %q is not an HTTP URL", t.HttpTarget.GetUri())
		}
		if t.HttpTarget.GetOauthToken() != nil {
			return unsupported("http_target.oauth_token")
		}
	case *schedulerpb.Job_AppEngineHttpTarget:
		return unsupported("app_engine_http_target")
	default:
		return invalid("the job needs a target")
	}
	return nil
}

// next is the first tick after t.
func (j *job) next(t time.Time) time.Time { return j.schedule.Next(t.In(j.zone)).UTC() }

// last is the last tick up to horizon, given one that is not behind it. It looks at ever longer windows before
// the horizon, because a month has too many minutes to walk through.
func (j *job) last(tick, horizon time.Time) time.Time {
	for _, window := range []time.Duration{time.Hour, 24 * time.Hour, 31 * 24 * time.Hour} {
		from := horizon.Add(-window)
		if !from.After(tick) {
			break
		}
		if t := j.next(from); !t.After(horizon) {
			tick = t
			break
		}
	}
	for {
		t := j.next(tick)
		if t.IsZero() || t.After(horizon) {
			return tick
		}
		tick = t
	}
}

// stop makes the timers set so far count no longer.
func (j *job) stop() {
	j.gen++
	if j.timer != nil {
		j.timer.Stop()
		j.timer = nil
	}
	j.pb.ScheduleTime = nil
}

// setAt notes when the job runs next.
func (j *job) setAt(t time.Time) { j.pb.ScheduleTime = timestamppb.New(t) }

// id is the last element of the job's name.
func (j *job) id() string { return j.pb.Name[strings.LastIndexByte(j.pb.Name, '/')+1:] }

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func unsupported(field string) error {
	return status.Errorf(codes.Unimplemented, "%s is not part of the emulator", field)
}
