// Package sweep is the function that moves what fell due, resumes what got
// stuck, adds up the reports, logs in to the accounts' servers and deletes what is over its storage
// period. It is pushed sweep, by Cloud Scheduler every five minutes, and
// dead-letter, whose messages it stores for people to see.
package sweep

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/trigger"
)

func init() { functions.HTTP("Sweep", config.Function("sweep", Handler)) }

// Handler makes the function from its surroundings.
func Handler(ctx context.Context, env config.Env) (http.Handler, error) {
	c, err := env.Connect(ctx)
	if err != nil {
		return nil, err
	}
	mail, err := env.Mail(c.Secrets)
	if err != nil {
		return nil, err
	}
	use := channel.Sweep{Docs: c.Docs, Bus: c.Bus, Config: c.Config, Now: env.Now}
	logins := channel.Logins{Docs: c.Docs, Secrets: c.Secrets, Mail: mail, Config: c.Config, Now: env.Now, Report: report}
	count := channel.Count{Docs: c.Docs, Config: c.Config, Now: env.Now}
	purge := channel.Purge{Docs: c.Docs, Objects: c.Archive, Config: c.Config, Now: env.Now}
	return trigger.Push(env.Function, func(ctx context.Context, d trigger.Delivery) error {
		if strings.HasPrefix(d.Subscription, event.TopicDead) {
			return use.Bury(ctx, d.ID, d.Message)
		}
		return errors.Join(use.Handle(ctx), count.Handle(ctx), logins.Handle(ctx), purge.Handle(ctx))
	}), nil
}

// report writes the line that the alert on refused accounts counts (AC-3). The
// answer is the server's own; it is the centre's mailbox that it is about.
func report(ctx context.Context, account string, st channel.AccountStatus) {
	if st.Valid {
		slog.InfoContext(ctx, "an account is valid again", "function", "sweep", "account", account)
		return
	}
	slog.ErrorContext(ctx, "an account is invalid", "function", "sweep", "account", account, "answer", st.Error, "last_success", st.LastSuccess)
}
