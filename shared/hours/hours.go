package hours

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a function's image may have no zone database
)

// Hours are the hours of operation of one queue. The JSON names are those that Validate's errors use.
type Hours struct {
	Zone     string     `json:"zone"` // IANA name, such as "Asia/Jakarta"
	Week     []Interval `json:"week"`
	Holidays []Holiday  `json:"holidays"`
}

// Interval is one stretch of a weekday, From included, To not.
type Interval struct {
	Day  time.Weekday `json:"day"` // 0 is Sunday
	From TimeOfDay    `json:"from"`
	To   TimeOfDay    `json:"to"`
}

// String returns "Monday 09:00–17:00".
func (i Interval) String() string { return fmt.Sprintf("%s %s–%s", i.Day, i.From, i.To) }

// Holiday closes a date, or with Recurring the same month and day of every year.
type Holiday struct {
	Name      string `json:"name"`
	Date      Date   `json:"date"`
	Recurring bool   `json:"recurring"`
	Folder    string `json:"folder,omitempty"` // the group that it came with; see Replace
}

// Bounds of what a queue may have: they are checked and searched one by one.
const (
	maxIntervals   = 7 * 48
	maxHolidays    = 1000
	maxHolidayName = 200 // bytes
)

// Add returns the hours with those holidays that they do not have yet, which
// are the ones added; present are the others. What stands there stays.
func (h Hours) Add(holidays []Holiday) (out Hours, added, present []Holiday) {
	out = h
	out.Holidays = slices.Clone(h.Holidays)
	for _, d := range holidays {
		if slices.ContainsFunc(out.Holidays, d.within) {
			present = append(present, d)
			continue
		}
		added = append(added, d)
		out.Holidays = append(out.Holidays, d)
	}
	return out, added, present
}

// within says whether other closes whatever h closes.
func (h Holiday) within(other Holiday) bool {
	if other.Recurring {
		return h.Date.Month == other.Date.Month && h.Date.Day == other.Date.Day
	}
	return !h.Recurring && h.Date == other.Date
}

func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("missing")
	case len(name) > maxHolidayName:
		return fmt.Errorf("%d bytes, at most %d", len(name), maxHolidayName)
	}
	return nil
}

// Validate refuses an unknown zone, a missing one where there are hours or holidays, intervals that are out
// of range or overlap, holidays without a name or a date, and more than a queue can have. The error has one line per bad field, each
// beginning with the field's name and index.
func (h Hours) Validate() error {
	var bad []error
	if _, err := zone(h.Zone); err != nil {
		bad = append(bad, err)
	} else if h.Zone == "" && len(h.Week)+len(h.Holidays) > 0 {
		bad = append(bad, errors.New("zone: missing"))
	}
	if n := len(h.Week); n > maxIntervals {
		return errors.Join(append(bad, fmt.Errorf("week: %d intervals, at most %d", n, maxIntervals))...)
	}
	if n := len(h.Holidays); n > maxHolidays {
		return errors.Join(append(bad, fmt.Errorf("holidays: %d, at most %d", n, maxHolidays))...)
	}
	for i, in := range h.Week {
		if err := in.validate(); err != nil {
			bad = append(bad, fmt.Errorf("week[%d]: %w", i, err))
			continue
		}
		for j, other := range h.Week[:i] {
			if in.Day == other.Day && in.From < other.To && other.From < in.To {
				bad = append(bad, fmt.Errorf("week[%d]: %s overlaps week[%d]: %s", i, in, j, other))
			}
		}
	}
	for i, holiday := range h.Holidays {
		if err := checkName(holiday.Name); err != nil {
			bad = append(bad, fmt.Errorf("holidays[%d].name: %w", i, err))
		}
		if holiday.Folder != "" {
			if err := ValidateFolder(holiday.Folder); err != nil {
				bad = append(bad, fmt.Errorf("holidays[%d].folder: %w", i, err))
			}
		}
		if !holiday.Date.Valid() {
			bad = append(bad, fmt.Errorf("holidays[%d].date: %s is not on the calendar", i, holiday.Date))
		}
	}
	return errors.Join(bad...)
}

func (i Interval) validate() error {
	switch {
	case i.Day < time.Sunday || i.Day > time.Saturday:
		return fmt.Errorf("weekday %d, must be 0 (Sunday) to 6", int(i.Day))
	case i.From < 0 || i.To > Midnight:
		return fmt.Errorf("%s is not within 00:00–24:00", i)
	case i.From >= i.To:
		return fmt.Errorf("%s does not end after it begins; a night shift is two intervals", i)
	}
	return nil
}

// zone loads a zone by its IANA name. "Local" is whatever the machine thinks; posix/ and right/ are
// directories of the zone database's installation, and right/ counts leap seconds.
func zone(name string) (*time.Location, error) {
	if name == "Local" || strings.HasPrefix(name, "posix/") || strings.HasPrefix(name, "right/") {
		return time.UTC, fmt.Errorf("zone: %q is not an IANA time zone", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC, fmt.Errorf("zone: %q is not an IANA time zone", name)
	}
	return loc, nil
}

// holiday says whether the date is one.
func (h Hours) holiday(d Date) bool {
	for _, x := range h.Holidays {
		if x.Date == d || x.Recurring && x.Date.Month == d.Month && x.Date.Day == d.Day {
			return true
		}
	}
	return false
}

// on returns the intervals of a date, in no order.
func (h Hours) on(d Date) []Interval {
	if h.holiday(d) {
		return nil
	}
	if len(h.Week) == 0 {
		return []Interval{{Day: d.Weekday(), From: 0, To: Midnight}}
	}
	var out []Interval
	for _, in := range h.Week {
		if in.Day == d.Weekday() {
			out = append(out, in)
		}
	}
	return out
}
