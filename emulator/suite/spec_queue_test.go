package suite_test

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/session"
)

// extra is a copy of an account of the demo under another name.
func extra(s *channel.Seed, ids ...string) {
	for _, id := range ids {
		a := s.Accounts[0]
		a.ID, a.Address, a.User, a.Secret = id, id+"@example.com", id+"@example.com", "account-"+id
		s.Accounts = append(s.Accounts, a)
		s.Secrets[a.Secret] = "demo"
	}
}

// Queues, their addresses, their people and their hours.
func specQueues(t *testing.T) {
	w := site(t, func(s *channel.Seed) {
		extra(s, "spare")
		s.Queues[1].Assign.OnlyInHours = true // billing, in New York
		s.Queues[2].Assign.OnlyInHours = true // hilfe, in Berlin
	})
	w.row("QU-1", func(w *world) {
		w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/odd", map[string]any{"name": "Odd", "language": "xx", "on": true, "hours": map[string]any{"zone": "UTC"}}, "language")

		// One queue OFF: its mail waits and its mailbox is hidden; the others go on.
		w.queue("support", func(m map[string]any) { m["on"] = false })
		off, _ := w.begin("off@customer.example", "support@example.com")
		on, _ := w.begin("on@customer.example", "hilfe@example.com")
		w.check(off.Waiting && off.Agent == "", "OFF, but routed: %+v", off)
		w.check(len(w.autos("off@customer.example")) == 0, "OFF, but answered")
		w.check(len(w.autos("on@customer.example")) == 1, "the other queue does not answer")
		w.check(!w.shown("agent", off.ID), "OFF, but its mailbox shows its mail to its agent")
		w.check(w.shown("supervisor", off.ID), "the supervisor does not find it")
		w.queue("support", func(m map[string]any) { m["on"] = true })
		w.advance(2 * time.Minute)
		w.check(w.session(off.ID).Agent != "", "ON again, but not assigned")
		w.check(w.shown("agent", off.ID), "ON again, but hidden from its agent")
		w.check(w.session(on.ID).Queue == "hilfe", "in queue %s", w.session(on.ID).Queue)

		// The tile OFF: so for all queues.
		w.settings(func(m map[string]any) { m["queues"] = false })
		all, _ := w.begin("tile@customer.example", "support@example.com")
		w.check(all.Waiting && all.Agent == "", "OFF, but routed: %+v", all)
		w.check(len(w.autos("tile@customer.example")) == 0, "OFF, but answered")
		w.check(!w.shown("agent", all.ID), "OFF, but shown to an agent")
		w.settings(func(m map[string]any) { m["queues"] = true })
		w.advance(2 * time.Minute)
		w.check(w.session(all.ID).Agent != "", "ON again, but not assigned")
	})
	w.row("QU-2", func(w *world) {
		w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/mute", map[string]any{"name": "Mute", "language": "en", "on": true, "accounts": []string{"no-answer"}, "hours": map[string]any{"zone": "UTC"}}, "outbound only")
		w.done("admin", "PUT", "/v1/queues/mute", map[string]any{"name": "Mute", "language": "en", "on": true, "accounts": []string{}, "agents": []string{"cho@example.com"}, "hours": map[string]any{"zone": "UTC"}})
		w.inForce()
		w.refused(http.StatusConflict, "supervisor", "POST", "/v1/sessions", map[string]any{"queue": "mute", "to": []any{map[string]any{"addr": "u@customer.example"}}, "subject": "Hi", "text": "Hi"}, "no email assigned")
		p := w.write(post{from: "spare@customer.example", to: "spare@example.com"})
		w.advance(2 * time.Minute)
		w.untouched("spare@example.com", 1)
		w.check(len(w.sessions("spare@customer.example")) == 0, "mail of an address without a queue came in")

		// With an address it receives and sends by it.
		w.queue("mute", func(m map[string]any) { m["accounts"] = []string{"spare"} })
		w.advance(2 * time.Minute)
		s := w.one("spare@customer.example")
		w.check(s.Queue == "mute" && s.Account == "spare", "in queue %s, account %s", s.Queue, s.Account)
		out := w.reply(s.ID, "Hello.")
		got := w.answers("spare@customer.example")
		w.check(len(got) == 1 && out.Message.From.Addr == "spare@example.com" && out.Message.InReplyTo == p.id, "answered %d times, by %s to %s", len(got), out.Message.From.Addr, out.Message.InReplyTo)
	})
	w.row("QU-3", func(w *world) {
		serving := func(q string) []string {
			var out []string
			for _, a := range list[channel.Agent](w, "/v1/agents") {
				if slices.Contains(a.Queues, q) {
					out = append(out, a.ID)
				}
			}
			return out
		}
		expect := func(q string, want ...string) {
			w.t.Helper()
			if got := serving(q); !slices.Equal(got, want) {
				w.t.Errorf("queue %s has %v, not %v", q, got, want)
			}
			type counted struct {
				ID      string
				Serving int
			}
			shown := append(list[counted](w, "/v1/queues"), look[counted](w, "/v1/queues/"+q))
			for _, c := range shown {
				w.check(c.ID != q || c.Serving == len(want), "queue %s shows %d agents, not %d", q, c.Serving, len(want))
			}
		}
		w.done("admin", "PUT", "/v1/queues/staff", map[string]any{"name": "Staff", "language": "en", "on": true, "hours": map[string]any{"zone": "UTC"}})
		expect("staff") // No agents assigned
		w.done("admin", "PUT", "/v1/queues/staff", map[string]any{"name": "Staff", "language": "en", "on": true, "agents": []string{"cho@example.com"}, "teams": []string{"hilfe"}, "hours": map[string]any{"zone": "UTC"}})
		expect("staff", "cho@example.com", "dora@example.com", "emil@example.com")
		w.done("admin", "PUT", "/v1/agents/emil@example.com", map[string]any{"name": "Emil Vogel", "role": "agent", "teams": []string{}})
		expect("staff", "cho@example.com", "dora@example.com")
		w.done("admin", "PUT", "/v1/agents/emil@example.com", map[string]any{"name": "Emil Vogel", "role": "agent", "teams": []string{"hilfe"}})
		w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/staff", map[string]any{"name": "Staff", "language": "en", "on": true, "agents": []string{"sam@example.com"}, "hours": map[string]any{"zone": "UTC"}}, "sam@example.com")
		w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/staff", map[string]any{"name": "Staff", "language": "en", "on": true, "percent": 50, "hours": map[string]any{"zone": "UTC"}}, "percent")
	})
	w.row("QU-4", func(w *world) {
		// Ana serves support, not hilfe.
		theirs, _ := w.begin("theirs@customer.example", "hilfe@example.com")
		hers, _ := w.begin("hers@customer.example", "support@example.com")
		w.check(w.shown("agent", hers.ID) && !w.shown("agent", theirs.ID), "Ana sees hers: %t, theirs: %t", w.shown("agent", hers.ID), w.shown("agent", theirs.ID))
		for _, path := range []string{"", "/messages", "/history"} {
			w.refused(http.StatusForbidden, "agent", "GET", "/v1/sessions/"+theirs.ID+path, nil)
		}
		w.refused(http.StatusForbidden, "agent", "GET", "/v1/sessions?queue=hilfe", nil)
		w.refused(http.StatusForbidden, "agent", "POST", "/v1/sessions/"+theirs.ID+"/reply", map[string]any{"text": "Hi"})
		w.refused(http.StatusForbidden, "agent", "POST", "/v1/sessions/"+theirs.ID+"/assign", map[string]any{"agent": "me"})
		w.refused(http.StatusForbidden, "agent", "POST", "/v1/sessions", map[string]any{"queue": "hilfe", "to": []any{map[string]any{"addr": "u@customer.example"}}, "subject": "Hi", "text": "Hi"})
		w.check(len(w.answers("theirs@customer.example")) == 0, "a reply went out")
		w.act(hers.ID, "agent:open", nil)
		w.done("agent", "POST", "/v1/sessions/"+hers.ID+"/reply", map[string]any{"text": "Hi"})
		w.done("agent", "POST", "/v1/sessions", map[string]any{"queue": "support", "to": []any{map[string]any{"addr": "new@customer.example"}}, "subject": "News", "text": "Hi"})
		w.idle()
		for _, addr := range []string{"hers@customer.example", "new@customer.example"} {
			got := w.answers(addr)
			w.check(len(got) == 1 && got[0].head.Get("From") == "Ana Silva <support@example.com>", "%s got %d mails", addr, len(got))
		}
	})
	w.row("QU-6", hoursOfOperation)
}

