// Package schedule creates and steers the channel's jobs in Cloud Scheduler.
//
// A job publishes its data to a Pub/Sub topic at each tick of its cron line. The
// jobs are paused and resumed with the channel (CH-1) and follow changes of
// cadence. Every call may be repeated: what already is as wanted stays so. Set
// changes neither a paused job's state nor a job that is as wanted, so that it
// may run with each start.
//
// https://cloud.google.com/scheduler/docs/reference/rpc/google.cloud.scheduler.v1
package schedule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	scheduler "cloud.google.com/go/scheduler/apiv1"
	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

var (
	// ErrNotFound means that there is no job of that name.
	ErrNotFound = errors.New("job not found")
	// ErrInvalid means that Cloud Scheduler refuses the job: its cron line, time
	// zone, name, topic or data.
	ErrInvalid = errors.New("invalid job")
)

// Job is one line of the schedule.
type Job struct {
	Name     string // letters, digits, hyphens and underscores
	Cron     string // five fields, as in "*/5 * * * *"; one minute is the finest
	TimeZone string // of the tz database, as in "Europe/Vienna"
	Topic    string // ID in the jobs' project, or a full name
	Data     []byte // of the message; not empty
}

// Jobs are the jobs of one project and location. It is safe for concurrent use.
type Jobs struct {
	client            *scheduler.CloudSchedulerClient
	project, location string
}

// New connects to Cloud Scheduler. location is a region, as in "europe-west1".
func New(ctx context.Context, project, location string, opts ...option.ClientOption) (*Jobs, error) {
	client, err := scheduler.NewCloudSchedulerClient(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("schedule: connect to Cloud Scheduler: %w", err)
	}
	return &Jobs{client: client, project: project, location: location}, nil
}

// Close ends the connections.
func (j *Jobs) Close() error { return j.client.Close() }

// Set creates the job, or makes an existing one equal to it and leaves it paused
// if it is. The errors are ErrInvalid and the service's own.
func (j *Jobs) Set(ctx context.Context, job Job) error {
	return translate("set", job.Name, j.set(ctx, job))
}

func (j *Jobs) set(ctx context.Context, job Job) error {
	want := j.proto(job)
	have, err := j.client.GetJob(ctx, &schedulerpb.GetJobRequest{Name: want.Name})
	if status.Code(err) == codes.NotFound {
		_, err = j.client.CreateJob(ctx, &schedulerpb.CreateJobRequest{Parent: j.parent(), Job: want})
		if status.Code(err) != codes.AlreadyExists {
			return err
		}
		have, err = j.client.GetJob(ctx, &schedulerpb.GetJobRequest{Name: want.Name}) // another was faster
	}
	if err != nil || equal(have, want) {
		return err
	}
	got, err := j.client.UpdateJob(ctx, &schedulerpb.UpdateJobRequest{
		Job: want, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"schedule", "time_zone", "pubsub_target"}},
	})
	if err != nil {
		return err
	}
	// The service's documents do not promise that an update keeps a job paused.
	if have.GetState() == schedulerpb.Job_PAUSED && got.GetState() == schedulerpb.Job_ENABLED {
		return j.pause(ctx, want.Name)
	}
	return nil
}

// Pause stops the job's ticks; those that pass meanwhile are not made up for.
// The errors are ErrNotFound and the service's own.
func (j *Jobs) Pause(ctx context.Context, name string) error {
	return translate("pause", name, j.pause(ctx, j.path(name)))
}

func (j *Jobs) pause(ctx context.Context, path string) error {
	_, err := j.client.PauseJob(ctx, &schedulerpb.PauseJobRequest{Name: path})
	return j.unless(ctx, err, path, schedulerpb.Job_PAUSED)
}

// Resume lets the job tick again. The errors are ErrNotFound and the service's own.
func (j *Jobs) Resume(ctx context.Context, name string) error {
	path := j.path(name)
	_, err := j.client.ResumeJob(ctx, &schedulerpb.ResumeJobRequest{Name: path})
	return translate("resume", name, j.unless(ctx, err, path, schedulerpb.Job_ENABLED))
}

// unless drops err when the service refused a change to the state that the job has.
func (j *Jobs) unless(ctx context.Context, err error, path string, state schedulerpb.Job_State) error {
	if status.Code(err) != codes.FailedPrecondition {
		return err
	}
	have, getErr := j.client.GetJob(ctx, &schedulerpb.GetJobRequest{Name: path})
	if getErr == nil && have.GetState() == state {
		return nil
	}
	return err
}

// Run lets the job tick now, besides its schedule. The errors are ErrNotFound
// and the service's own.
func (j *Jobs) Run(ctx context.Context, name string) error {
	_, err := j.client.RunJob(ctx, &schedulerpb.RunJobRequest{Name: j.path(name)})
	return translate("run", name, err)
}

func (j *Jobs) parent() string { return fmt.Sprintf("projects/%s/locations/%s", j.project, j.location) }

func (j *Jobs) path(name string) string { return j.parent() + "/jobs/" + name }

func (j *Jobs) proto(job Job) *schedulerpb.Job {
	topic := job.Topic
	if !strings.Contains(topic, "/") {
		topic = fmt.Sprintf("projects/%s/topics/%s", j.project, topic)
	}
	return &schedulerpb.Job{
		Name: j.path(job.Name), Schedule: job.Cron, TimeZone: job.TimeZone,
		Target: &schedulerpb.Job_PubsubTarget{PubsubTarget: &schedulerpb.PubsubTarget{TopicName: topic, Data: job.Data}},
	}
}

func equal(a, b *schedulerpb.Job) bool {
	x, y := a.GetPubsubTarget(), b.GetPubsubTarget()
	return a.GetSchedule() == b.GetSchedule() && a.GetTimeZone() == b.GetTimeZone() &&
		x.GetTopicName() == y.GetTopicName() && bytes.Equal(x.GetData(), y.GetData()) && len(x.GetAttributes()) == 0
}

func translate(op, name string, err error) error {
	switch status.Code(err) {
	case codes.OK:
		return nil
	case codes.NotFound:
		return fmt.Errorf("schedule: %s %s: %w", op, name, ErrNotFound)
	case codes.InvalidArgument:
		return fmt.Errorf("schedule: %s %s: %w: %s", op, name, ErrInvalid, status.Convert(err).Message())
	}
	return fmt.Errorf("schedule: %s %s: %w", op, name, err)
}
