package reply

import (
	"errors"
	"fmt"
	"time"
)

// Caps stop a loop with a machine that hides what it is (AR-6).
//
// Within a session there is at most one reply to an event, whatever the caps are: the reply's ID is made of
// the event's. PerSession bounds those of many events on top of that, and PerAddress those of many sessions.
//
// An address counts as one in whatever case and with whatever detail behind a plus (email.BaseAddress),
// as a robot may write from a new detail each time. Addresses that differ otherwise count apart: nothing
// tells them from those of different people.
type Caps struct {
	PerAddress int           `json:"per_address"` // automatic replies to one address within Window
	PerSession int           `json:"per_session"` // automatic replies in one session within Window; 0: only PerAddress counts
	Window     time.Duration `json:"window"`      // in JSON in nanoseconds
}

// Bounds of the caps. Every reply counts those before it, and a cap of thousands or of weeks stops nothing.
const (
	MaxCap    = 1000
	MinWindow = time.Minute
	MaxWindow = 7 * 24 * time.Hour
)

// DefaultCaps are ten replies to an address and five in a session within three hours.
func DefaultCaps() Caps { return Caps{PerAddress: 10, PerSession: 5, Window: 3 * time.Hour} }

// Validate refuses what is out of bounds. The error has one line per bad field, each with the field's name.
func (c Caps) Validate() error {
	var bad []error
	if c.PerAddress < 1 || c.PerAddress > MaxCap {
		bad = append(bad, fmt.Errorf("per_address: %d replies, must be 1 to %d", c.PerAddress, MaxCap))
	}
	if c.PerSession < 0 || c.PerSession > MaxCap {
		bad = append(bad, fmt.Errorf("per_session: %d replies, must be 0 (no cap of its own) to %d", c.PerSession, MaxCap))
	}
	if c.Window < MinWindow || c.Window > MaxWindow {
		bad = append(bad, fmt.Errorf("window: %s, must be %s to %s", c.Window, MinWindow, MaxWindow))
	}
	return errors.Join(bad...)
}

// Allow says whether an address that got so many automatic replies within the window may get one more.
func (c Caps) Allow(sentInWindow int) bool { return sentInWindow < c.PerAddress }

// AllowInSession says whether a session with so many automatic replies within the window may get one more.
func (c Caps) AllowInSession(sentInWindow int) bool {
	return c.PerSession == 0 || sentInWindow < c.PerSession
}
