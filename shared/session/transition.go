package session

import (
	"errors"
	"fmt"
	"time"
)

// ErrNewSession is what Next's error wraps when activity comes too late to reopen a closed session, or
// reopening is off: the caller starts a new session and links it to this one (SE-5).
var ErrNewSession = errors.New("session: activity belongs to a new session")

// ErrUnchanged is returned by Manual when the session is in the wanted state already (SE-9's unchanged).
var ErrUnchanged = errors.New("session: state unchanged")

// Reason names why a move was refused.
type Reason string

// The reasons.
const (
	NotListed   Reason = "not_listed"    // the table has no such move
	ByHand      Reason = "not_by_hand"   // unopened, reopened and closed are never set by hand
	NotDue      Reason = "not_due"       // the timer's days are not over
	TimerOff    Reason = "timer_off"     // the timer is switched off
	ReopenOver  Reason = "reopen_over"   // the days to reopen are over; wraps ErrNewSession
	ReopenOff   Reason = "reopen_off"    // reopening is switched off; wraps ErrNewSession
	BadState    Reason = "unknown_state" // not a state
	BadEvent    Reason = "unknown_event" // not an event
	noObjection Reason = ""
)

// TransitionError is a refused move. Event is what happened, or, from Manual, To is what somebody wished.
type TransitionError struct {
	From   State
	Event  Event
	To     State
	Reason Reason
}

// Error names the move and the reason.
func (e *TransitionError) Error() string {
	from := e.From
	if from == None {
		from = "none"
	}
	if e.Event == "" {
		return fmt.Sprintf("session: %s → %s refused: %s", from, e.To, e.Reason)
	}
	return fmt.Sprintf("session: %s on %s refused: %s", e.Event, from, e.Reason)
}

// Unwrap makes errors.Is(err, ErrNewSession) true for activity that may not reopen the session.
func (e *TransitionError) Unwrap() error {
	if e.Reason == ReopenOver || e.Reason == ReopenOff {
		return ErrNewSession
	}
	return nil
}

// Next returns the state that follows e, which may be the same one. It is the only place where a state
// changes. Every refusal is a *TransitionError; activity that is too late for a closed session also
// matches ErrNewSession. A session that does not exist yet has the zero Facts.
func Next(f Facts, e Event, s Settings, now time.Time) (State, error) {
	m, reason := find(f.State, e)
	if reason == noObjection {
		reason = m.objection(f, s, now)
	}
	if reason != noObjection {
		return f.State, &TransitionError{From: f.State, Event: e, Reason: reason}
	}
	return m.to, nil
}

// Apply is Next with the facts kept: the entry into the state when it changes, the last activity when e
// is one. On an error it returns f as it was. A time that runs backwards never shortens the last activity.
func Apply(f Facts, e Event, s Settings, now time.Time) (Facts, error) {
	to, err := Next(f, e, s, now)
	if err != nil {
		return f, err
	}
	if to != f.State {
		f.State, f.EnteredAt = to, now
	}
	if IsActivity(e) && now.After(f.LastActivity) {
		f.LastActivity = now
	}
	return f, nil
}

// Manual returns the agent's act that leads from one state to the wanted one (SE-3, SE-9). It returns
// ErrUnchanged when they are the same, and a *TransitionError when people may not make that move.
func Manual(from, to State) (Event, error) {
	if from.Validate() != nil || to.Validate() != nil {
		return "", &TransitionError{From: from, To: to, Reason: BadState}
	}
	if from == to {
		return "", ErrUnchanged
	}
	if to == Unopened || to == Reopened || to == Closed {
		return "", &TransitionError{From: from, To: to, Reason: ByHand}
	}
	for _, e := range []Event{Open, Pause, Resolve, Activate} {
		if m, reason := find(from, e); reason == noObjection && m.to == to {
			return e, nil
		}
	}
	return "", &TransitionError{From: from, To: to, Reason: NotListed}
}
