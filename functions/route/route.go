// Package route is the function that assigns sessions to agents. It is pushed
// session-changed, in order per queue, and queue-changed, which also Cloud
// Scheduler publishes: an opening hour or a new day lets somebody qualify.
package route

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

func init() { functions.HTTP("Route", config.Function("route", Handler)) }

// Handler makes the function from its surroundings.
func Handler(ctx context.Context, env config.Env) (http.Handler, error) {
	c, err := env.Connect(ctx)
	if err != nil {
		return nil, err
	}
	use := channel.Assign{Docs: c.Docs, Bus: c.Bus, Config: c.Config, Now: env.Now}
	sessions, queues := trigger.Each(use.Session), trigger.Each(use.Queue)
	return trigger.Push(env.Function, func(ctx context.Context, d trigger.Delivery) error {
		if strings.HasPrefix(d.Subscription, event.TopicQueue) {
			return queues(ctx, d)
		}
		return sessions(ctx, d)
	}), nil
}
