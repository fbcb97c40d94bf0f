// Package route decides which agent gets a session (AS-2 … AS-5).
//
// Among the agents of the queue who may take it, the one with the fewest open
// sessions is first; a tie goes to the one whose last assignment is longest
// ago, and to one who never had any before all others. The store hands the
// agents over in that order, so the first who qualifies is the right one, and
// ten thousand others need not be read.
package route

import (
	"cmp"
	"time"
)

// Policy is a queue's setting for automatic assignment.
type Policy struct {
	On           bool `json:"on"`
	DailyLimit   int  `json:"daily_limit"`    // sessions per agent and day of the queue's time zone; 0: no limit
	OnlyInHours  bool `json:"only_in_hours"`  // only in the queue's hours of operation
	OnlyLoggedIn bool `json:"only_logged_in"` // only to agents who are logged in
}

// Agent is what the ranking needs of an agent.
type Agent struct {
	ID           string
	LoggedIn     bool
	Open         int       // unopened, reopened and active sessions
	LastAssigned time.Time // zero: never
	Today        int       // assigned automatically from this queue on the queue's current day
}

// Compare orders agents by rank; the ID makes the order total.
func Compare(a, b Agent) int {
	return cmp.Or(cmp.Compare(a.Open, b.Open), a.LastAssigned.Compare(b.LastAssigned), cmp.Compare(a.ID, b.ID))
}

// Refusal names why nobody, or not this agent, gets a session.
type Refusal string

const (
	Off           Refusal = "assignment-off"
	OutsideHours  Refusal = "outside-hours"
	DailyLimit    Refusal = "daily-limit"
	NotLoggedIn   Refusal = "not-logged-in"
	NobodyLeft    Refusal = "nobody-qualifies"
	AlreadyTaken  Refusal = "already-assigned"
	QueueOff      Refusal = "queue-off"
	NothingToTake Refusal = "nothing-waits"
)

// Queue tells whether the queue assigns at all now.
func (p Policy) Queue(inHours bool) (Refusal, bool) {
	switch {
	case !p.On:
		return Off, false
	case p.OnlyInHours && !inHours:
		return OutsideHours, false
	}
	return "", true
}

// Agent tells whether a may be assigned one more session of the queue.
func (p Policy) Agent(a Agent) (Refusal, bool) {
	switch {
	case p.OnlyLoggedIn && !a.LoggedIn:
		return NotLoggedIn, false
	case p.DailyLimit > 0 && a.Today >= p.DailyLimit:
		return DailyLimit, false
	}
	return "", true
}
