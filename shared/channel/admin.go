package channel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/reply"
	"emailchannel.dev/emailchannel/shared/session"
)

// Admin keeps the settings. What it saves is checked first, and every bad
// field is named ([*Invalid]). Every change of a setting is
// in the audit log ([Audit]) and makes Settings.Version grow in the same
// transaction, because [Configuration] reads the rest again only then. All
// methods that save may be repeated; what is as it should be is not written again.
type Admin struct {
	Docs     Docs
	Secrets  Vault
	Bus      Bus
	Mail     Verifier
	Schedule Schedule
	Now      Clock
	Insecure bool // addresses without TLS may be saved, as the emulator's are

	who  Actor        // see As
	only Precondition // see If
	bad  *Invalid     // see Besides
}

// Vault keeps passwords and tokens by name.
type Vault interface {
	Secrets
	// Delete removes a secret; a missing one is no error.
	Delete(ctx context.Context, name string) error
}

// Verifier logs in to both servers of an account (AC-3). Its error has the
// server's answer.
type Verifier interface {
	Verify(ctx context.Context, a Account, secret string) error
}

// Schedule stops and starts the periodic jobs together with the channel (CH-1).
type Schedule interface {
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
}

// Defaults are the settings of a new channel: everything is off.
func Defaults() Settings {
	return Settings{Queues: true, Session: session.Default(), Caps: reply.DefaultCaps(), Record: crm.Default(), CRM: CRMSettings{Kind: "none", Seconds: 10}}
}

// Blank are the settings that a body or a file is read into: what it leaves out
// is as in a new channel, but for the thresholds, which have to be given (SE-4).
func Blank() Settings {
	s := Defaults()
	s.Session = session.Settings{}
	return s
}

// As returns an Admin whose changes the audit log has as somebody's.
func (a *Admin) As(who Actor) *Admin {
	b := *a
	b.who = who
	return &b
}

// If returns an Admin that changes a thing only while p holds, and else returns
// [*Outdated]. What is saved together with the thing follows from it.
func (a *Admin) If(p Precondition) *Admin {
	b := *a
	b.only = p
	return &b
}

// Besides returns an Admin that saves nothing: its refusal names what of the
// input did not fit its type ([Misfits]) together with everything else that is bad.
func (a *Admin) Besides(misfits *Invalid) *Admin {
	b := *a
	b.bad = misfits
	return &b
}

// verdict is what a check found, together with what did not fit. A field that
// did not fit was not read, so what a check says of it, or of what it is in or
// has in it, is left out.
func (a *Admin) verdict(err error) error {
	var found *Invalid
	if a.bad == nil || err != nil && !errors.As(err, &found) {
		return err
	}
	all := Invalid{slices.Clone(a.bad.Fields)}
	if found != nil {
		for _, f := range found.Fields {
			if !slices.ContainsFunc(a.bad.Fields, func(m Field) bool { return within(f.Name, m.Name) || within(m.Name, f.Name) }) {
				all.Fields = append(all.Fields, f)
			}
		}
	}
	return &all
}

