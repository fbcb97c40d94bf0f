package hours

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of an import: a calendar of holidays is small, and so is a holiday.
const (
	maxICSBytes    = 4 << 20
	maxICSEvents   = 2000
	maxHolidayDays = 31
)

// Skipped is an event that an import leaves out, with why.
type Skipped struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// ImportICS reads the whole-day events of an iCalendar file (RFC 5545): SUMMARY is the name, DTSTART the
// date, DTEND or DURATION make several dates of it, and RRULE:FREQ=YEARLY makes it recur. Cancelled events
// and everything that is no event are left out.
//
// Events that this package cannot stand for (appointments with a time, movable or limited rules, exceptions)
// are returned as skipped, beside the holidays that it could read. The error is that of the reader, or about
// a file that is no calendar, has more than 4 MiB, 2000 events or 1000 holidays; none are returned then.
func ImportICS(r io.Reader) ([]Holiday, []Skipped, error) {
	lines, err := unfold(r)
	if err != nil {
		return nil, nil, fmt.Errorf("hours: import calendar: %w", err)
	}
	all := events(lines)
	if len(all) > maxICSEvents {
		return nil, nil, fmt.Errorf("hours: import calendar: %d events, at most %d", len(all), maxICSEvents)
	}
	var out []Holiday
	var skipped []Skipped
	seen := map[Holiday]bool{}
	for _, e := range all {
		days, err := e.holidays()
		if err != nil {
			skipped = append(skipped, Skipped{e.name(), err.Error()})
		}
		for _, d := range days {
			if !seen[d] {
				out = append(out, d)
			}
			seen[d] = true
		}
		if len(out) > maxHolidays {
			return nil, nil, fmt.Errorf("hours: import calendar: more than %d holidays", maxHolidays)
		}
	}
	return out, skipped, nil
}

// unfold returns the content lines, joined where they were folded (RFC 5545, 3.1).
func unfold(r io.Reader) ([]string, error) {
	limited := &io.LimitedReader{R: r, N: maxICSBytes + 1}
	scanner := bufio.NewScanner(limited)
	scanner.Buffer(nil, maxICSBytes+2)
	var lines []string
	var line strings.Builder // grows, because a line may be folded a million times
	for first := true; scanner.Scan(); first = false {
		text := strings.TrimSuffix(scanner.Text(), "\r")
		switch {
		case first:
			text = strings.TrimPrefix(text, "\ufeff")
		case strings.HasPrefix(text, " "), strings.HasPrefix(text, "\t"):
			text = text[1:]
		default:
			lines = append(lines, line.String())
			line.Reset()
		}
		line.WriteString(text)
	}
	lines = append(lines, line.String())
	switch {
	case scanner.Err() != nil:
		return nil, scanner.Err()
	case limited.N == 0:
		return nil, fmt.Errorf("more than %d bytes", maxICSBytes)
	case !slices.ContainsFunc(lines, func(l string) bool { return strings.EqualFold(strings.TrimSpace(l), "BEGIN:VCALENDAR") }):
		return nil, errors.New("no iCalendar file")
	}
	return lines, nil
}

// icsEvent is a VEVENT: its properties by name, without those of the alarms inside it.
type icsEvent map[string]property

type property struct{ params, value string }

// events returns the VEVENTs.
func events(lines []string) []icsEvent {
	var out []icsEvent
	var open []string // the components that we are in
	for _, line := range lines {
		name, p, ok := splitLine(line)
		switch {
		case !ok:
		case name == "BEGIN":
			open = append(open, strings.ToUpper(p.value))
			if open[len(open)-1] == "VEVENT" {
				out = append(out, icsEvent{})
			}
		case name == "END":
			open = open[:max(0, len(open)-1)]
		case len(open) > 0 && open[len(open)-1] == "VEVENT":
			if _, twice := out[len(out)-1][name]; !twice {
				out[len(out)-1][name] = p
			}
		}
	}
	return out
}

// splitLine splits "NAME;PARAM=a;OTHER="b:c":value"; a colon in quotes belongs to the parameter.
func splitLine(line string) (name string, p property, ok bool) {
	quoted := false
	for i, c := range line {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ':' && !quoted:
			name, params, _ := strings.Cut(line[:i], ";")
			return strings.ToUpper(strings.TrimSpace(name)), property{strings.ToUpper(params), strings.TrimSpace(line[i+1:])}, true
		}
	}
	return "", property{}, false
}

