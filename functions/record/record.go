// Package record is the function that decides what the CRM has to learn of a session. It
// is pushed session-changed.
package record

import (
	"context"
	"net/http"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/trigger"
)

func init() { functions.HTTP("Record", config.Function("record", Handler)) }

// Handler makes the function from its surroundings.
func Handler(ctx context.Context, env config.Env) (http.Handler, error) {
	c, err := env.Connect(ctx)
	if err != nil {
		return nil, err
	}
	use := &channel.Record{Docs: c.Docs, Bus: c.Bus, Config: c.Config, Now: env.Now}
	return trigger.Push(env.Function, trigger.Each(use.Handle)), nil
}
