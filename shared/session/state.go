package session

import (
	"fmt"
	"slices"
	"time"
)

// State is where a session stands in its life (SE-2). The values are stored and sent as they are.
type State string

// The six states, and None for a session that does not exist yet. None is not a valid stored state.
const (
	None     State = ""
	Unopened State = "unopened" // mail came, no agent has looked at it
	Active   State = "active"   // an agent works on it
	Paused   State = "paused"   // put aside until the end user or the agent goes on
	Resolved State = "resolved" // the agent is done; the end user may disagree
	Closed   State = "closed"   // over, unless there is activity within the window to reopen
	Reopened State = "reopened" // was resolved or closed, mail came, no agent has looked at it
)

// States lists the six states in the order of a session's life.
func States() []State { return []State{Unopened, Active, Paused, Resolved, Closed, Reopened} }

// Validate returns an error that quotes the value when s is not one of the six states.
func (s State) Validate() error {
	if !slices.Contains(States(), s) {
		return fmt.Errorf("session: unknown state %q", string(s))
	}
	return nil
}

// Counted says whether a session in this state is part of its agent's load, by which assignment ranks (AS-4).
func Counted(s State) bool { return s == Unopened || s == Reopened || s == Active }

// Facts is what the rules need to know about a session.
type Facts struct {
	State        State
	EnteredAt    time.Time // when it entered State
	LastActivity time.Time // the last event for which IsActivity is true
}