func (e icsEvent) name() string {
	unescaped := strings.NewReplacer(`\n`, " ", `\N`, " ", `\,`, ",", `\;`, ";", `\\`, `\`).Replace(e["SUMMARY"].value)
	return strings.Join(strings.Fields(unescaped), " ")
}

// holidays returns one holiday per day of the event.
func (e icsEvent) holidays() ([]Holiday, error) {
	if strings.EqualFold(e["STATUS"].value, "CANCELLED") {
		return nil, nil
	}
	for _, p := range []string{"RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"} {
		if _, has := e[p]; has {
			return nil, fmt.Errorf("%s is not supported", p)
		}
	}
	if err := checkName(e.name()); err != nil {
		return nil, fmt.Errorf("SUMMARY: %w", err)
	}
	first, err := icsDate(e["DTSTART"])
	if err != nil {
		return nil, fmt.Errorf("DTSTART: %w", err)
	}
	days, err := e.days(first)
	if err != nil {
		return nil, err
	}
	yearly, err := recurs(e["RRULE"].value, first)
	if err != nil {
		return nil, err
	}
	var out []Holiday
	for i := range days {
		d := first.AddDays(i)
		if !d.Valid() {
			return nil, fmt.Errorf("%s is not on the calendar", d)
		}
		out = append(out, Holiday{Name: e.name(), Date: d, Recurring: yearly})
	}
	return out, nil
}

// days returns how many dates the event covers. DTEND is the day after the last one.
func (e icsEvent) days(first Date) (int, error) {
	n := 1
	if end, has := e["DTEND"]; has {
		d, err := icsDate(end)
		if err != nil {
			return 0, fmt.Errorf("DTEND: %w", err)
		}
		n = max(1, int(d.midnight().Sub(first.midnight())/(24*time.Hour)))
	} else if length, has := e["DURATION"]; has {
		var err error
		if n, err = icsDays(length.value); err != nil {
			return 0, err
		}
	}
	if n > maxHolidayDays {
		return 0, fmt.Errorf("lasts %d days, more than %d", n, maxHolidayDays)
	}
	return n, nil
}

// icsDate reads 20261225, and a time of midnight, which some programs write for whole days.
func icsDate(p property) (Date, error) {
	value, clock, timed := strings.Cut(p.value, "T")
	t, err := time.Parse("20060102", value)
	if err != nil {
		return Date{}, fmt.Errorf("%q is not a date", p.value)
	}
	if timed && strings.TrimSuffix(clock, "Z") != "000000" {
		return Date{}, fmt.Errorf("%q is not a whole day", p.value)
	}
	return DateOf(t), nil
}

// icsDays reads P3D and P1W.
func icsDays(s string) (int, error) {
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "+"), "P")
	unit := map[byte]int{'D': 1, 'W': 7}
	if len(digits) >= 2 && len(digits) <= 5 {
		n, err := strconv.Atoi(digits[:len(digits)-1])
		if days := n * unit[digits[len(digits)-1]]; err == nil && days > 0 {
			return days, nil
		}
	}
	return 0, fmt.Errorf("DURATION: %q is not a number of days or weeks", s)
}

// recurs says whether a rule means "every year on the first day's month and day", without an end.
func recurs(rule string, first Date) (bool, error) {
	if rule == "" {
		return false, nil
	}
	same := map[string]string{
		"FREQ": "YEARLY", "INTERVAL": "1", "WKST": "",
		"BYMONTH": strconv.Itoa(int(first.Month)), "BYMONTHDAY": strconv.Itoa(first.Day),
	}
	yearly := false
	for part := range strings.SplitSeq(strings.ToUpper(strings.Trim(rule, "; ")), ";") {
		key, value, _ := strings.Cut(part, "=")
		want, known := same[key]
		if !known || want != "" && strings.TrimLeft(value, "0") != want {
			return false, fmt.Errorf("RRULE: %s is not supported", part)
		}
		yearly = yearly || key == "FREQ"
	}
	if !yearly {
		return false, errors.New("RRULE: FREQ is missing")
	}
	return true, nil
}
