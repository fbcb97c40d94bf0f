package session

import "time"

// move is one row of the table. A row with a rule is allowed only when the rule does not object.
type move struct {
	from  State
	event Event
	to    State
	rule  rule
}

// rule ties a move to one threshold: a timer's move is made when the days are over, a window's until then.
type rule struct {
	kind      ruleKind
	threshold func(Settings) Threshold
}

type ruleKind int

const (
	always ruleKind = iota
	whenOver
	whileWithin
)

var (
	pausedClose   = rule{whenOver, func(s Settings) Threshold { return s.PausedClose }}
	resolvedClose = rule{whenOver, func(s Settings) Threshold { return s.ResolvedClose }}
	activePause   = rule{whenOver, func(s Settings) Threshold { return s.ActivePause }}
	closedReopen  = rule{whileWithin, func(s Settings) Threshold { return s.ClosedReopen }}
)

// table is every move there is (SE-3 to SE-6). The package comment's picture is made from it.
var table = []move{
	{from: None, event: Inbound, to: Unopened},
	{from: None, event: StartOutbound, to: Active},

	{from: Unopened, event: Open, to: Active},
	{from: Unopened, event: Outbound, to: Active},
	{from: Unopened, event: Inbound, to: Unopened},
	{from: Unopened, event: Merge, to: Closed},

	{from: Active, event: Pause, to: Paused},
	{from: Active, event: TimerPause, to: Paused, rule: activePause},
	{from: Active, event: Resolve, to: Resolved},
	{from: Active, event: Inbound, to: Active},
	{from: Active, event: Outbound, to: Active},
	{from: Active, event: Merge, to: Closed},

	{from: Paused, event: Activate, to: Active},
	{from: Paused, event: Inbound, to: Active},
	{from: Paused, event: TimerClosePaused, to: Closed, rule: pausedClose},
	{from: Paused, event: Outbound, to: Paused},
	{from: Paused, event: Merge, to: Closed},

	{from: Resolved, event: Activate, to: Active},
	{from: Resolved, event: Inbound, to: Reopened},
	{from: Resolved, event: TimerCloseResolved, to: Closed, rule: resolvedClose},
	{from: Resolved, event: Outbound, to: Resolved},
	{from: Resolved, event: Merge, to: Closed},

	{from: Closed, event: Inbound, to: Reopened, rule: closedReopen},
	{from: Closed, event: Outbound, to: Reopened, rule: closedReopen},
	{from: Closed, event: Merge, to: Closed},

	{from: Reopened, event: Open, to: Active},
	{from: Reopened, event: Outbound, to: Active},
	{from: Reopened, event: Inbound, to: Reopened},
	{from: Reopened, event: Merge, to: Closed},
}

// find returns the row of (from, e), or why there is none.
func find(from State, e Event) (move, Reason) {
	for _, m := range table {
		if m.from == from && m.event == e {
			return m, noObjection
		}
	}
	switch {
	case from != None && from.Validate() != nil:
		return move{}, BadState
	case e.Validate() != nil:
		return move{}, BadEvent
	}
	return move{}, NotListed
}

// objection returns why the row may not be taken now.
func (m move) objection(f Facts, s Settings, now time.Time) Reason {
	if m.rule.kind == always {
		return noObjection
	}
	t := m.rule.threshold(s)
	end, known := t.after(Since(f))
	over := known && !now.Before(end)
	switch {
	case m.rule.kind == whenOver && !t.On:
		return TimerOff
	case m.rule.kind == whenOver && !over:
		return NotDue
	case m.rule.kind == whileWithin && !t.On:
		return ReopenOff
	case m.rule.kind == whileWithin && (over || !known):
		return ReopenOver
	}
	return noObjection
}
