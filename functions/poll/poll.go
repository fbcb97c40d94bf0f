// Package poll is the function that fetches new mail. It is pushed mail-poll,
// which Cloud Scheduler publishes each minute and which the function itself
// publishes once for each account.
package poll

import (
	"context"
	"net/http"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/trigger"
)

func init() { functions.HTTP("Poll", config.Function("poll", Handler)) }

// batch is how many mails are taken between two writes of a folder's cursor.
const batch = 50

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
	use := channel.Poll{Docs: c.Docs, Archive: c.Archive, Bus: c.Bus, Secrets: c.Secrets, Mail: mail, Config: c.Config, Now: env.Now, Batch: batch}
	return trigger.Push(env.Function, trigger.Each(use.Handle)), nil
}
