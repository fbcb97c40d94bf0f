package channel

import (
	"context"
	"fmt"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
)

// Status is what an agent who is logged in does: one of those below or a
// custom one of the settings. It matters where a queue assigns only to agents
// who are logged in (AS-2); there, a status that takes no mail counts as not
// being there.
type Status string

// The statuses that are always there. A log-in begins with available.
const (
	Available   Status = "available"   // takes mail
	Unavailable Status = "unavailable" // takes none
	InEmail     Status = "in-email"    // at work on a mail; takes more, which then waits with him
)

// Validate returns an error that quotes the value when s cannot be a status's name.
func (s Status) Validate() error {
	if !slug.MatchString(string(s)) {
		return fmt.Errorf("%q is no name of a-z, 0-9 and -, at most 63 long", string(s))
	}
	return nil
}

// CustomStatus is a status of one centre.
type CustomStatus struct {
	Name      Status `json:"name"`
	TakesMail bool   `json:"takes_mail"`
}

// Presence are the settings of who counts as being there.
type Presence struct {
	// Timeout is after how many minutes without a heartbeat an agent is logged
	// out; 0: never, he stays until he logs out. A change holds at once.
	Timeout  int            `json:"timeout_minutes"`
	Statuses []CustomStatus `json:"statuses"`
}

// Bounds of the settings. A query for those who take mail names every status,
// and Firestore takes 30.
const (
	maxPresence = 24 * 60
	maxStatuses = 20
)

// check adds what is wrong with the settings.
func (p Presence) check(bad *Invalid) {
	if p.Timeout < 0 || p.Timeout > maxPresence {
		bad.add("presence.timeout_minutes", "%d minutes, must be 1 to %d, or 0 for never", p.Timeout, maxPresence)
	}
	if n := len(p.Statuses); n > maxStatuses {
		bad.add("presence.statuses", "%d, at most %d", n, maxStatuses)
		return
	}
	seen := []Status{Available, Unavailable, InEmail}
	for i, s := range p.Statuses {
		field := fmt.Sprintf("presence.statuses[%d].name", i)
		if err := s.Name.Validate(); err != nil {
			bad.add(field, "%v", err)
		} else if slices.Contains(seen, s.Name) {
			bad.add(field, "there is a status %q already", s.Name)
		}
		seen = append(seen, s.Name)
	}
}

// names are all statuses that an agent may set.
func (p Presence) names() []string {
	out := []string{string(Available), string(Unavailable), string(InEmail)}
	for _, s := range p.Statuses {
		out = append(out, string(s.Name))
	}
	return out
}

// taking are the statuses that take mail. Users of before there were statuses
// have none, and take mail.
func (p Presence) taking() []string {
	out := []string{"", string(Available), string(InEmail)}
	for _, s := range p.Statuses {
		if s.TakesMail {
			out = append(out, string(s.Name))
		}
	}
	return out
}

// here tells whether the agent is logged in and was heard of of late.
func (p Presence) here(ag Agent, now time.Time) bool {
	return ag.LoggedIn && (p.Timeout == 0 || ag.SeenAt.After(p.cutoff(now)))
}

// cutoff is the time up to which a last heartbeat is too long ago.
func (p Presence) cutoff(now time.Time) time.Time {
	return now.UTC().Add(-time.Duration(p.Timeout) * time.Minute)
}

// SetPresence logs an agent in or out (AS-2). Who comes in is available and may
// qualify for what waits in his queues; who is there already stays as he is,
// and that was a heartbeat.
func (a *Admin) SetPresence(ctx context.Context, who Actor, id string, in bool) (*Agent, error) {
	came := false
	ag, err := a.attend(ctx, who, id, func(ag *Agent, p Presence, now time.Time) error {
		came = in && !p.here(*ag, now)
		if came {
			ag.Status = Available
		}
		ag.LoggedIn = in
		return nil
	})
	if err != nil || !came {
		return ag, err
	}
	return ag, a.drain(ctx, ag.Queues...)
}

// Heartbeat tells that an agent is still there. Who was logged out meanwhile
// has to log in again.
func (a *Admin) Heartbeat(ctx context.Context, who Actor, id string) (*Agent, error) {
	return a.attend(ctx, who, id, (*Agent).present)
}

// SetStatus sets the status of an agent who is logged in. With one that takes
// mail he may qualify for what waits in his queues.
func (a *Admin) SetStatus(ctx context.Context, who Actor, id string, s Status) (*Agent, error) {
	ag, err := a.attend(ctx, who, id, func(ag *Agent, p Presence, now time.Time) error {
		var bad Invalid
		bad.oneOf("status", string(s), p.names()...)
		if err := bad.err(); err != nil {
			return err
		}
		ag.Status = s
		return ag.present(p, now)
	})
	if err != nil {
		return nil, err
	}
	return ag, a.drain(ctx, ag.Queues...)
}

// present refuses who is not logged in.
func (ag *Agent) present(p Presence, now time.Time) error {
	if !p.here(*ag, now) {
		return conflict("agent %s is not logged in", ag.ID)
	}
	return nil
}

// attend changes an agent's presence and notes that he was heard of. Agents do
// so for themselves, supervisors and admins for anybody.
func (a *Admin) attend(ctx context.Context, who Actor, id string, f func(*Agent, Presence, time.Time) error) (*Agent, error) {
	id = email.Normalize(id)
	if who.ID != id && !who.leads() {
		return nil, fmt.Errorf("presence of agent %s: %w", id, ErrForbidden)
	}
	if !plainID(id) {
		return nil, notFound("agent", id)
	}
	var ag Agent
	err := a.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		var set Settings
		ag = Agent{}
		refs := []*Ref{{Path: settingsPath, Into: &set}, {Path: agentPath(id), Into: &ag}}
		if err := tx.Get(ctx, refs...); err != nil {
			return err
		}
		if !refs[1].Found {
			return notFound("agent", id)
		}
		now := a.Now().UTC()
		if err := f(&ag, set.Presence, now); err != nil {
			return err
		}
		ag.SeenAt, ag.UpdatedAt = now, now
		tx.Patch(agentPath(id), map[string]any{"logged_in": ag.LoggedIn, "status": ag.Status, "seen_at": now, "updated_at": now})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("presence of agent %s: %w", id, err)
	}
	return &ag, nil
}

// gone logs those out of whom nothing was heard for too long.
func (s *Sweep) gone(ctx context.Context, p Presence, until time.Time) error {
	if p.Timeout == 0 {
		return nil
	}
	cutoff := p.cutoff(s.Now())
	q := Query{Collection: "agents", Where: []Where{{"logged_in", "==", true}, {"seen_at", "<=", cutoff}}, Order: []Order{{Field: "seen_at"}}}
	return pages(ctx, s.Docs, q, until, func(d found[Agent]) error {
		return s.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
			have, err := get[Agent](ctx, tx, agentPath(d.id))
			if err != nil || have == nil || !have.LoggedIn || have.SeenAt.After(cutoff) {
				return err
			}
			tx.Patch(agentPath(d.id), map[string]any{"logged_in": false, "updated_at": s.Now().UTC()})
			return nil
		})
	})
}
