package hours

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func calendar(events ...string) string {
	var b strings.Builder
	b.WriteString("\ufeffBEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\nDTSTART:19700101T000000\r\nEND:VTIMEZONE\r\n")
	for _, e := range events {
		b.WriteString("BEGIN:VEVENT\r\n" + strings.ReplaceAll(e, "\n", "\r\n") + "\r\nEND:VEVENT\r\n")
	}
	return b.String() + "END:VCALENDAR\r\n"
}

func TestImportICS(t *testing.T) {
	tests := []struct {
		name  string
		event string
		want  []Holiday
		err   string
	}{
		{"a day", "DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261226\nSUMMARY:Christmas",
			[]Holiday{{"Christmas", Date{2026, 12, 25}, false, ""}}, ""},
		{"without an end", "DTSTART;VALUE=DATE:20261225\nSUMMARY:Christmas", []Holiday{{"Christmas", Date{2026, 12, 25}, false, ""}}, ""},
		{"folded, escaped, with parameters", "DTSTART;VALUE=DATE:20270817\nSUMMARY;ALTREP=\"http://x:1/\";LANGUAGE=id:Hari Kemerdekaan\\, R\n epublik\\nIndonesia",
			[]Holiday{{"Hari Kemerdekaan, Republik Indonesia", Date{2027, 8, 17}, false, ""}}, ""},
		{"two days over the year's end", "DTSTART;VALUE=DATE:20261231\nDTEND;VALUE=DATE:20270102\nSUMMARY:Shut",
			[]Holiday{{"Shut", Date{2026, 12, 31}, false, ""}, {"Shut", Date{2027, 1, 1}, false, ""}}, ""},
		{"duration", "DTSTART;VALUE=DATE:20261231\nDURATION:P2D\nSUMMARY:Shut",
			[]Holiday{{"Shut", Date{2026, 12, 31}, false, ""}, {"Shut", Date{2027, 1, 1}, false, ""}}, ""},
		{"midnight for a whole day", "DTSTART:20261225T000000Z\nSUMMARY:Christmas", []Holiday{{"Christmas", Date{2026, 12, 25}, false, ""}}, ""},
		{"yearly", "DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=YEARLY\nSUMMARY:New Year", []Holiday{{"New Year", Date{2020, 1, 1}, true, ""}}, ""},
		{"yearly, spelt out", "DTSTART;VALUE=DATE:20200501\nRRULE:FREQ=YEARLY;INTERVAL=1;BYMONTH=05;BYMONTHDAY=1;WKST=MO\nSUMMARY:May Day",
			[]Holiday{{"May Day", Date{2020, 5, 1}, true, ""}}, ""},
		{"an alarm's properties are not the event's", "BEGIN:VALARM\nSUMMARY:Wake\nDTSTART:19990101\nEND:VALARM\nDTSTART;VALUE=DATE:20261225\nSUMMARY:Christmas",
			[]Holiday{{"Christmas", Date{2026, 12, 25}, false, ""}}, ""},
		{"cancelled", "STATUS:CANCELLED\nDTSTART;VALUE=DATE:20261225\nSUMMARY:Christmas", nil, ""},
		{"appointment", "DTSTART:20261225T100000Z\nSUMMARY:Lunch", nil, `"Lunch": DTSTART: "20261225T100000Z" is not a whole day`},
		{"movable", "DTSTART;VALUE=DATE:20261126\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH\nSUMMARY:Thanksgiving", nil, `"Thanksgiving": RRULE: BYDAY=4TH is not supported`},
		{"limited", "DTSTART;VALUE=DATE:20261126\nRRULE:FREQ=YEARLY;COUNT=3\nSUMMARY:x", nil, `"x": RRULE: COUNT=3 is not supported`},
		{"every other year", "DTSTART;VALUE=DATE:20261126\nRRULE:FREQ=YEARLY;INTERVAL=2\nSUMMARY:x", nil, `"x": RRULE: INTERVAL=2 is not supported`},
		{"monthly", "DTSTART;VALUE=DATE:20261126\nRRULE:FREQ=MONTHLY\nSUMMARY:x", nil, `"x": RRULE: FREQ=MONTHLY is not supported`},
		{"rule without frequency", "DTSTART;VALUE=DATE:20261126\nRRULE:WKST=MO\nSUMMARY:x", nil, `"x": RRULE: FREQ is missing`},
		{"exception", "DTSTART;VALUE=DATE:20261126\nRRULE:FREQ=YEARLY\nEXDATE:20271126\nSUMMARY:x", nil, `"x": EXDATE is not supported`},
		{"no name", "DTSTART;VALUE=DATE:20261126", nil, `"": SUMMARY: missing`},
		{"a novel", "DTSTART;VALUE=DATE:20261126\nSUMMARY:" + strings.Repeat("x", 201), nil, `"` + strings.Repeat("x", 201) + `": SUMMARY: 201 bytes, at most 200`},
		{"no date", "SUMMARY:x", nil, `"x": DTSTART: "" is not a date`},
		{"no such date", "DTSTART;VALUE=DATE:20260230\nSUMMARY:x", nil, `"x": DTSTART: "20260230" is not a date`},
		{"bad end", "DTSTART;VALUE=DATE:20261126\nDTEND:soon\nSUMMARY:x", nil, `"x": DTEND: "soon" is not a date`},
		{"bad duration", "DTSTART;VALUE=DATE:20261126\nDURATION:PT1H\nSUMMARY:x", nil, `"x": DURATION: "PT1H" is not a number of days or weeks`},
		{"a season is no holiday", "DTSTART;VALUE=DATE:20261126\nDURATION:P5W\nSUMMARY:x", nil, `"x": lasts 35 days, more than 31`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, skipped, err := ImportICS(strings.NewReader(calendar(tt.event)))
			if err != nil {
				t.Fatal(err)
			}
			var why string
			for _, s := range skipped {
				why += fmt.Sprintf("%q: %s", s.Name, s.Reason)
			}
			if why != tt.err {
				t.Errorf("skipped %s, want %q", why, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if tt.err == "" {
				if err := (Hours{Zone: "UTC", Holidays: got}).Validate(); err != nil {
					t.Errorf("the import is not valid: %v", err)
				}
			}
		})
	}
}

func TestImportICSKeepsTheReadable(t *testing.T) {
	const christmas = "DTSTART;VALUE=DATE:20261225\nSUMMARY:Christmas"
	got, skipped, err := ImportICS(strings.NewReader(calendar(christmas, "SUMMARY:lost", christmas, "SUMMARY:lost too")))
	if err != nil || len(got) != 1 || got[0].Date != (Date{2026, time.December, 25}) {
		t.Errorf("got %v, %v", got, err)
	}
	if len(skipped) != 2 || skipped[1].Name != "lost too" {
		t.Errorf("want each of two events: %v", skipped)
	}
}

func TestImportICSRefuses(t *testing.T) {
	var manyDays []string
	for year := 2000; year < 2040; year++ {
		manyDays = append(manyDays, fmt.Sprintf("DTSTART:%d0101\nDURATION:P30D\nSUMMARY:x", year))
	}
	for name, in := range map[string]string{
		"empty":    "",
		"html":     "<html>not found</html>",
		"too long": calendar("SUMMARY:" + strings.Repeat("x", maxICSBytes)),
		"too many": calendar(slices.Repeat([]string{"SUMMARY:x"}, maxICSEvents+1)...),
		"seasons":  calendar(manyDays...),
		"bomb":     "BEGIN:VCALENDAR\r\n" + strings.Repeat("X:1\r\n", maxICSBytes/4),
	} {
		if got, skipped, err := ImportICS(strings.NewReader(in)); err == nil || got != nil || skipped != nil {
			t.Errorf("%s: got %v, %v, %v", name, got, skipped, err)
		}
	}
}

// A line that is folded a million times is joined in one go, not a million
// times: with that this test would take hours.
func TestImportICSOfOneFoldedLine(t *testing.T) {
	in := "BEGIN:VCALENDAR\nX:" + strings.Repeat("\n x", 1<<20) + "\nBEGIN:VEVENT\nDTSTART:20261225\nSUMMARY:Christmas\nEND:VEVENT\n"
	if got, _, err := ImportICS(strings.NewReader(in)); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAdd(t *testing.T) {
	may, labour := Holiday{"May Day", Date{2026, 5, 1}, true, ""}, Holiday{"Labour Day", Date{2027, 5, 1}, false, ""}
	once, yearly := Holiday{"Shut", Date{2026, 7, 1}, false, ""}, Holiday{"Shut", Date{2026, 7, 1}, true, ""}
	h := Hours{Zone: "UTC", Holidays: []Holiday{may, once}}
	got, added, present := h.Add([]Holiday{labour, once, yearly, yearly})
	if diff := cmp.Diff([]Holiday{may, once, yearly}, got.Holidays); diff != "" {
		t.Error(diff)
	}
	if len(added) != 1 || added[0] != yearly || len(present) != 3 || len(h.Holidays) != 2 {
		t.Errorf("added %v, present %v, before %v", added, present, h.Holidays)
	}
	if again, added, _ := got.Add([]Holiday{labour, once, yearly}); len(added) != 0 || len(again.Holidays) != 3 {
		t.Errorf("the second time: %v", added)
	}
}

func FuzzImportICS(f *testing.F) {
	f.Add(calendar("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY\nSUMMARY:Christmas"))
	f.Add("BEGIN:VCALENDAR\nEND:VEVENT\nBEGIN:VEVENT\n\n :\nDURATION:P\n")
	f.Fuzz(func(t *testing.T, in string) {
		got, _, _ := ImportICS(strings.NewReader(in))
		if err := (Hours{Zone: "UTC", Holidays: got}).Validate(); err != nil {
			t.Error(err)
		}
	})
}
