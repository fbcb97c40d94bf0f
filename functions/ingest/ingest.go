// Package ingest is the function that makes sessions of received mail. It is
// pushed mail-received.
package ingest

import (
	"context"
	"net/http"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/trigger"
)

func init() { functions.HTTP("Ingest", config.Function("ingest", Handler)) }

// Handler makes the function from its surroundings.
func Handler(ctx context.Context, env config.Env) (http.Handler, error) {
	c, err := env.Connect(ctx)
	if err != nil {
		return nil, err
	}
	lookup, err := env.LookupTXT()
	if err != nil {
		return nil, err
	}
	use := channel.Receive{Docs: c.Docs, Archive: c.Archive, Bus: c.Bus, Secrets: c.Secrets, Config: c.Config, Now: env.Now, Limits: email.DefaultLimits(), LookupTXT: lookup}
	return trigger.Push(env.Function, func(ctx context.Context, d trigger.Delivery) error {
		e, err := trigger.JSON[event.Received](d)
		if err != nil {
			return err
		}
		return use.Handle(ctx, e, d.Attempt)
	}), nil
}
