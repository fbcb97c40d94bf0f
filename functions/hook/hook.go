// Package hook is the function that takes mail which a provider pushes over
// HTTP (AC-9):
//
//	POST /hook/mail/{account}
//	Emailchannel-Time: seconds since 1970
//	Emailchannel-Signature: v1=HMAC-SHA-256 in hex, of the time, a dot and the body, under the account's push key
//
//	the mail, raw
//
// It answers 202 when the mail is safe. Any other answer means that it is not,
// and the provider should try again but for 401, 404 and 413.
package hook

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
)

func init() { functions.HTTP("Hook", config.Function("hook", Handler)) }

// Handler makes the function from its surroundings.
func Handler(ctx context.Context, env config.Env) (http.Handler, error) {
	c, err := env.Connect(ctx)
	if err != nil {
		return nil, err
	}
	push := channel.Push{Docs: c.Docs, Archive: c.Archive, Bus: c.Bus, Secrets: c.Secrets, Config: c.Config, Now: env.Now}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hook/mail/{account}", func(w http.ResponseWriter, r *http.Request) {
		proof := channel.Proof{Time: r.Header.Get("Emailchannel-Time"), Signature: r.Header.Get("Emailchannel-Signature")}
		account := r.PathValue("account")
		status := statusOf(push.Handle(r.Context(), account, proof, http.MaxBytesReader(w, r.Body, channel.MaxPush+1)))
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "300")
		}
		w.WriteHeader(status)
	})
	return mux, nil
}

// statusOf is the answer; what is no fault of the caller's is logged.
func statusOf(err error) int {
	switch {
	case err == nil:
		return http.StatusAccepted
	case errors.Is(err, channel.ErrUnproven):
		return http.StatusUnauthorized
	case errors.Is(err, channel.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, channel.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, channel.ErrOff):
		return http.StatusServiceUnavailable
	}
	slog.Error("a pushed mail was not taken", "function", "hook", "error", err)
	return http.StatusServiceUnavailable
}
