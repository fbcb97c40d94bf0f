package hours

import "time"

// horizonYears bounds the search for an opening: a queue whose every day is a holiday never opens.
const horizonYears = 10

// Open says whether the queue works at now.
func (h Hours) Open(now time.Time) bool { return h.local().open(now) }

// NextOpen returns the first instant from now on at which the queue is open: now itself when it is. It is
// false when there is none within ten years.
func (h Hours) NextOpen(now time.Time) (time.Time, bool) { return h.local().nextOpen(now) }

// NextWorkingDate returns the next date after today, in the queue's zone, on which it works. It is false
// when there is none within ten years.
func (h Hours) NextWorkingDate(now time.Time) (Date, bool) {
	today := h.local().date(now)
	for d := today.AddDays(1); d.Year <= today.Year+horizonYears; d = d.AddDays(1) {
		if len(h.on(d)) > 0 {
			return d, true
		}
	}
	return Date{}, false
}

// Day returns the queue's calendar day, such as "2026-11-21", by which daily limits count (AS-5).
func (h Hours) Day(now time.Time) string { return h.local().date(now).String() }

// DayEnd returns the instant at which the queue's next calendar day begins. That is not always 00:00: some
// zones skip midnight when their clocks go forward.
func (h Hours) DayEnd(now time.Time) time.Time { return h.local().dayEnd(now) }

// local is Hours with their zone loaded, which takes far longer than any answer.
type local struct {
	Hours
	loc *time.Location
}

// local takes UTC for an unknown zone: Validate has refused it before.
func (h Hours) local() local {
	loc, _ := zone(h.Zone)
	return local{h, loc}
}

func (l local) date(t time.Time) Date { return DateOf(t.In(l.loc)) }

func (l local) open(now time.Time) bool {
	w := l.wall(now)
	at, ok := l.openFrom(w, w.Add(time.Nanosecond))
	return ok && at.Equal(w)
}

func (l local) nextOpen(now time.Time) (time.Time, bool) {
	horizon := now.AddDate(horizonYears, 0, 0)
	for t := now; t.Before(horizon); {
		end := l.offsetEnd(t, horizon)
		w := l.wall(t)
		if at, ok := l.openFrom(w, w.Add(end.Sub(t))); ok {
			return t.Add(at.Sub(w)), true
		}
		t = end
	}
	return time.Time{}, false
}

func (l local) dayEnd(now time.Time) time.Time {
	today := l.date(now)
	horizon := now.AddDate(0, 0, 3)
	t := now
	for t.Before(horizon) && l.date(t) == today {
		end := l.offsetEnd(t, horizon)
		midnight := t.Add(today.AddDays(1).midnight().Sub(l.wall(t)))
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
func (l local) wall(t time.Time) time.Time {
	_, offset := t.In(l.loc).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// offsetEnd returns when the offset in force at t ends, at most limit.
func (l local) offsetEnd(t, limit time.Time) time.Time {
	_, end := t.In(l.loc).ZoneBounds()
	if end.IsZero() || end.After(limit) {
		return limit
	}
	return end
}
