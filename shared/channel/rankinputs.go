package channel

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/route"
)

// maxPassed is how many who ranked before the chosen agent an entry names.
const maxPassed = 5

// inputs are what the choice of an agent can be checked by (AS-7): his rank,
// the queue's policy as it was, who ranked before him and why he was passed
// over, and who would have been next.
func (r *ranking) inputs(chosen route.Agent, at time.Time) []string {
	p := r.queue.Assign
	out := append(ranked(chosen), "day:"+r.queue.Hours.Day(at),
		fmt.Sprintf("policy:daily_limit=%d only_in_hours=%t only_logged_in=%t", p.DailyLimit, p.OnlyInHours, p.OnlyLoggedIn))
	var others []route.Agent
	for _, ag := range r.agents {
		if ag.ID != chosen.ID {
			others = append(others, r.rank(ag))
		}
	}
	slices.SortFunc(others, route.Compare)
	passed := 0
	for _, o := range others {
		why, ok := p.Agent(o)
		if ok {
			return append(out, "next:"+o.ID+" "+strings.Join(ranked(o), " "))
		}
		if passed++; route.Compare(o, chosen) < 0 && passed <= maxPassed {
			out = append(out, "passed:"+o.ID+" "+string(why)+" "+strings.Join(ranked(o), " "))
		}
	}
	return out
}

// ranked are the values that an agent's rank is made of.
func ranked(a route.Agent) []string {
	last := "never"
	if !a.LastAssigned.IsZero() {
		last = a.LastAssigned.Format(time.RFC3339Nano)
	}
	return []string{fmt.Sprintf("open:%d", a.Open), "last_assigned:" + last, fmt.Sprintf("today:%d", a.Today)}
}
