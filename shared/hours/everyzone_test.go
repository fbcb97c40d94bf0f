package hours

import (
	"bytes"
	"os/exec"
	"testing"
	"time"
)

// TestEveryZone asks about the second before, the second of and the second after each change of each zone in
// the next five years, also of the zones that change alike, and holds the answers against a reading of the clock.
func TestEveryZone(t *testing.T) {
	from := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	to := from.AddDate(5, 0, 0)
	names := zoneNames(t)
	zones, changes := 0, 0
	for _, name := range names {
		loc, err := zone(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := (Hours{Zone: name, Week: []Interval{{time.Monday, 0, 60}}}).Validate(); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
		n := 0
		for _, end := from.In(loc).ZoneBounds(); !end.IsZero() && end.Before(to); _, end = end.ZoneBounds() {
			n++
			around(t, name, end)
		}
		if changes += n; n > 0 {
			zones++
		}
	}
	t.Logf("%d zones, of which %d change, %d times", len(names), zones, changes)
	if len(names) < 400 || zones < 100 || changes < 1000 {
		t.Errorf("%d zones, of which %d change, %d times: too few to be all", len(names), zones, changes)
	}
}

// around checks what a queue says that is open at odd hours, and closed on Saturdays and the two days after the change.
func around(t *testing.T, name string, end time.Time) {
	t.Helper()
	h := Hours{Zone: name}
	for d := time.Sunday; d <= time.Friday; d++ {
		h.Week = append(h.Week, Interval{d, 0, 30}, Interval{d, 75, 150}, Interval{d, 165, 210}, Interval{d, 23 * 60, Midnight})
	}
	today := DateOf(end)
	h.Holidays = []Holiday{{Name: "after", Date: today.AddDays(1)}, {Name: "each year", Date: Date{2000, today.AddDays(2).Month, today.AddDays(2).Day}, Recurring: true}}
	for _, offset := range []time.Duration{-time.Second, 0, time.Second} {
		now := end.Add(offset)
		if got, want := h.Day(now), now.Format(time.DateOnly); got != want {
			t.Errorf("%s, %s: day %s", name, now, got)
		}
		if got, want := h.Open(now), read(h.Week, now) && !closed(h, now); got != want {
			t.Errorf("%s, %s: open is %v", name, now, got)
		}
		next, ok := h.NextWorkingDate(now)
		noon := time.Date(now.Year(), now.Month(), now.Day(), 12, 0, 0, 0, now.Location()) // which no zone skips
		for noon = noon.AddDate(0, 0, 1); noon.Weekday() == time.Saturday || closed(h, noon); noon = noon.AddDate(0, 0, 1) {
		}
		if want := noon.Format(time.DateOnly); !ok || next.String() != want {
			t.Errorf("%s, %s: works next on %s, not %s", name, now, next, want)
		}
		if !h.Open(now) {
			continue
		}
		if got, ok := h.NextOpen(now); !ok || !got.Equal(now) {
			t.Errorf("%s, %s: opens at %s", name, now, got)
		}
	}
}

// closed tells whether the day that the clock shows is a holiday, compared as text.
func closed(h Hours, now time.Time) bool {
	for _, d := range h.Holidays {
		if d.Date.String() == now.Format(time.DateOnly) || d.Recurring && d.Date.String()[4:] == now.Format("-01-02") {
			return true
		}
	}
	return false
}

// TestZonesAreEmbedded: the zone database is part of the program, as a function's image may have none.
func TestZonesAreEmbedded(t *testing.T) {
	deps, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skipf("there is no go command: %v", err)
	}
	if !bytes.Contains(deps, []byte("\ntime/tzdata\n")) {
		t.Error("time/tzdata is not linked")
	}
}
