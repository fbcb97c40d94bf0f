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
	OnlyLoggedIn bool `json:"only_logged_in"` // only to agents who are logged in and take mail
}

// Agent is what the ranking needs of an agent.
type Agent struct {
	ID           string
	LoggedIn     bool
	Away         bool      // logged in, with a status that takes no mail
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

// The refusals. Those of the channel and the queue come before the policy is asked.
const (
	ChannelOff   Refusal = "channel-off"      // the whole channel is OFF
	QueuesOff    Refusal = "queues-off"       // the e-mail tile of the queue page is OFF
	QueueOff     Refusal = "queue-off"        // the queue is OFF
	NoQueue      Refusal = "no-queue"         // the session is in no queue that there is
	Off          Refusal = "assignment-off"   // people assign
	OutsideHours Refusal = "outside-hours"    // of the queue
	NoAgents     Refusal = "no-agents"        // nobody serves the queue
	NotLoggedIn  Refusal = "not-logged-in"    // nobody who serves it is logged in, or this agent is not
	Unavailable  Refusal = "unavailable"      // all of them are logged in and away, or this agent is
	DailyLimit   Refusal = "daily-limit"      // everybody who serves it is at the limit of the day, or this agent is
	NobodyLeft   Refusal = "nobody-qualifies" // one for this reason, another for that
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
	case p.OnlyLoggedIn && a.Away:
		return Unavailable, false
	case p.DailyLimit > 0 && a.Today >= p.DailyLimit:
		return DailyLimit, false
	}
	return "", true
}

// Why tells why mail waits in a queue with these agents, empty when one of
// them may be assigned something, and how many agents there are of each
// refusal; "" counts those who qualify.
func (p Policy) Why(inHours bool, agents []Agent) (Refusal, map[Refusal]int) {
	standing := map[Refusal]int{}
	var last Refusal
	for _, a := range agents {
		last, _ = p.Agent(a)
		standing[last]++
	}
	refused, ok := p.Queue(inHours)
	switch {
	case !ok:
		return refused, standing
	case len(agents) == 0:
		return NoAgents, standing
	case standing[""] > 0:
		return "", standing
	case standing[last] == len(agents):
		return last, standing
	}
	return NobodyLeft, standing
}