// within tells whether a field's path is another's, or leads to a part of it.
func within(path, whole string) bool {
	rest, ok := strings.CutPrefix(path, whole)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// save runs f in a transaction that changes t, writes what changed to the audit
// log, and lets the version grow with it. f returns errUnchanged when it has
// nothing to write.
func (a *Admin) save(ctx context.Context, t thingID, f func(ctx context.Context, tx *edit, now time.Time) error) error {
	err := a.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, err := get[Settings](ctx, tx, settingsPath)
		if err != nil {
			return err
		}
		if err := a.only.check(ctx, tx, t); err != nil {
			return err
		}
		now := a.Now().UTC()
		e := &edit{Tx: tx}
		if err := f(ctx, e, now); err != nil {
			return err
		}
		changed, err := e.commit(ctx, a.who, now)
		if err != nil || !changed || e.has(settingsPath) { // who writes the settings counts himself
			return err
		}
		if have == nil {
			first := Defaults()
			first.Version, first.UpdatedAt = 1, now
			tx.Set(settingsPath, first)
			return nil
		}
		tx.Patch(settingsPath, map[string]any{"version": Inc(1)})
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// errUnchanged ends a save without a write, so that the version of the
// settings does not grow either.
var errUnchanged = errors.New("nothing changed")

// Settings returns the channel's settings.
func (a *Admin) Settings(ctx context.Context) (*Settings, error) { return settings(ctx, a.Docs) }

// settings reads them, or the defaults before anybody saved any.
func settings(ctx context.Context, r Reader) (*Settings, error) {
	have, err := get[Settings](ctx, r, settingsPath)
	if err == nil && have == nil {
		first := Defaults()
		have = &first
	}
	return have, err
}

// PutSettings saves the channel's settings, and the CRM's token unless it is
// empty. The schedule follows CH-1, and with the channel ON again what waited
// on the servers and in the queues is taken up at once.
func (a *Admin) PutSettings(ctx context.Context, s Settings, token string) (*Settings, error) {
	s.CRM.complete()
	var bad Invalid
	_ = bad.under("", s.check())
	a.encrypted(&bad, "crm.base_url", s.CRM.BaseURL)
	bad.line("crm_token", token, maxSecret)
	if err := a.verdict(bad.err()); err != nil {
		return nil, err
	}
	if err := a.only.check(ctx, a.Docs, thingID{Thing: ThingSettings}); err != nil { // before the token is stored; the transaction does it again
		return nil, err
	}
	if token != "" && s.CRM.Secret != "" {
		if err := a.Secrets.Put(ctx, s.CRM.Secret, token); err != nil {
			return nil, fmt.Errorf("store the CRM's token: %w", err)
		}
	}
	if err := a.subjectKey(ctx, &s); err != nil {
		return nil, fmt.Errorf("key of the subject tokens: %w", err)
	}
	err := a.save(ctx, thingID{Thing: ThingSettings}, func(ctx context.Context, tx *edit, now time.Time) error {
		have, err := get[Settings](ctx, tx, settingsPath)
		if err != nil {
			return err
		}
		s.follows(have, token != "", now)
		if token != "" {
			tx.secret(thingID{Thing: ThingSettings}, "crm_token")
		}
		tx.Set(settingsPath, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("save the settings: %w", err)
	}
	return &s, a.follow(ctx)
}

// complete fills in what may be left out.
func (c *CRMSettings) complete() {
	if c.Kind == "" {
		c.Kind = "none"
	}
	if c.Secret == "" && c.Kind != "none" {
		c.Secret = "crm-token"
	}
}

// follows fills in what is the channel's own after have, which may be nil: the
// version grows, and the time changes, with what admins decide, or with a secret
// that was given. Storage is [AdminStorage]'s, whatever the caller sent.
func (s *Settings) follows(have *Settings, secret bool, now time.Time) {
	s.Version, s.UpdatedAt, s.Storage = 1, now, Storage{}
	if have == nil {
		return
	}
	s.Version, s.UpdatedAt, s.Storage = have.Version, have.UpdatedAt, have.Storage
	if secret || ThingSettings.differ(*have, *s) {
		s.Version, s.UpdatedAt = have.Version+1, now
	}
}

// subjectKey keeps the name of the secret that signs subject tokens, whatever
// the caller sent, and makes the secret when CH-2 is first switched on. One
// that a crash left unnamed is used: nothing was signed with it.
func (a *Admin) subjectKey(ctx context.Context, s *Settings) error {
	have, err := a.Settings(ctx)
	if err != nil {
		return err
	}
	if s.SubjectKey = have.SubjectKey; s.SubjectKey != "" || !s.SubjectToken {
		return nil
	}
	s.SubjectKey = subjectKeyName
	if _, err := a.Secrets.Get(ctx, subjectKeyName); err == nil {
		return nil
	}
	return a.Secrets.Put(ctx, subjectKeyName, newSubjectKey())
}

// follow makes the rest of the world follow the channel's toggle: what waited
// for ON starts now, and not when its job next runs. Of two who switch at the
// same time the one who comes here last may not be the one whose word holds.
func (a *Admin) follow(ctx context.Context) error {
	s, err := a.Settings(ctx)
	for err == nil {
		on := s.Email
		if err = a.turn(ctx, on); err != nil {
			break
		}
		if s, err = a.Settings(ctx); err == nil && s.Email == on {
			break
		}
	}
	return err
}

func (a *Admin) turn(ctx context.Context, on bool) error {
	if !on {
		return a.Schedule.Pause(ctx)
	}
	return errors.Join(a.Schedule.Resume(ctx),
		a.Bus.Publish(ctx, event.TopicPoll, event.Encode(event.Poll{})),
		a.Bus.Publish(ctx, event.TopicQueue, event.Encode(event.Queue{})),
		a.Bus.Publish(ctx, event.TopicSweep, event.Encode(event.Sweep{})))
}

// encrypted names an address that would be talked to in clear text.
func (a *Admin) encrypted(bad *Invalid, field, address string) {
	if !a.Insecure && strings.HasPrefix(strings.ToLower(address), "http:") {
		bad.add(field, "%q must be https", address)
	}
}

// maxURL is the longest address of a web server, in bytes.
const maxURL = 2000

// isURL tells whether s is the address of a web server, without a user and
// password: addresses are shown, and stand in the audit log.
func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURL && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

var secretName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`) // of Secret Manager

func (s Settings) check() error {
	var bad Invalid
	if s.SubjectToken && s.SubjectEdit {
		const both = "subject_token and subject_edit exclude each other" // CH-4
		bad.add("subject_token", both)
		bad.add("subject_edit", both)
	}
	bad.merge("session.", s.Session.Validate())
	bad.merge("", s.Record.Validate())
	if n := s.CRM.Seconds; n < 1 || n > 60 {
		bad.add("crm.flush_seconds", "%d seconds, must be 1 to 60", n)
	}
	switch s.CRM.Kind {
	case "none":
	case "zendesk":
		if !isURL(s.CRM.BaseURL) || strings.ContainsAny(s.CRM.BaseURL, "?#") {
			bad.add("crm.base_url", "%q is no http or https address without user, password and query", s.CRM.BaseURL)
		}
		if s.CRM.User == "" {
			bad.add("crm.user", "missing")
		}
		bad.line("crm.user", s.CRM.User, serviceNames)
	default:
		bad.add("crm.kind", "%q is neither zendesk nor none", s.CRM.Kind)
	}
	if name := s.CRM.Secret; name != "" { // also without a CRM: a token that is given is stored there
		if !secretName.MatchString(name) {
			bad.add("crm.secret", "%q is no name of a secret", name)
		}
		if strings.HasPrefix(name, accountSecrets) || strings.HasPrefix(name, storageSecrets) || name == subjectKeyName {
			bad.add("crm.secret", "%q is for another use", name)
		}
	}
	if s.ConsoleURL != "" && !isURL(s.ConsoleURL) {
		bad.add("console_url", "%q is no http or https address", s.ConsoleURL)
	}
	bad.merge("caps.", s.Caps.Validate())
	bad.line("company", s.Company, 200)
	s.Presence.check(&bad)
	return bad.err()
}

// all reads a whole collection, by ID.
func all[T any](ctx context.Context, r Reader, collection string, id func(T) string) (map[string]T, error) {
	list, err := find[T](ctx, r, Query{Collection: collection})
	out := make(map[string]T, len(list))
	for _, v := range list {
		out[id(v)] = v
	}
	return out, err
}

// sorted returns the values in the order of their IDs.
func sorted[T any](m map[string]T) []T {
	out := make([]T, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

func accountID(a Account) string { return a.ID }
func queueID(q Queue) string     { return q.ID }
func agentID(a Agent) string     { return a.ID }
func teamID(t Team) string       { return t.ID }
