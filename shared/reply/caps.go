package reply

import "time"

// Caps stop a loop with a machine that hides what it is (AR-6). That a session's event is answered once
// is not theirs: the reply's ID is made of the event's.
//
// An address counts as one in whatever case and with whatever detail behind a plus (email.BaseAddress),
// as a robot may write from a new detail each time. Addresses that differ otherwise count apart: nothing
// tells them from those of different people.
type Caps struct {
	PerAddress int           `json:"per_address"` // automatic replies to one address within Window
	PerSession int           `json:"per_session"` // automatic replies in one session within Window; 0: only PerAddress counts
	Window     time.Duration `json:"window"`      // in JSON in nanoseconds
}

// DefaultCaps are ten replies to an address and five in a session within three hours.
func DefaultCaps() Caps { return Caps{PerAddress: 10, PerSession: 5, Window: 3 * time.Hour} }

// Allow says whether an address that got so many automatic replies within the window may get one more.
func (c Caps) Allow(sentInWindow int) bool { return sentInWindow < c.PerAddress }

// AllowInSession says whether a session with so many automatic replies within the window may get one more.
func (c Caps) AllowInSession(sentInWindow int) bool {
	return c.PerSession == 0 || sentInWindow < c.PerSession
}
