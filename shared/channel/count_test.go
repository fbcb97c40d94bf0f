package channel_test

import (
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// What a session adds to the reports follows it when it is answered, passed on, resolved and reopened (AG-6).
func TestCountFollowsASession(t *testing.T) {
	d := newDesks(t)
	count := channel.Count{Docs: d.docs, Config: channel.NewConfiguration(d.docs), Now: d.clock}
	line := func(q channel.ReportQuery) channel.ReportLine {
		t.Helper()
		if err := count.Handle(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := d.read.Report(t.Context(), q)
		if err != nil || len(r.Lines) > 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		if len(r.Lines) == 0 {
			return channel.ReportLine{}
		}
		return r.Lines[0]
	}
	day := channel.ReportQuery{From: "2026-03-02", To: "2026-03-02"}
	anas := channel.ReportQuery{From: "2026-03-01", To: "2026-03-03", Agent: ana.ID}
	id := d.inbound("support")
	if l := line(day); l.Arrived != 1 || l.Responses != 0 || line(channel.ReportQuery{}).Unopened != 1 {
		t.Errorf("arrived: %+v", l)
	}
	d.pass(30 * time.Minute)
	if _, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "1", Text: "Which lamp?"}); err != nil {
		t.Fatal(err)
	}
	if l := line(anas); l.Responses != 1 || l.Within1h != 1 || l.ResponseSeconds < 1800 || l.ResponseSeconds > 1860 {
		t.Errorf("answered: %+v", l)
	}
	d.pass(20 * time.Minute)
	d.ok(d.desk.SetState(t.Context(), ana, id, session.Paused))
	d.pass(5 * time.Hour) // in which nobody works on it
	d.ok(d.desk.SetState(t.Context(), ana, id, session.Active))
	d.pass(10 * time.Minute)
	d.ok(d.desk.SetState(t.Context(), ana, id, session.Resolved))
	if l := line(anas); l.Resolutions != 1 || l.HandlingSeconds < 1800 || l.HandlingSeconds > 1860 {
		t.Errorf("resolved: %+v", l)
	}
	d.ok(d.desk.SetState(t.Context(), ana, id, session.Active))
	if l := line(anas); l.Resolutions != 0 || l.HandlingSeconds != 0 || l.Responses != 1 {
		t.Errorf("active again: %+v", l)
	}
	d.ok(d.desk.Transfer(t.Context(), sam, id, "billing", ""))
	if l := line(channel.ReportQuery{Queue: "support"}); l.Active != 0 {
		t.Errorf("passed on: %+v", l)
	}
	if l := line(channel.ReportQuery{Queue: "billing", From: "2026-03-02", To: "2026-03-02"}); l.Arrived != 1 || l.Responses != 1 {
		t.Errorf("passed on: %+v", l)
	}
}

// A day begins with the queue's own midnight.
func TestCountByTheQueuesDay(t *testing.T) {
	d := newDesks(t)
	q := doc[channel.Queue](d, "queues/support")
	q.Hours.Zone = "Asia/Jakarta"
	if _, err := d.admin.PutQueue(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	d.pass(8*time.Hour + 10*time.Minute) // 17:10 UTC, past midnight in Jakarta
	d.inbound("support")
	count := channel.Count{Docs: d.docs, Config: channel.NewConfiguration(d.docs), Now: d.clock}
	if err := count.Handle(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := d.read.Report(t.Context(), channel.ReportQuery{From: "2026-03-01", To: "2026-03-31", By: []string{"day"}})
	if err != nil || len(r.Lines) != 1 || r.Lines[0].Day != "2026-03-03" {
		t.Errorf("%+v, %v", r, err)
	}
}

// A change counts although its time is earlier than that of the one before: a
// mail's is that of its arrival, and its transaction may be the later one.
func TestCountALateCommit(t *testing.T) {
	d := newDesks(t)
	id := d.inbound("support")
	d.pass(time.Minute)
	began := d.clock()
	d.pass(2 * time.Second)
	d.ok(d.desk.Open(d.Context(), sam, id))
	d.ok(d.desk.SetState(d.Context(), sam, id, session.Resolved))
	resolved := func() (n int) {
		t.Helper()
		count := channel.Count{Docs: d.docs, Config: d.fresh(), Now: d.clock}
		if err := count.Handle(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := d.docs.Find(t.Context(), channel.Query{Collection: "reports"}, func(_ string, decode func(any) error) error {
			var l channel.ReportLine
			err := decode(&l)
			if l.Day == "" {
				n += l.Resolved
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := resolved(); n != 1 {
		t.Fatalf("%d resolved", n)
	}
	d.set("sessions/"+id, map[string]any{"state": session.Reopened, "updated_at": began})
	d.pass(time.Minute)
	if n := resolved(); n != 0 {
		t.Errorf("reopened, and %d resolved", n)
	}
}
