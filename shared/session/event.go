package session

import (
	"fmt"
	"slices"
)

// Event is something that happens to a session.
type Event string

// The events. Those named Timer… come from the sweep when Due says so, never from people.
const (
	Inbound            Event = "inbound"              // mail from the end user; on None: it starts the session
	StartOutbound      Event = "start_outbound"       // an agent starts the session with a mail
	Outbound           Event = "outbound"             // an agent's mail in the session
	Open               Event = "open"                 // an agent opens it
	Pause              Event = "pause"                // an agent pauses it
	Resolve            Event = "resolve"              // an agent resolves it
	Activate           Event = "activate"             // an agent takes it out of paused or resolved
	TimerPause         Event = "timer_pause"          // active for too long without activity
	TimerClosePaused   Event = "timer_close_paused"   // paused for too long
	TimerCloseResolved Event = "timer_close_resolved" // resolved for long enough
	Merge              Event = "merge"                // folded into another session
)

// Events lists all events.
func Events() []Event {
	return []Event{Inbound, StartOutbound, Outbound, Open, Pause, Resolve, Activate,
		TimerPause, TimerClosePaused, TimerCloseResolved, Merge}
}

// Validate returns an error that quotes the value when e is not a known event.
func (e Event) Validate() error {
	if !slices.Contains(Events(), e) {
		return fmt.Errorf("session: unknown event %q", string(e))
	}
	return nil
}

// IsActivity says whether e counts as activity: mail in or out and agents' acts do, timers and merges do not.
func IsActivity(e Event) bool {
	switch e {
	case Inbound, StartOutbound, Outbound, Open, Pause, Resolve, Activate:
		return true
	}
	return false
}
