package hours

import (
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// shop works on weekdays with a lunch break, and on Saturday to the end of the day.
func shop(zone string) Hours {
	h := Hours{Zone: zone, Holidays: []Holiday{
		{Name: "Christmas", Date: Date{2020, time.December, 25}, Recurring: true},
		{Name: "Stocktaking", Date: Date{2026, time.November, 23}},
	}}
	for day := time.Monday; day <= time.Friday; day++ {
		h.Week = append(h.Week, Interval{day, 13 * 60, 17 * 60}, Interval{day, 9 * 60, 12 * 60})
	}
	h.Week = append(h.Week, Interval{time.Saturday, 22 * 60, Midnight})
	return h
}

func TestOpenAndNextOpen(t *testing.T) {
	tests := []struct {
		name string
		h    Hours
		now  string
		next string // equal to now when open
	}{
		{"a second before", shop("Asia/Jakarta"), "2026-11-20T08:59:59+07:00", "2026-11-20T09:00:00+07:00"},
		{"at the beginning", shop("Asia/Jakarta"), "2026-11-20T09:00:00+07:00", "2026-11-20T09:00:00+07:00"},
		{"the last second", shop("Asia/Jakarta"), "2026-11-20T11:59:59+07:00", "2026-11-20T11:59:59+07:00"},
		{"at the end", shop("Asia/Jakarta"), "2026-11-20T12:00:00+07:00", "2026-11-20T13:00:00+07:00"},
		{"asked from another zone", shop("Asia/Jakarta"), "2026-11-20T02:00:00Z", "2026-11-20T02:00:00Z"},
		{"to 24:00", shop("UTC"), "2026-11-21T23:59:59Z", "2026-11-21T23:59:59Z"},
		{"over Sunday and a holiday", shop("UTC"), "2026-11-22T00:00:00Z", "2026-11-24T09:00:00Z"},
		{"closed on a holiday", shop("UTC"), "2026-11-23T10:00:00Z", "2026-11-24T09:00:00Z"},
		{"a recurring holiday", shop("UTC"), "2029-12-25T10:00:00Z", "2029-12-26T09:00:00Z"},
		{"empty week", Hours{Zone: "UTC"}, "2026-11-22T03:00:00Z", "2026-11-22T03:00:00Z"},
		{"no settings at all", Hours{}, "2026-11-22T03:00:00Z", "2026-11-22T03:00:00Z"},
		{"empty week on a holiday", Hours{Zone: "UTC", Holidays: shop("").Holidays}, "2026-11-23T03:00:00Z", "2026-11-24T00:00:00Z"},
		{"skipped hour", Hours{Zone: "Europe/Berlin", Week: []Interval{{time.Sunday, 2 * 60, 5 * 60}}},
			"2027-03-28T00:30:00Z", "2027-03-28T01:00:00Z"},
		{"wholly skipped", Hours{Zone: "Europe/Berlin", Week: []Interval{{time.Sunday, 2 * 60, 3 * 60}}},
			"2027-03-28T00:30:00Z", "2027-04-04T00:00:00Z"},
		{"repeated hour, first time", Hours{Zone: "Europe/Berlin", Week: []Interval{{time.Sunday, 2 * 60, 150}}},
			"2026-10-25T00:15:00Z", "2026-10-25T00:15:00Z"},
		{"repeated hour, between", Hours{Zone: "Europe/Berlin", Week: []Interval{{time.Sunday, 2 * 60, 150}}},
			"2026-10-25T00:45:00Z", "2026-10-25T01:00:00Z"},
		{"repeated hour, over", Hours{Zone: "Europe/Berlin", Week: []Interval{{time.Sunday, 2 * 60, 150}}},
			"2026-10-25T01:30:00Z", "2026-11-01T01:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := at(t, tt.now)
			if got, want := tt.h.Open(now), tt.now == tt.next; got != want {
				t.Errorf("Open is %v", got)
			}
			if got, ok := tt.h.NextOpen(now); !ok || !got.Equal(at(t, tt.next)) {
				t.Errorf("NextOpen: got %v, %v; want %s", got, ok, tt.next)
			}
		})
	}
}

// TestNightShift: two intervals, one on each day, are one stretch over midnight, and a holiday closes its own day alone.
func TestNightShift(t *testing.T) {
	h := Hours{Zone: "Europe/Berlin", Week: []Interval{{time.Friday, 22 * 60, Midnight}, {time.Saturday, 0, 6 * 60}},
		Holidays: []Holiday{{Name: "All Saints", Date: Date{2025, time.November, 1}, Recurring: true}}}
	for _, tt := range []struct {
		now  string
		open bool
	}{
		{"2026-11-20T21:59:59+01:00", false}, {"2026-11-20T22:00:00+01:00", true}, {"2026-11-20T23:59:59.999999999+01:00", true},
		{"2026-11-21T00:00:00+01:00", true}, {"2026-11-21T05:59:59+01:00", true}, {"2026-11-21T06:00:00+01:00", false},
		{"2025-10-31T23:59:59+01:00", true}, {"2025-11-01T00:00:00+01:00", false}, // a Saturday that is a holiday
	} {
		if got := h.Open(at(t, tt.now)); got != tt.open {
			t.Errorf("%s: open is %v", tt.now, got)
		}
	}
	err := Hours{Zone: "UTC", Week: []Interval{{time.Friday, 22 * 60, 6 * 60}}}.Validate()
	if err == nil || !strings.Contains(err.Error(), "a night shift is two intervals") {
		t.Errorf("in one: %v", err)
	}
}

