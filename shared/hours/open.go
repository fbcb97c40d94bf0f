package hours

import "time"

// horizonYears bounds the search for an opening: a queue whose every day is a holiday never opens.
const horizonYears = 10

// Open says whether the queue works at now.
func (h Hours) Open(now time.Time) bool {
	w := wall(now, h.location())
	at, ok := h.openFrom(w, w.Add(time.Nanosecond))
	return ok && at.Equal(w)
}

// NextOpen returns the first instant from now on at which the queue is open: now itself when it is. It is
// false when there is none within ten years.
func (h Hours) NextOpen(now time.Time) (time.Time, bool) {
	loc := h.location()
	horizon := now.AddDate(horizonYears, 0, 0)
	for t := now; t.Before(horizon); {
		end := offsetEnd(t, loc, horizon)
		w := wall(t, loc)
		if at, ok := h.openFrom(w, w.Add(end.Sub(t))); ok {
			return t.Add(at.Sub(w)), true
		}
		t = end
	}
	return time.Time{}, false
}

// NextWorkingDate returns the next date after today, in the queue's zone, on which it works. It is false
// when there is none within ten years.
func (h Hours) NextWorkingDate(now time.Time) (Date, bool) {
	today := DateOf(now.In(h.location()))
	for d := today.AddDays(1); d.Year <= today.Year+horizonYears; d = d.AddDays(1) {
		if len(h.on(d)) > 0 {
			return d, true
		}
	}
	return Date{}, false
}

// Day returns the queue's calendar day, such as "2026-11-21", by which daily limits count (AS-5).
func (h Hours) Day(now time.Time) string { return DateOf(now.In(h.location())).String() }

// DayEnd returns the instant at which the queue's next calendar day begins. That is not always 00:00: some
// zones skip midnight when their clocks go forward.
func (h Hours) DayEnd(now time.Time) time.Time {
	loc := h.location()
	today := DateOf(now.In(loc))
	horizon := now.AddDate(0, 0, 3)
	t := now
	for t.Before(horizon) && DateOf(t.In(loc)) == today {
		end := offsetEnd(t, loc, horizon)
		midnight := t.Add(today.AddDays(1).midnight().Sub(wall(t, loc)))
		if midnight.Before(end) {
			end = midnight
		}
		t = end
	}
	return t.In(now.Location())
}

// openFrom returns the first open wall-clock time in [from, to), all in one stretch of constant offset.
func (h Hours) openFrom(from, to time.Time) (time.Time, bool) {
	for d := DateOf(from); d.midnight().Before(to); d = d.AddDays(1) {
		var first time.Time
		for _, in := range h.on(d) {
			begin, end := d.at(in.From), d.at(in.To)
			if begin.Before(from) {
				begin = from
			}
			if begin.Before(end) && (first.IsZero() || begin.Before(first)) {
				first = begin
			}
		}
		if !first.IsZero() && first.Before(to) {
			return first, true
		}
	}
	return time.Time{}, false
}

// at returns the wall-clock time t on date d, in wall's notation.
func (d Date) at(t TimeOfDay) time.Time { return d.midnight().Add(time.Duration(t) * time.Minute) }

// wall returns what the clock on the wall shows at t, written as a time in UTC: between two changes of the
// offset such times can be compared and subtracted like instants.
func wall(t time.Time, loc *time.Location) time.Time {
	_, offset := t.In(loc).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// offsetEnd returns when the offset in force at t ends, at most limit.
func offsetEnd(t time.Time, loc *time.Location, limit time.Time) time.Time {
	_, end := t.In(loc).ZoneBounds()
	if end.IsZero() || end.After(limit) {
		return limit
	}
	return end
}
