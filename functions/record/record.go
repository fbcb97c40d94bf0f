// Package record is the function that decides what the CRM has to learn of a session. It
// is pushed session-changed.
package record

import (
	"context"
	"net/http"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/trigger"
)

func init() {
	functions.HTTP("Record", trigger.Lazy(func(ctx context.Context) (http.Handler, error) {
		return Handler(ctx, config.OS("record"))
	}))
}

// Handler makes the function from its surroundings.
func Handler(ctx context.Context, env config.Env) (http.Handler, error) {
	c, err := env.Connect(ctx)
	if err != nil {
		return nil, err
	}
	use := &channel.Record{Docs: c.Docs, Bus: c.Bus, Config: c.Config, Now: env.Now}
	return trigger.Push("record", func(ctx context.Context, d trigger.Delivery) error {
		e, err := trigger.JSON[event.Session](d)
		if err != nil {
			return err
		}
		return use.Handle(ctx, e)
	}), nil
}
