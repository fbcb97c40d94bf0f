package hours

import (
	"fmt"
	"time"
)

// Date is a civil date: a square on the calendar, without time and zone. The zero Date is no date.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the date that t's own zone shows.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// ParseDate reads "2026-11-21" and refuses dates that no calendar has.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1 {
		return Date{}, fmt.Errorf("hours: %q is not a date like 2026-11-21", s)
	}
	return DateOf(t), nil
}

// String returns "2026-11-21".
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// MarshalText makes a date "2026-11-21" in JSON, and "" when it is zero.
func (d Date) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d = Date{}
	if len(text) > 0 {
		*d, err = ParseDate(string(text))
	}
	return err
}

// IsZero says whether d is no date.
func (d Date) IsZero() bool { return d == Date{} }

// Valid says whether the calendar has this date in the years 1 to 9999.
func (d Date) Valid() bool { return d.Year >= 1 && d.Year <= 9999 && DateOf(d.midnight()) == d }

// AddDays returns the date n days later.
func (d Date) AddDays(n int) Date { return DateOf(d.midnight().AddDate(0, 0, n)) }

// Weekday returns the date's day of the week.
func (d Date) Weekday() time.Weekday { return d.midnight().Weekday() }

func (d Date) midnight() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// TimeOfDay is a wall-clock time in minutes since midnight, 0 to 1440.
type TimeOfDay int

// Midnight ends a day: 24:00.
const Midnight TimeOfDay = 24 * 60

// ParseTimeOfDay reads "09:30", and "24:00" as the end of the day.
func ParseTimeOfDay(s string) (TimeOfDay, error) {
	if s == "24:00" {
		return Midnight, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return 0, fmt.Errorf("hours: %q is not a time like 09:30", s)
	}
	return TimeOfDay(t.Hour()*60 + t.Minute()), nil
}

// String returns "09:30".
func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", int(t)/60, int(t)%60) }

// MarshalText makes a time "09:30" in JSON.
func (t TimeOfDay) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (t *TimeOfDay) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTimeOfDay(string(text))
	return err
}
