package hours

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	ok := []Hours{{}, {Zone: "Europe/Paris"}, shop("Asia/Jakarta"),
		{Zone: "UTC", Week: []Interval{{time.Monday, 0, 60}, {time.Monday, 60, Midnight}, {time.Tuesday, 0, 60}}}}
	for i, h := range ok {
		if err := h.Validate(); err != nil {
			t.Errorf("ok[%d]: %v", i, err)
		}
	}
	bad := Hours{
		Zone: "Mars/Base",
		Week: []Interval{
			{time.Monday, 9 * 60, 12 * 60}, {time.Monday, 11 * 60, 13 * 60}, {time.Weekday(7), 0, 60},
			{time.Friday, 22 * 60, 6 * 60}, {time.Friday, -1, 60}, {time.Friday, 0, 1441}, {time.Friday, 60, 60},
		},
		Holidays: []Holiday{{Name: " ", Date: Date{2026, time.May, 1}}, {Name: "no day", Date: Date{2027, time.February, 29}}, {Name: "none"}},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{
		`zone: "Mars/Base" is not`, "week[1]: Monday 11:00–13:00 overlaps week[0]", "week[2]: weekday 7", "week[3]: Friday 22:00–06:00",
		"week[4]: ", "week[5]: ", "week[6]: ", "holidays[0].name", "holidays[1].date: 2027-02-29", "holidays[2].date",
	} {
		found := false
		for _, l := range lines {
			found = found || strings.HasPrefix(l, want)
		}
		if !found {
			t.Errorf("no line %q in:\n%v", want, err)
		}
	}
	if len(lines) != 10 {
		t.Errorf("%d lines, want 10:\n%v", len(lines), err)
	}
}

func TestValidateZone(t *testing.T) {
	for _, z := range []string{"Local", "right/UTC", "posix/UTC", "../UTC", "GMT+25", "Europe/Berlin "} {
		if (Hours{Zone: z}).Validate() == nil {
			t.Errorf("%q is accepted", z)
		}
	}
	if err := (Hours{Week: []Interval{{time.Monday, 0, 60}}}).Validate(); err == nil || err.Error() != "zone: missing" {
		t.Errorf("hours without a zone: %v", err)
	}
}

func TestValidateBounds(t *testing.T) {
	for want, h := range map[string]Hours{
		"week: 337 intervals, at most 336":         {Zone: "UTC", Week: make([]Interval, maxIntervals+1)},
		"holidays: 1001, at most 1000":             {Zone: "UTC", Holidays: make([]Holiday, maxHolidays+1)},
		"holidays[0].name: 201 bytes, at most 200": {Zone: "UTC", Holidays: []Holiday{{strings.Repeat("x", 201), Date{2026, 1, 1}, false, ""}}},
	} {
		if err := h.Validate(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]TimeOfDay{"00:00": 0, "09:30": 570, "23:59": 1439, "24:00": Midnight} {
		if got, err := ParseTimeOfDay(in); err != nil || got != want || got.String() != in {
			t.Errorf("%s: got %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "9:30", "24:01", "25:00", "12:60", "12:00:00", "-1:00"} {
		if got, err := ParseTimeOfDay(in); err == nil {
			t.Errorf("%q gave %v", in, got)
		}
	}
	for _, in := range []string{"", "2026-02-30", "2026-1-1", "21.11.2026"} {
		if got, err := ParseDate(in); err == nil {
			t.Errorf("%q gave %v", in, got)
		}
	}
	if got, err := ParseDate("2028-02-29"); err != nil || got.Weekday() != time.Tuesday || got.IsZero() {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestJSON(t *testing.T) {
	h := Hours{Zone: "UTC", Week: []Interval{{time.Saturday, 570, Midnight}},
		Holidays: []Holiday{{"New Year", Date{2027, time.January, 1}, true, ""}}}
	const want = `{"zone":"UTC","week":[{"day":6,"from":"09:30","to":"24:00"}],"holidays":[{"name":"New Year","date":"2027-01-01","recurring":true}]}`
	got, err := json.Marshal(h)
	if err != nil || string(got) != want {
		t.Fatalf("got %s, %v", got, err)
	}
	var back Hours
	if err := json.Unmarshal(got, &back); err != nil || back.Week[0] != h.Week[0] || back.Holidays[0] != h.Holidays[0] {
		t.Errorf("got %+v, %v", back, err)
	}
	var empty struct{ D Date }
	if err := json.Unmarshal([]byte(`{"D":""}`), &empty); err != nil || !empty.D.IsZero() {
		t.Errorf("empty date: %v, %v", empty, err)
	}
	if got, err := json.Marshal(empty); err != nil || string(got) != `{"D":""}` {
		t.Errorf("zero date: %s, %v", got, err)
	}
	if json.Unmarshal([]byte(`{"D":"soon"}`), &empty) == nil {
		t.Error("a date that is none is accepted")
	}
}
