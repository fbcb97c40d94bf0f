package channel_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/hours"
)

const calendar = "BEGIN:VCALENDAR\r\n" +
	"BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20200101\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:New Year\r\nEND:VEVENT\r\n" +
	"BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261224\r\nDURATION:P2D\r\nSUMMARY:Christmas\r\nEND:VEVENT\r\n" +
	"BEGIN:VEVENT\r\nDTSTART:20261224T100000Z\r\nSUMMARY:Lunch\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

func TestHolidaysOfACalendarAreAdded(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	if _, err := d.admin.ImportHolidays(ctx, "support", "", strings.NewReader(calendar)); !slices.Equal(fields(err), []string{"hours.zone"}) {
		t.Errorf("without a zone nobody knows when a day begins: %v", err)
	}
	eve := hours.Holiday{Name: "Eve", Date: hours.Date{Year: 2026, Month: 12, Day: 24}}
	q := doc[channel.Queue](d, "queues/support")
	q.Hours = hours.Hours{Zone: "Europe/Berlin", Holidays: []hours.Holiday{eve}}
	if _, err := d.admin.PutQueue(ctx, q); err != nil {
		t.Fatal(err)
	}
	version, looked := d.version(), d.bus.count(event.TopicQueue)
	got, err := d.admin.ImportHolidays(ctx, "support", "", strings.NewReader(calendar))
	if err != nil || len(got.Added) != 2 || len(got.Present) != 1 || len(got.Skipped) != 1 || got.Skipped[0].Name != "Lunch" {
		t.Fatalf("%+v, %v", got, err)
	}
	q = doc[channel.Queue](d, "queues/support")
	if h := q.Hours.Holidays; len(h) != 3 || h[0] != eve || h[1].Name != "New Year" || !h[1].Recurring || q.Hours.Zone != "Europe/Berlin" {
		t.Errorf("%+v", q.Hours)
	}
	if d.version() != version+1 || d.bus.count(event.TopicQueue) != looked+1 {
		t.Errorf("version %d, looked %d", d.version(), d.bus.count(event.TopicQueue))
	}
	got, err = d.admin.ImportHolidays(ctx, "support", "", strings.NewReader(calendar))
	if err != nil || len(got.Added) != 0 || len(got.Present) != 3 || d.version() != version+1 {
		t.Errorf("again: %+v, %v, version %d", got, err, d.version())
	}
	if again := doc[channel.Queue](d, "queues/support"); !again.UpdatedAt.Equal(q.UpdatedAt) || len(again.Hours.Holidays) != 3 {
		t.Errorf("again: %+v", again)
	}
	if _, err := d.admin.ImportHolidays(ctx, "support", "", strings.NewReader("<html>")); !slices.Equal(fields(err), []string{"calendar"}) {
		t.Errorf("no calendar: %v", err)
	}
	if _, err := d.admin.ImportHolidays(ctx, "nowhere", "", strings.NewReader(calendar)); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("no queue: %v", err)
	}
}

// QU-6: a folder is imported, replaced, shown and deleted as one, and what is
// outside of it stays.
func TestHolidaysOfAFolder(t *testing.T) {
	d := newDesks(t)
	ctx := t.Context()
	own := hours.Holiday{Name: "Eve", Date: hours.Date{Year: 2026, Month: 12, Day: 24}}
	q := doc[channel.Queue](d, "queues/support")
	q.Hours = hours.Hours{Zone: "Europe/Berlin", Holidays: []hours.Holiday{own}}
	if _, err := d.admin.PutQueue(ctx, q); err != nil {
		t.Fatal(err)
	}
	const folder = "Germany/2026"
	names := func(list []hours.Holiday) string {
		var out []string
		for _, h := range list {
			out = append(out, h.Date.String()+" "+h.Name)
		}
		return strings.Join(out, ", ")
	}
	imported := func(calendar, added, present, removed string) {
		t.Helper()
		got, err := d.admin.ImportHolidays(ctx, "support", folder, strings.NewReader(calendar))
		if err != nil {
			t.Fatal(err)
		}
		if names(got.Added) != added || names(got.Present) != present || names(got.Removed) != removed {
			t.Errorf("added %s; present %s; removed %s", names(got.Added), names(got.Present), names(got.Removed))
		}
	}
	imported(calendar, "2020-01-01 New Year, 2026-12-24 Christmas, 2026-12-25 Christmas", "", "") // the eve is one by itself as well
	version := d.version()
	imported(calendar, "", "2020-01-01 New Year, 2026-12-24 Christmas, 2026-12-25 Christmas", "")
	if d.version() != version {
		t.Error("the same file changed something")
	}
	next := strings.Replace(calendar, "DURATION:P2D", "DURATION:P1D", 1)
	imported(next, "", "2020-01-01 New Year, 2026-12-24 Christmas", "2026-12-25 Christmas")
	list, err := d.admin.Holidays(ctx, "support", folder)
	if err != nil || names(list) != "2020-01-01 New Year, 2026-12-24 Christmas" {
		t.Errorf("shown: %s, %v", names(list), err)
	}
	if list, err := d.admin.Holidays(ctx, "support", ""); err != nil || len(list) != 3 || list[0] != own {
		t.Errorf("all: %s, %v", names(list), err)
	}

	const lunch = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261224T100000Z\nSUMMARY:Lunch\nEND:VEVENT\nEND:VCALENDAR\n"
	for name, c := range map[string]struct{ folder, calendar, want string }{
		"nothing to put in":  {folder, lunch, "calendar"},
		"no name":            {" a", calendar, "folder"},
		"too long a name":    {strings.Repeat("x", 101), calendar, "folder"},
		"more than a line":   {"a\nb", calendar, "folder"},
		"no calendar at all": {folder, "<html>", "calendar"},
	} {
		if _, err := d.admin.ImportHolidays(ctx, "support", c.folder, strings.NewReader(c.calendar)); !slices.Equal(fields(err), []string{c.want}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.admin.DeleteHolidays(ctx, "support", ""); !slices.Equal(fields(err), []string{"folder"}) {
		t.Errorf("deleted without a name: %v", err)
	}
	for _, err := range []error{d.admin.DeleteHolidays(ctx, "support", "France"), d.admin.DeleteHolidays(ctx, "nowhere", folder)} {
		if !errors.Is(err, channel.ErrNotFound) {
			t.Errorf("%v", err)
		}
	}
	if err := d.admin.DeleteHolidays(ctx, "support", folder); err != nil {
		t.Fatal(err)
	}
	if h := doc[channel.Queue](d, "queues/support").Hours.Holidays; len(h) != 1 || h[0] != own {
		t.Errorf("left %s", names(h))
	}
	if _, err := d.admin.Holidays(ctx, "support", folder); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("shown when deleted: %v", err)
	}
}
