// Package send is the function that gives outbound mail to the accounts' servers. It
// is pushed mail-outbound.
package send

import (
	"context"
	"net/http"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/trigger"
)

func init() { functions.HTTP("Send", config.Function("send", Handler)) }

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
	use := channel.Send{Docs: c.Docs, Archive: c.Archive, Secrets: c.Secrets, Mail: mail, Folder: mail, Config: c.Config, Now: env.Now}
	return trigger.Push(env.Function, trigger.Each(use.Handle)), nil
}
