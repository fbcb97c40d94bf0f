// Package api is the function that people and programs work with over HTTP:
// the settings, the sessions with everything that agents do to them, how long
// mail is kept, and what got stuck. openapi.yaml describes it and is served at /v1/openapi.yaml.
//
// Every failure is a problem of RFC 9457 that names what is wrong. Bodies are
// read strictly: a field that is not known is refused by name, not ignored.
// What sends mail takes an Idempotency-Key, and the same key never sends twice.
package api

import (
	"bytes"
	"context"
	_ "embed"
	"io"
	"net/http"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/email"
)

func init() { functions.HTTP("API", config.Function("api", Handler)) }

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
	jobs, err := env.Jobs(ctx)
	if err != nil {
		return nil, err
	}
	callers, err := env.Callers(c.Docs)
	if err != nil {
		return nil, err
	}
	lookup, err := env.LookupTXT()
	if err != nil {
		return nil, err
	}
	admin := &channel.Admin{Docs: c.Docs, Secrets: c.Secrets, Bus: c.Bus, Mail: mail, Schedule: jobs, Now: env.Now, Insecure: c.Insecure()}
	return New(Deps{
		Desk:    &channel.Desk{Docs: c.Docs, Archive: c.Archive, Bus: c.Bus, Secrets: c.Secrets, Config: c.Config, Now: env.Now},
		Admin:   admin,
		Storage: &channel.AdminStorage{Admin: admin, Probe: c.Probe},
		Read:    &channel.Read{Docs: c.Docs, Archive: c.Archive, Config: c.Config, Now: env.Now},
		Erase:   &channel.Erase{Docs: c.Docs, Objects: c.Archive, Now: env.Now},
		Remail:  &channel.Remail{Receive: &channel.Receive{Docs: c.Docs, Archive: c.Archive, Bus: c.Bus, Secrets: c.Secrets, Config: c.Config, Now: env.Now, Limits: email.DefaultLimits(), LookupTXT: lookup}},
		Auth:    callers,
	}), nil
}

//go:embed openapi.yaml
var document []byte

func (s *server) openapi(*call) (any, error) {
	return download{mediaType: "application/yaml", body: io.NopCloser(bytes.NewReader(document))}, nil
}
