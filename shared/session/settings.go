package session

import (
	"errors"
	"fmt"
	"time"
)

// MinDays and MaxDays bound every threshold, both included (SE-4).
const (
	MinDays = 1
	MaxDays = 1000
)

// Threshold is one timer: whether it runs at all, and after how many days of 24 hours.
type Threshold struct {
	On   bool `json:"on"`
	Days int  `json:"days"`
}

// Settings are the four timers of SE-4. The JSON names are those that Validate's error uses.
type Settings struct {
	PausedClose   Threshold `json:"paused_close"`   // paused → closed, from the entry into paused
	ResolvedClose Threshold `json:"resolved_close"` // resolved → closed, from the entry into resolved
	ActivePause   Threshold `json:"active_pause"`   // active → paused, from the last activity
	ClosedReopen  Threshold `json:"closed_reopen"`  // closed → reopened on activity, from the last activity
}

// Default returns what holds before anybody changes it: all on, 60, 30, 30 and 30 days.
func Default() Settings {
	return Settings{
		PausedClose:   Threshold{On: true, Days: 60},
		ResolvedClose: Threshold{On: true, Days: 30},
		ActivePause:   Threshold{On: true, Days: 30},
		ClosedReopen:  Threshold{On: true, Days: 30},
	}
}

// Validate refuses days outside MinDays and MaxDays, also of a timer that is off: it may be switched on
// later. The error has one line per bad field, each with the field's name.
func (s Settings) Validate() error {
	return errors.Join(
		s.PausedClose.validate("paused_close"),
		s.ResolvedClose.validate("resolved_close"),
		s.ActivePause.validate("active_pause"),
		s.ClosedReopen.validate("closed_reopen"),
	)
}

func (t Threshold) validate(field string) error {
	if t.Days < MinDays || t.Days > MaxDays {
		return fmt.Errorf("%s: %d days, must be %d to %d", field, t.Days, MinDays, MaxDays)
	}
	return nil
}

// after returns the end of the threshold's days, which began at since. It has none when it is off or
// since is not known: better a session that stays than one that is closed for want of a date.
func (t Threshold) after(since time.Time) (time.Time, bool) {
	if !t.On || since.IsZero() {
		return time.Time{}, false
	}
	return since.Add(t.length()), true
}

func (t Threshold) length() time.Duration { return time.Duration(t.Days) * 24 * time.Hour }
