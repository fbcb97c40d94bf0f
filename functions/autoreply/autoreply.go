// Package autoreply is the function that writes auto-responses. It is pushed those
// events of session-changed that have a scenario.
package autoreply

import (
	"context"
	"net/http"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/trigger"
)

func init() { functions.HTTP("Autoreply", config.Function("autoreply", Handler)) }

// Handler makes the function from its surroundings.
func Handler(ctx context.Context, env config.Env) (http.Handler, error) {
	c, err := env.Connect(ctx)
	if err != nil {
		return nil, err
	}
	use := &channel.Respond{Docs: c.Docs, Archive: c.Archive, Bus: c.Bus, Secrets: c.Secrets, Config: c.Config, Now: env.Now}
	return trigger.Push(env.Function, trigger.Each(use.Handle)), nil
}
