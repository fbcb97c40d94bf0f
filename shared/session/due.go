package session

import "time"

// Since returns the time from which the state's threshold counts: the last activity for active and
// closed, the entry into the state for the others (SE-4).
func Since(f Facts) time.Time {
	if f.State == Active || f.State == Closed {
		return f.LastActivity
	}
	return f.EnteredAt
}

// Due returns when the session's next timer falls due and its event; Next accepts the event from that
// instant on. There is none for a state without a timer, when the timer is off, or its start is not known.
func Due(f Facts, s Settings) (at time.Time, e Event, ok bool) {
	for _, m := range table {
		if m.from == f.State && m.rule.kind == whenOver {
			at, ok = m.rule.threshold(s).after(Since(f))
			if !ok {
				return time.Time{}, "", false
			}
			return at, m.event, true
		}
	}
	return time.Time{}, "", false
}

// Cutoff says that in State every session with Since(f) at or before Since has Event due.
type Cutoff struct {
	State State
	Event Event
	Since time.Time
}

// Cutoffs returns one row per timer that is on. A stored Due is out of date when somebody changes a
// threshold; a stored Since never is, so a sweep that asks by (state, since ≤ cutoff) needs no rewrite of
// old sessions for SE-7.
func Cutoffs(s Settings, now time.Time) []Cutoff {
	var out []Cutoff
	for _, m := range table {
		if m.rule.kind != whenOver {
			continue
		}
		if t := m.rule.threshold(s); t.On {
			out = append(out, Cutoff{State: m.from, Event: m.event, Since: now.Add(-t.length())})
		}
	}
	return out
}
