package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/auth"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/schedule"
)

// Callers finds out who calls the API:
//
//	API_AUDIENCE  audiences of Google ID tokens, separated by commas
//	IAP_AUDIENCE  audience of Identity-Aware Proxy's assertions
//	API_ADMINS    addresses that are admins before the settings name one
//	API_SERVICES  addresses of the programs that may call, as of service accounts
//	API_TOKENS    fixed tokens as token=role:address, with an emulator only
func (e Env) Callers(docs channel.Docs) (*auth.Authenticator, error) {
	a := &auth.Authenticator{Roles: roles{docs, addresses(e.or("API_ADMINS", "")), addresses(e.or("API_SERVICES", ""))}}
	if v := e.or("IAP_AUDIENCE", ""); v != "" {
		iap, err := auth.NewIAP(&auth.JWKS{URL: auth.IAPKeys}, e.Now, v)
		if err != nil {
			return nil, fmt.Errorf("IAP_AUDIENCE: %w", err)
		}
		a.IAP = iap
	}
	if v := list(e.or("API_AUDIENCE", "")); len(v) > 0 {
		google, err := auth.NewGoogle(&auth.JWKS{URL: auth.GoogleKeys}, e.Now, v...)
		if err != nil {
			return nil, fmt.Errorf("API_AUDIENCE: %w", err)
		}
		a.Bearer = append(a.Bearer, google)
	}
	fixed, err := e.tokens()
	if err != nil {
		return nil, err
	}
	if len(fixed) > 0 {
		a.Bearer = append(a.Bearer, fixed)
	}
	if a.IAP == nil && len(a.Bearer) == 0 {
		return nil, fmt.Errorf("API_AUDIENCE or IAP_AUDIENCE: %w", ErrMissing)
	}
	return a, nil
}

// tokens reads the fixed tokens, which exist in front of an emulator only.
func (e Env) tokens() (auth.StaticTokens, error) {
	out := auth.StaticTokens{}
	for i, entry := range list(e.or("API_TOKENS", "")) {
		token, who, _ := strings.Cut(entry, "=")
		role, address, ok := strings.Cut(who, ":")
		if !ok || token == "" || address == "" || auth.Role(role).Validate() != nil {
			return nil, fmt.Errorf("API_TOKENS: entry %d is not token=role:address", i+1)
		}
		out[token] = auth.Identity{Email: strings.ToLower(address), Subject: address, Role: auth.Role(role)}
	}
	if len(out) > 0 && e.or("FIRESTORE_EMULATOR_HOST", "") == "" {
		return nil, errors.New("API_TOKENS: fixed tokens are for the emulator only")
	}
	return out, nil
}

func list(s string) []string {
	var out []string
	for _, v := range strings.Split(s, ",") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// addresses is a list in lower case, as identities have theirs.
func addresses(s string) []string { return list(strings.ToLower(s)) }

// roles are those that the settings give to people. Programs are no users of
// the channel: theirs is in the surroundings.
type roles struct {
	docs             channel.Docs
	admins, services []string
}

// RoleOf implements auth.Roles.
func (r roles) RoleOf(ctx context.Context, email string) (auth.Role, error) {
	if slices.Contains(r.admins, email) {
		return auth.RoleAdmin, nil
	}
	if slices.Contains(r.services, email) {
		return auth.RoleService, nil
	}
	ag, err := channel.User(ctx, r.docs, email)
	if errors.Is(err, channel.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return auth.Role(ag.Role), nil
}

// jobs are the periodic jobs that Terraform makes. CH-1 pauses them all, those
// that send no mail too: "the Cloud Scheduler jobs are paused and resumed with
// it", so an idle channel costs nothing. What the pause keeps back is stored and
// has a due time: timers and retention (sweep), events that a crash kept back
// (sweep), CRM operations of an unreachable CRM (flush, CR-7). The first ticks
// after the resume take it up. People's work goes on meanwhile: what it means
// for the CRM is pushed by record to flush, without the job.
var jobs = []string{"poll", "route", "flush", "sweep"}

// Jobs pauses and resumes the periodic jobs.
type Jobs struct{ s *schedule.Jobs }

// Jobs connects to Cloud Scheduler.
func (e Env) Jobs(ctx context.Context) (*Jobs, error) {
	project, err1 := e.must("GOOGLE_CLOUD_PROJECT")
	location, err2 := e.must("SCHEDULER_LOCATION")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	s, err := schedule.New(ctx, project, location, e.options("SCHEDULER_EMULATOR_HOST")...)
	if err != nil {
		return nil, err
	}
	return &Jobs{s}, nil
}

// Pause implements channel.Schedule.
func (j *Jobs) Pause(ctx context.Context) error { return j.each(ctx, j.s.Pause) }

// Resume implements channel.Schedule.
func (j *Jobs) Resume(ctx context.Context) error { return j.each(ctx, j.s.Resume) }

func (j *Jobs) each(ctx context.Context, f func(context.Context, string) error) error {
	var errs []error
	for _, name := range jobs {
		errs = append(errs, f(ctx, name))
	}
	return errors.Join(errs...)
}
