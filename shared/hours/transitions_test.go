package hours

import (
	"archive/zip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// zoneNames returns every zone of the database that Go brings along.
func zoneNames(t *testing.T) []string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("the list of zones is in Go's own tree, and there is no go command: %v", err)
	}
	z, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Skipf("no list of zones: %v", err)
	}
	defer z.Close()
	var names []string
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, "/") {
			names = append(names, f.Name)
		}
	}
	return names
}

// transition is a change of the offset. Zones that change alike on the same wall clock are tested once.
type transition struct {
	wall          string
	before, after int
}

func transitions(t *testing.T) map[transition]time.Time {
	from := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	to := from.AddDate(5, 0, 0)
	found := map[transition]time.Time{}
	for _, name := range zoneNames(t) {
		loc, err := zone(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, end := from.In(loc).ZoneBounds(); !end.IsZero() && end.Before(to); _, end = end.ZoneBounds() {
			_, before := end.Add(-time.Second).Zone()
			_, after := end.Zone()
			key := transition{wall: end.Add(-time.Second).Format("2006-01-02 15:04"), before: before, after: after}
			if _, seen := found[key]; before != after && !seen {
				found[key] = end
			}
		}
	}
	return found
}

// TestTransitions compares every answer around every change of every zone in the next five years with a
// plain reading of the clock, a quarter of an hour at a time.
func TestTransitions(t *testing.T) {
	found := transitions(t)
	if len(found) < 100 {
		t.Fatalf("only %d transitions", len(found))
	}
	t.Logf("%d distinct transitions", len(found))
	var night, day []Interval
	for d := time.Sunday; d <= time.Saturday; d++ {
		night = append(night, Interval{d, 0, 30}, Interval{d, 75, 150}, Interval{d, 165, 210}, Interval{d, 23 * 60, Midnight})
		day = append(day, Interval{d, 9 * 60, 17 * 60})
	}
	for key, instant := range found {
		zone := instant.Location().String()
		for _, week := range [][]Interval{night, day} {
			compare(t, key, Hours{Zone: zone, Week: week}, instant)
		}
	}
}

func compare(t *testing.T, key transition, h Hours, instant time.Time) {
	const step = 15 * time.Minute
	l := h.local()
	var nextOpen, dayEnd time.Time
	for now := instant.Add(13 * time.Hour); now.After(instant.Add(-13 * time.Hour)); now = now.Add(-step) {
		open := read(h.Week, now)
		if open {
			nextOpen = now
		}
		if now.Format(time.DateOnly) != now.Add(step).Format(time.DateOnly) {
			dayEnd = now.Add(step)
		}
		if got := l.open(now); got != open {
			t.Fatalf("%v, %s: Open is %v", key, now, got)
		}
		if got, ok := l.nextOpen(now); !nextOpen.IsZero() && (!ok || !got.Equal(nextOpen)) {
			t.Fatalf("%v, %s: opens at %s, %v; want %s", key, now, got, ok, nextOpen)
		}
		if got := l.dayEnd(now); !dayEnd.IsZero() && !got.Equal(dayEnd) {
			t.Fatalf("%v, %s: the day ends at %s, want %s", key, now, got, dayEnd)
		}
	}
}

// read is Open without arithmetic: what the clock shows, compared as text.
func read(week []Interval, now time.Time) bool {
	shown := now.Format("15:04")
	for _, in := range week {
		if in.Day == now.Weekday() && in.From.String() <= shown && shown < in.To.String() {
			return true
		}
	}
	return false
}
