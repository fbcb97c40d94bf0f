package sim

import (
	"fmt"
	"time"

	"emailchannel.dev/emailchannel/shared/hours"
)

// calendar answers what package hours does and remembers the answer for the
// minute: intervals, and today's changes of the clocks, begin with one.
type calendar struct {
	hours.Hours
	minute int64
	open   bool
	day    string
}

// calendars has one calendar for all who have the same hours.
type calendars map[string]*calendar

func (c calendars) of(h hours.Hours) *calendar {
	key := fmt.Sprint(h)
	if c[key] == nil {
		c[key] = &calendar{Hours: h, minute: -1 << 62}
	}
	return c[key]
}

// at tells whether it is open and which day it is.
func (c *calendar) at(t time.Time) (open bool, day string) {
	if m := t.Unix() / 60; m != c.minute {
		c.minute, c.open, c.day = m, c.Hours.Open(t), c.Hours.Day(t)
	}
	return c.open, c.day
}
