package suite

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/emulator/zendesk"
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
		if err := c.Archive.Put(ctx, logoObject, "image/png", bytes.NewReader(logo())); err != nil {
			return err
		}
		if err := s.configure(ctx); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
	}
	return s.repoint(ctx)
}

// configure stores the configuration that the options name.
func (s *Suite) configure(ctx context.Context) error {
	c := s.clients
	admin := channel.Admin{Docs: c.Docs, Secrets: c.Secrets, Bus: c.Bus, Schedule: later{}, Now: s.Clock.Now, Insecure: true}
	switch {
	case s.opt.Setup != nil:
		if _, err := admin.Import(ctx, s.opt.Setup, channel.ImportOptions{}); err != nil {
			return err
		}
		return s.letIn(ctx, &admin)
	case s.opt.Config != nil:
		return admin.Seed(ctx, *s.opt.Config)
	}
	return admin.Seed(ctx, s.Demo())
}

// letIn gives each account the password that its mailbox has, and the channel
// the token of the CRM, which are not in a file.
func (s *Suite) letIn(ctx context.Context, admin *channel.Admin) error {
	accounts, err := admin.Accounts(ctx)
	if err != nil {
		return err
	}
	set, err := admin.Settings(ctx)
	if err != nil {
		return err
	}
	secrets := map[string]string{set.CRM.Secret: zendesk.DefaultToken}
	for _, a := range accounts {
		secrets[a.Secret] = DemoPassword
	}
	for name, v := range secrets {
		if name == "" { // no CRM
			continue
		}
		if err := s.clients.Secrets.Put(ctx, name, v); err != nil {
			return err
		}
	}
	now := s.Clock.Now()
	in := channel.AccountStatus{Valid: true, CheckedAt: now, LastSuccess: now}
	return s.clients.Docs.Write(ctx, func(tx channel.Tx) {
		for _, a := range accounts {
			tx.Patch("accounts/"+a.ID, map[string]any{"status": in})
			tx.Set("logins/"+a.ID, channel.Login{Account: a.ID, Due: now, Status: in})
		}
	})
}

// later is the schedule of a suite that has none yet: its jobs begin as the
// settings say.
type later struct{}

func (later) Pause(context.Context) error  { return nil }
func (later) Resume(context.Context) error { return nil }

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
