package reply

import (
	"time"

	"emailchannel.dev/emailchannel/shared/session"
)

// Scenario is why an automatic reply is sent (AR-3).
type Scenario string

// The four scenarios.
const (
	First       Scenario = "first"       // the first mail of a thread
	Reopened    Scenario = "reopened"    // it reopens a closed session
	Reactivated Scenario = "reactivated" // it takes a paused session up again
	Idle        Scenario = "idle"        // the session is active, and nothing happened for IdleAfter
)

// IdleAfter is the time without activity after which mail to an active session is answered again. At that
// very instant it is.
const IdleAfter = 15 * 24 * time.Hour

// Decide says whether mail from the end user gets an automatic reply, and why. Before are the facts ahead
// of that mail; they are zero when it starts a session, also one that follows a session closed for too
// long (SE-5). A resolved session that reopens gets none: its end user has just been answered.
func Decide(before session.Facts, now time.Time) (Scenario, bool) {
	switch before.State {
	case session.None:
		return First, true
	case session.Closed:
		return Reopened, true
	case session.Paused:
		return Reactivated, true
	case session.Active:
		if !before.LastActivity.IsZero() && now.Sub(before.LastActivity) >= IdleAfter {
			return Idle, true
		}
	}
	return "", false
}
