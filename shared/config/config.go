// Package config is where a function learns its surroundings: one set of
// variables, parsed and checked once, and the clients made from them.
//
// Variables are looked up through [Env], so tests and the emulator give their
// own. A missing or bad one stops the function at its start and is named.
//
//	GOOGLE_CLOUD_PROJECT  project of database, topics, secrets and schedules
//	FIRESTORE_DATABASE    database; empty: the default one
//	MAIL_BUCKET           bucket of the archive
//	MAIL_FOLDER           folder path in the bucket
//	SCHEDULER_LOCATION    region of the Cloud Scheduler jobs
//	API_AUDIENCE, IAP_AUDIENCE, API_ADMINS, API_SERVICES
//	                      who may call api; see [Env.Callers]
//	ALLOW_INSECURE_MAIL   "true": mail servers, S3 and the CRM without TLS and on
//	                      private addresses; for the emulator
//	SKIP_DKIM             "true": signatures are not checked, for want of a DNS
//	FIRESTORE_EMULATOR_HOST, PUBSUB_EMULATOR_HOST, STORAGE_EMULATOR_HOST,
//	SECRETS_EMULATOR_HOST, SCHEDULER_EMULATOR_HOST
//	                      host:port of an emulator in place of the service
package config

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"emailchannel.dev/emailchannel/shared/trigger"
)

// Env is what a function is started with.
type Env struct {
	Function string                      // its name, by which operations are counted
	Lookup   func(string) (string, bool) // of a variable
	Now      func() time.Time            // the time
}

// Function makes the handler that a deployed function registers: built from the
// process's own environment, at the first request.
func Function(name string, build func(context.Context, Env) (http.Handler, error)) http.HandlerFunc {
	return trigger.Lazy(func(ctx context.Context) (http.Handler, error) { return build(ctx, OS(name)) })
}

// OS is the process's own environment.
func OS(function string) Env { return Env{Function: function, Lookup: os.LookupEnv, Now: time.Now} }

// ErrMissing is wrapped by the error about a variable that has no value.
var ErrMissing = errors.New("variable is not set")

func (e Env) must(name string) (string, error) {
	if v := e.or(name, ""); v != "" {
		return v, nil
	}
	return "", fmt.Errorf("%s: %w", name, ErrMissing)
}

func (e Env) or(name, fallback string) string {
	if v, ok := e.Lookup(name); ok && v != "" {
		return v
	}
	return fallback
}

// flag reads a variable that is true, false or not set.
func (e Env) flag(name string) (bool, error) {
	switch v := e.or(name, "false"); v {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, fmt.Errorf("%s: %q is neither true nor false", name, v)
	}
}
