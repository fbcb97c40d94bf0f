package suite_test

import (
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
)

// What people see of each other's work: who has a session before him, and the
// numbers of the reports.
func specTogether(t *testing.T) {
	w := site(t, nil)
	w.row("AG-2", twoOnOneSession)
	w.row("AG-6", reported)
}

// Ana and Sam have the same session before them, and see each other until one is not heard of any more.
func twoOnOneSession(w *world) {
	s, _ := w.begin("ag2viewers@customer.example", support)
	at := "/v1/sessions/" + s.ID
	type viewers struct{ Items []channel.Viewer }
	w.done("agent", "PUT", at+"/viewers/me", map[string]any{"doing": "replying"})
	others := decoded[viewers](w, w.done("supervisor", "PUT", at+"/viewers/me", map[string]any{"doing": "viewing"})).Items
	w.check(len(others) == 1 && others[0].Agent == "ana@example.com" && others[0].Doing == channel.Replying, "Sam sees %+v", others)
	others = decoded[viewers](w, w.done("agent", "GET", at+"/viewers", nil)).Items
	w.check(len(others) == 1 && others[0].Agent == "sam@example.com", "Ana sees %+v", others)
	w.advance(61 * time.Second)
	w.check(len(look[viewers](w, at+"/viewers").Items) == 0, "who was not heard of for a minute is still there")
}

// A session is answered after half an hour and resolved after another; the next sweep has counted it.
func reported(w *world) {
	s, _ := w.begin("ag6@customer.example", "hilfe@example.com")
	by := func() map[string]any {
		w.advance(6 * time.Minute)
		r := look[struct{ Items []map[string]any }](w, "/v1/reports/activity?queue="+s.Queue+"&by=")
		if len(r.Items) != 1 {
			w.t.Fatalf("report: %+v", r)
		}
		return r.Items[0]
	}
	first := by()
	w.advance(24 * time.Minute)
	w.reply(s.ID, "Wir sehen nach.")
	w.advance(30 * time.Minute)
	w.act(s.ID, "resolve", nil)
	last := by()
	grew := func(field string) float64 {
		a, _ := first[field].(float64)
		b, _ := last[field].(float64)
		return b - a
	}
	for field, want := range map[string]float64{"responses": 1, "within_1h": 1, "resolutions": 1, "arrived": 0} {
		w.check(grew(field) == want, "%s grew by %v, not %v: %v", field, grew(field), want, last)
	}
	for _, field := range []string{"response_seconds", "handling_seconds"} {
		w.check(grew(field) >= 1800 && grew(field) < 1900, "%s grew by %v", field, grew(field))
	}
	a, header := w.with("supervisor", "GET", "/v1/reports/states?by=queue", nil, "Accept", "text/csv")
	csv := string(a.body)
	w.check(strings.HasPrefix(csv, "queue,unopened,active,") && strings.Contains(csv, "\r\n"+s.Queue+",") && strings.HasPrefix(header.Get("Content-Type"), "text/csv"), "CSV: %s", csv)
}
