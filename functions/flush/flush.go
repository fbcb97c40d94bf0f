// Package flush is the function that carries CRM operations out, in batches.
// It is pushed crm-flush, by record when there is something to do and by Cloud
// Scheduler each minute.
package flush

import (
	"context"
	"net/http"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/trigger"
)

func init() { functions.HTTP("Flush", config.Function("flush", Handler)) }

// Handler makes the function from its surroundings.
func Handler(ctx context.Context, env config.Env) (http.Handler, error) {
	c, err := env.Connect(ctx)
	if err != nil {
		return nil, err
	}
	use := channel.Flush{Docs: c.Docs, Bus: c.Bus, Config: c.Config, Connect: c.CRM, Now: env.Now}
	return trigger.Push(env.Function, trigger.Each(func(ctx context.Context, e event.Flush) error {
		if e.Stored {
			return use.Handle(ctx)
		}
		return use.Tick(ctx)
	})), nil
}
