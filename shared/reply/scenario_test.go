package reply

import (
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/session"
)

var now = time.Date(2026, 11, 21, 13, 5, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	ago := func(s session.State, d time.Duration) session.Facts {
		return session.Facts{State: s, EnteredAt: now.Add(-d), LastActivity: now.Add(-d)}
	}
	const long = 300 * 24 * time.Hour
	tests := []struct {
		name   string
		before session.Facts
		want   Scenario
	}{
		{"new thread", session.Facts{}, First},
		{"closed", ago(session.Closed, time.Hour), Reopened},
		{"paused", ago(session.Paused, time.Hour), Reactivated},
		{"active, lately", ago(session.Active, time.Hour), ""},
		{"active, a second short of idle", ago(session.Active, IdleAfter-time.Second), ""},
		{"active, idle to the second", ago(session.Active, IdleAfter), Idle},
		{"active, idle for long", ago(session.Active, long), Idle},
		{"active, nobody knows since when", session.Facts{State: session.Active}, ""},
		{"active for long, activity lately", session.Facts{State: session.Active, EnteredAt: now.Add(-long), LastActivity: now}, ""},
		{"resolved", ago(session.Resolved, long), ""},
		{"unopened", ago(session.Unopened, long), ""},
		{"reopened", ago(session.Reopened, long), ""},
	}
	for _, tt := range tests {
		got, ok := Decide(tt.before, now)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: got %q, %v; want %q", tt.name, got, ok, tt.want)
		}
	}
}

func TestCaps(t *testing.T) {
	c := DefaultCaps()
	if c.Window != 3*time.Hour || !c.Allow(0) || !c.Allow(9) || c.Allow(10) || c.Allow(11) {
		t.Errorf("the default is not ten in three hours: %+v", c)
	}
	if !c.AllowInSession(4) || c.AllowInSession(5) {
		t.Errorf("the default is not five in a session: %+v", c)
	}
	if c.PerSession = 0; !c.AllowInSession(1000) {
		t.Error("a cap that is off holds something back")
	}
	if (Caps{}).Allow(0) {
		t.Error("a cap of none lets one through")
	}
}
