package channel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"emailchannel.dev/emailchannel/shared/session"
)

// kindOf is the history entry of an event by hand.
var kindOf = map[session.Event]session.Kind{
	session.Open: session.KindOpened, session.Pause: session.KindPaused,
	session.Resolve: session.KindResolved, session.Activate: session.KindActivated,
}

// Open makes an unopened or reopened session active, because an agent looks at
// it. In any other state it changes nothing. It takes the session from nobody
// and for nobody: who has it, or whether it waits, stays.
func (d *Desk) Open(ctx context.Context, who Actor, id string) (*Session, error) {
	return d.change(ctx, who, id, func(_ context.Context, a *act) (*History, error) {
		if a.s.State != session.Unopened && a.s.State != session.Reopened {
			return nil, nil
		}
		return a.move(session.Open)
	})
}

// SetState moves a session to the state that somebody wants (SE-3). The state
// that it has already is no error and changes nothing; what is not allowed is
// a [*session.TransitionError].
func (d *Desk) SetState(ctx context.Context, who Actor, id string, to session.State) (*Session, error) {
	s, _, err := d.setState(ctx, who, id, to)
	return s, err
}

func (d *Desk) setState(ctx context.Context, who Actor, id string, to session.State) (s *Session, moved bool, err error) {
	s, err = d.change(ctx, who, id, func(_ context.Context, a *act) (*History, error) {
		e, err := session.Manual(a.s.State, to)
		if moved = err == nil; !moved {
			if errors.Is(err, session.ErrUnchanged) {
				err = nil
			}
			return nil, err
		}
		return a.move(e)
	})
	return s, moved, err
}

// move applies an event by hand. A session that is active again and has no
// agent waits for one, or nobody would see it.
func (a *act) move(e session.Event) (*History, error) {
	if err := a.s.apply(e, a.cat.Session, a.now); err != nil {
		return nil, err
	}
	if e == session.Activate {
		a.s.wait(a.now)
	}
	return a.entry(kindOf[e], string(a.before.State), string(a.s.State)), nil
}

// Outcome is what became of one session of a bulk call (SE-9).
type Outcome string

// The outcomes.
const (
	Updated           Outcome = "updated"
	Unchanged         Outcome = "unchanged"
	Missing           Outcome = "not_found"
	InvalidTransition Outcome = "invalid_transition"
)

// StateResult is the outcome of one session.
type StateResult struct {
	ID     string        `json:"id"`
	Result Outcome       `json:"result"`
	State  session.State `json:"state,omitempty"` // after the call
	Reason string        `json:"reason,omitempty"`
}

const (
	maxBulk   = 100 // sessions of one call (SE-9)
	bulkLanes = 8
)

// SetStates moves up to 100 sessions and answers for each, in their order. A
// session in a queue that the actor does not serve is not found. When the
// database fails, the call fails, and may be repeated: what was moved is then
// unchanged.
func (d *Desk) SetStates(ctx context.Context, who Actor, ids []string, to session.State) ([]StateResult, error) {
	var bad Invalid
	if len(ids) < 1 || len(ids) > maxBulk {
		bad.add("sessions", "%d sessions, must be 1 to %d", len(ids), maxBulk)
	}
	if err := to.Validate(); err != nil {
		bad.add("state", "%q is not a state", to)
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	var unique []string
	at := make([]int, len(ids))
	for i, id := range ids {
		if canonical, err := session.ParseID(id); err == nil {
			id = canonical
		}
		if at[i] = slices.Index(unique, id); at[i] < 0 {
			at[i] = len(unique)
			unique = append(unique, id)
		}
	}
	results, err := d.bulk(ctx, who, unique, to)
	if err != nil {
		return nil, err
	}
	out := make([]StateResult, len(ids))
	for i, id := range ids {
		out[i] = results[at[i]]
		out[i].ID = id
	}
	return out, nil
}

func (d *Desk) bulk(ctx context.Context, who Actor, ids []string, to session.State) ([]StateResult, error) {
	out, errs := make([]StateResult, len(ids)), make([]error, len(ids))
	lanes(ctx, bulkLanes, func(ctx context.Context, lane int) {
		for i := lane; i < len(ids); i += bulkLanes {
			out[i], errs[i] = d.result(ctx, who, ids[i], to)
		}
	})
	return out, errors.Join(errs...)
}

// result moves one session and names what became of it.
func (d *Desk) result(ctx context.Context, who Actor, id string, to session.State) (StateResult, error) {
	s, moved, err := d.setState(ctx, who, id, to)
	var refused *session.TransitionError
	var gone *Conflict
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrForbidden):
		return StateResult{Result: Missing}, nil
	case errors.As(err, &refused):
		return StateResult{Result: InvalidTransition, State: refused.From, Reason: string(refused.Reason)}, nil
	case errors.As(err, &gone):
		return StateResult{Result: InvalidTransition, Reason: gone.Message}, nil
	case err != nil:
		return StateResult{}, fmt.Errorf("set the state: %w", err)
	case moved:
		return StateResult{Result: Updated, State: s.State}, nil
	}
	return StateResult{Result: Unchanged, State: s.State}, nil
}
