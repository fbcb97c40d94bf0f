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
	if _, err := d.admin.ImportHolidays(ctx, "support", strings.NewReader(calendar)); !slices.Equal(fields(err), []string{"hours.zone"}) {
		t.Errorf("without a zone nobody knows when a day begins: %v", err)
	}
	eve := hours.Holiday{Name: "Eve", Date: hours.Date{Year: 2026, Month: 12, Day: 24}}
	q := doc[channel.Queue](d, "queues/support")
	q.Hours = hours.Hours{Zone: "Europe/Berlin", Holidays: []hours.Holiday{eve}}
	if _, err := d.admin.PutQueue(ctx, q); err != nil {
		t.Fatal(err)
	}
	version, looked := d.version(), d.bus.count(event.TopicQueue)
	got, err := d.admin.ImportHolidays(ctx, "support", strings.NewReader(calendar))
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
	got, err = d.admin.ImportHolidays(ctx, "support", strings.NewReader(calendar))
	if err != nil || len(got.Added) != 0 || len(got.Present) != 3 || d.version() != version+1 {
		t.Errorf("again: %+v, %v, version %d", got, err, d.version())
	}
	if again := doc[channel.Queue](d, "queues/support"); !again.UpdatedAt.Equal(q.UpdatedAt) || len(again.Hours.Holidays) != 3 {
		t.Errorf("again: %+v", again)
	}
	if _, err := d.admin.ImportHolidays(ctx, "support", strings.NewReader("<html>")); !slices.Equal(fields(err), []string{"calendar"}) {
		t.Errorf("no calendar: %v", err)
	}
	if _, err := d.admin.ImportHolidays(ctx, "nowhere", strings.NewReader(calendar)); !errors.Is(err, channel.ErrNotFound) {
		t.Errorf("no queue: %v", err)
	}
}
