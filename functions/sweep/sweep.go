// Package sweep is the function that moves what fell due and resumes what got
// stuck. It is pushed sweep, by Cloud Scheduler every five minutes, and
// dead-letter, whose messages it stores for people to see.
package sweep

import (
	"context"
	"net/http"
	"strings"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/trigger"
)

func init() {
	functions.HTTP("Sweep", trigger.Lazy(func(ctx context.Context) (http.Handler, error) {
		return Handler(ctx, config.OS("sweep"))
	}))
}

// Handler makes the function from its surroundings.
func Handler(ctx context.Context, env config.Env) (http.Handler, error) {
	c, err := env.Connect(ctx)
	if err != nil {
		return nil, err
	}
	use := channel.Sweep{Docs: c.Docs, Bus: c.Bus, Config: c.Config, Now: env.Now}
	return trigger.Push("sweep", func(ctx context.Context, d trigger.Delivery) error {
		if strings.HasPrefix(d.Subscription, event.TopicDead) {
			return use.Bury(ctx, d.ID, d.Message)
		}
		return use.Handle(ctx)
	}), nil
}