// TestLeapDay: a recurring 29 February is a holiday in leap years alone, and no other day stands in.
func TestLeapDay(t *testing.T) {
	h := Hours{Zone: "UTC", Holidays: []Holiday{{Name: "Leap day", Date: Date{2024, time.February, 29}, Recurring: true}}}
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	for day, open := range map[string]bool{"2027-02-28": true, "2027-03-01": true, "2028-02-28": true, "2028-02-29": false, "2028-03-01": true, "2100-02-28": true, "2100-03-01": true} {
		if got := h.Open(at(t, day+"T12:00:00Z")); got != open {
			t.Errorf("%s: open is %v", day, got)
		}
	}
	if got, ok := h.NextWorkingDate(at(t, "2028-02-28T12:00:00Z")); !ok || got.String() != "2028-03-01" {
		t.Errorf("after 28 February 2028 comes %v", got)
	}
	if err := (Hours{Zone: "UTC", Holidays: []Holiday{{Name: "x", Date: Date{2027, time.February, 29}, Recurring: true}}}).Validate(); err == nil {
		t.Error("29 February of a common year is accepted")
	}
}

func TestNeverOpen(t *testing.T) {
	h := Hours{Zone: "Asia/Tokyo", Week: []Interval{{time.Monday, 0, Midnight}}}
	for d := (Date{2028, time.January, 1}); d.Year == 2028; d = d.AddDays(1) {
		h.Holidays = append(h.Holidays, Holiday{Name: "strike", Date: d, Recurring: true})
	}
	now := at(t, "2026-11-21T09:00:00Z")
	if got, ok := h.NextOpen(now); ok {
		t.Errorf("opens at %v", got)
	}
	if got, ok := h.NextWorkingDate(now); ok {
		t.Errorf("works on %v", got)
	}
}

func TestNextWorkingDate(t *testing.T) {
	tests := []struct {
		name string
		h    Hours
		now  string
		want string
	}{
		{"tomorrow", shop("UTC"), "2026-11-18T10:00:00Z", "2026-11-19"},
		{"not today, even before it opens", shop("UTC"), "2026-11-18T01:00:00Z", "2026-11-19"},
		{"over Sunday and a holiday", shop("UTC"), "2026-11-21T10:00:00Z", "2026-11-24"},
		{"today is the queue's, not the asker's", shop("Asia/Jakarta"), "2026-11-18T18:00:00Z", "2026-11-20"},
		{"over the year's end", shop("UTC"), "2026-12-31T10:00:00Z", "2027-01-01"},
		{"empty week", Hours{}, "2026-11-21T10:00:00Z", "2026-11-22"},
	}
	for _, tt := range tests {
		if got, ok := tt.h.NextWorkingDate(at(t, tt.now)); !ok || got.String() != tt.want {
			t.Errorf("%s: got %v, %v; want %s", tt.name, got, ok, tt.want)
		}
	}
}

func TestDayAndDayEnd(t *testing.T) {
	tests := []struct{ name, zone, now, day, end string }{
		{"plain", "UTC", "2026-11-21T10:00:00Z", "2026-11-21", "2026-11-22T00:00:00Z"},
		{"at midnight the new day", "UTC", "2026-11-21T00:00:00Z", "2026-11-21", "2026-11-22T00:00:00Z"},
		{"east", "Asia/Jakarta", "2026-11-21T17:00:00Z", "2026-11-22", "2026-11-22T17:00:00Z"},
		{"west", "America/Los_Angeles", "2026-11-21T07:59:59Z", "2026-11-20", "2026-11-21T08:00:00Z"},
		{"25 hours", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25", "2026-10-25T23:00:00Z"},
		{"23 hours", "Europe/Berlin", "2027-03-27T23:00:00Z", "2027-03-28", "2027-03-28T22:00:00Z"},
		{"midnight is skipped", "Asia/Beirut", "2027-03-27T12:00:00Z", "2027-03-27", "2027-03-27T22:00:00Z"},
		{"the hour before midnight is repeated", "Asia/Beirut", "2026-10-24T20:30:00Z", "2026-10-24", "2026-10-24T22:00:00Z"},
		{"a whole day was skipped", "Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-29", "2011-12-30T10:00:00Z"},
	}
	for _, tt := range tests {
		h, now := Hours{Zone: tt.zone}, at(t, tt.now)
		if got := h.Day(now); got != tt.day {
			t.Errorf("%s: day %s, want %s", tt.name, got, tt.day)
		}
		if got := h.DayEnd(now); !got.Equal(at(t, tt.end)) {
			t.Errorf("%s: the day ends at %s, want %s", tt.name, got.UTC(), tt.end)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	h, now := shop("Europe/Berlin"), time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	for b.Loop() {
		h.Open(now)
	}
}