// shown tells whether a session is in the list that a role sees.
func (w *world) shown(role, id string) bool {
	w.t.Helper()
	return slices.ContainsFunc(listAs[channel.Session](w, role, "/v1/sessions"), func(s channel.Session) bool { return s.ID == id })
}

// hoursOfOperation: assignment in the hours only shows when a queue is open.
// hilfe is open Monday to Friday, nine to five in Berlin.
func hoursOfOperation(w *world) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		w.t.Fatal(err)
	}
	w.freeze(true)
	defer w.freeze(false)
	ask := func(name string, at time.Time, open bool) channel.Session {
		w.t.Helper()
		w.until(at)
		s, _ := w.begin(name+"@customer.example", "hilfe@example.com")
		w.check((s.Agent != "") == open, "%s at %s: assigned to %q", name, at.In(berlin), s.Agent)
		return s
	}
	// The clocks change between one week and the next, so the first Monday is
	// six or seven hours and the second seven or six from nine UTC.
	_, change := w.now().In(berlin).ZoneBounds()
	before := nine(change.AddDate(0, 0, -7), berlin)
	after := nine(change.AddDate(0, 0, 1), berlin)
	w.check(before.UTC().Hour() != after.UTC().Hour(), "the clocks do not change between %s and %s", before, after)
	early := ask("early", before.Add(-time.Minute), false)
	w.until(before.Add(-time.Second))
	w.check(w.session(early.ID).Waiting, "assigned a second before nine")
	w.until(before)
	w.check(w.session(early.ID).Agent != "", "not assigned at nine, %s", before)
	ask("last", before.Add(8*time.Hour-time.Second), true)
	late := ask("late", before.Add(8*time.Hour), false) // the end is not within
	w.until(before.Add(24*time.Hour - time.Second))
	w.check(w.session(late.ID).Waiting, "assigned at night")
	w.until(before.Add(24 * time.Hour))
	w.check(w.session(late.ID).Agent != "", "not assigned on Tuesday at nine")
	ask("saturday", before.Add(5*24*time.Hour), false)
	w.until(after.Add(-time.Second))
	saturday := w.one("saturday@customer.example")
	w.check(saturday.Waiting, "assigned before Monday, nine, with the clocks changed")
	w.until(after)
	w.check(w.session(saturday.ID).Agent != "", "not assigned on Monday at nine with the clocks changed, %s", after)

	// A holiday by name and date.
	tuesday := after.AddDate(0, 0, 1)
	w.freeze(false)
	w.queue("hilfe", func(m map[string]any) {
		in(m, "hours")["holidays"] = []any{map[string]any{"name": "Feast", "date": tuesday.Format(time.DateOnly)}}
	})
	w.freeze(true)
	feast := ask("feast", tuesday.Add(time.Hour), false)
	w.until(tuesday.AddDate(0, 0, 1).Add(-time.Second))
	w.check(w.session(feast.ID).Waiting, "assigned on a holiday")
	w.until(tuesday.AddDate(0, 0, 1))
	w.check(w.session(feast.ID).Agent != "", "not assigned the day after the holiday")
	w.state(feast.ID, session.Unopened)

	// An iCalendar file adds its days, once.
	const calendar = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20200501\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Labour Day\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	for range 2 {
		w.importHolidays("", calendar)
	}
	holidays := look[channel.Queue](w, "/v1/queues/hilfe").Hours.Holidays
	w.check(len(holidays) == 2 && holidays[1].Name == "Labour Day" && holidays[1].Recurring, "%+v", holidays)

	// Into a folder: one holiday a day, what moves is named, the next file takes
	// the place of the one before, and the folder goes as one.
	next := nine(w.now().AddDate(0, 0, 7), berlin) // a Monday
	event := func(lines ...string) string {
		return "BEGIN:VEVENT\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VEVENT\r\n"
	}
	const compact = "20060102"
	bridge := event("DTSTART;VALUE=DATE:"+next.Format(compact), "DTEND;VALUE=DATE:"+next.AddDate(0, 0, 2).Format(compact), "SUMMARY:Bridge")
	moves := event("DTSTART;VALUE=DATE:20261126", "RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", "SUMMARY:Thanksgiving")
	got := w.importHolidays("Germany/2027", "BEGIN:VCALENDAR\r\n"+bridge+moves+"END:VCALENDAR\r\n")
	w.check(len(got.Added) == 2 && len(got.Skipped) == 1 && got.Skipped[0].Name == "Thanksgiving" && strings.Contains(got.Skipped[0].Reason, "BYDAY=4TH"), "%+v", got)
	w.inForce()
	w.freeze(true)
	ask("bridge", next.Add(time.Hour), false)
	w.freeze(false)
	got = w.importHolidays("Germany/2027", calendar)
	w.check(len(got.Added) == 1 && len(got.Removed) == 2, "%+v", got)
	w.inForce()
	w.advance(2 * time.Minute)
	w.check(w.one("bridge@customer.example").Agent != "", "not assigned with the holiday taken back")
	w.check(len(list[hours.Holiday](w, "/v1/queues/hilfe/holidays?folder=Germany/2027")) == 1, "the folder has more or less than one")
	w.done("admin", "DELETE", "/v1/queues/hilfe/holidays?folder=Germany/2027", nil)
	w.refused(http.StatusNotFound, "admin", "DELETE", "/v1/queues/hilfe/holidays?folder=Germany/2027", nil, "Germany/2027")
	w.check(slices.Equal(list[hours.Holiday](w, "/v1/queues/hilfe/holidays"), holidays), "what is outside of the folder changed")

	for field, bad := range map[string]any{
		"zone":     map[string]any{"zone": "Mars/Olympus"},
		"week":     map[string]any{"zone": "UTC", "week": []any{map[string]any{"day": 1, "from": "17:00", "to": "09:00"}}},
		"holidays": map[string]any{"zone": "UTC", "holidays": []any{map[string]any{"name": "", "date": "2026-05-01"}}},
	} {
		w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/bad", map[string]any{"name": "Bad", "language": "en", "on": true, "hours": bad}, "hours."+field)
	}
}

// importHolidays gives hilfe the holidays of a calendar.
func (w *world) importHolidays(folder, calendar string) channel.HolidayImport {
	w.t.Helper()
	path := "/v1/queues/hilfe/holidays:import"
	if folder != "" {
		path += "?folder=" + url.QueryEscape(folder)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", "http://"+w.Addrs.HTTP+path, strings.NewReader(calendar))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer admin-token")
	req.Header.Set("Content-Type", "text/calendar")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("import: %s %s %v", resp.Status, body, err)
	}
	return decoded[channel.HolidayImport](w, answer{resp.StatusCode, body})
}

// nine is nine o'clock of the Monday on or after a date.
func nine(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	for t.Weekday() != time.Monday {
		t = t.AddDate(0, 0, 1)
	}
	return time.Date(t.Year(), t.Month(), t.Day(), 9, 0, 0, 0, zone)
}
