package suite

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/schedule"
)

func bytesReader(b []byte) io.Reader { return bytes.NewReader(b) }

// seed stores the initial configuration in a fresh data directory, and brings
// the addresses up to date in any.
func (s *Suite) seed(ctx context.Context) error {
	c := s.clients
	have, err := doc[channel.Settings](ctx, s, "settings/channel")
	if err != nil {
		return err
	}
	if have == nil {
		seed := s.Demo()
		if s.opt.Config != nil {
			seed = *s.opt.Config
		}
		if err := c.Archive.Put(ctx, logoObject, "image/png", bytes.NewReader(logo())); err != nil {
			return err
		}
		admin := channel.Admin{Docs: c.Docs, Secrets: c.Secrets, Bus: c.Bus, Now: s.Clock.Now}
		if err := admin.Seed(ctx, seed); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
	}
	return s.repoint(ctx)
}

// jobs are the Cloud Scheduler's; Terraform makes the same ones. While the
// channel is OFF they stand still (CH-1), also in a suite that starts so.
func (s *Suite) jobs(ctx context.Context) error {
	c, err := s.schedules(ctx)
	if err != nil {
		return err
	}
	set, err := doc[channel.Settings](ctx, s, "settings/channel")
	if err != nil {
		return err
	}
	for _, j := range []schedule.Job{
		{Name: "poll", Cron: "* * * * *", Topic: event.TopicPoll},
		{Name: "route", Cron: "* * * * *", Topic: event.TopicQueue},
		{Name: "flush", Cron: "* * * * *", Topic: event.TopicFlush},
		{Name: "sweep", Cron: "*/5 * * * *", Topic: event.TopicSweep},
	} {
		j.TimeZone, j.Data = "UTC", []byte("{}")
		if err := c.Set(ctx, j); err != nil {
			return fmt.Errorf("job %s: %w", j.Name, err)
		}
		if set.Email {
			continue
		}
		if err := c.Pause(ctx, j.Name); err != nil {
			return fmt.Errorf("job %s: %w", j.Name, err)
		}
	}
	return nil
}

func (s *Suite) schedules(ctx context.Context) (*schedule.Jobs, error) {
	c, err := schedule.New(ctx, Project, Location, option.WithEndpoint(s.Addrs.Scheduler), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err == nil {
		s.closing(c.Close)
	}
	return c, err
}
