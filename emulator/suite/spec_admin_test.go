package suite_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
)

// Several people at work on the same things: agents on a session, admins on
// the settings, and the numbers that supervisors see of it.
func specTogether(t *testing.T) {
	w := site(t, nil)
	w.row("AG-2", twoOnOneSession)
	w.row("AG-4", settingsInTheOpen)
	w.row("AG-6", reported)
}

// exchange makes a request with headers, as a role.
func (w *world) exchange(role, method, path, body string, header map[string]string) (int, http.Header, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.Addrs.HTTP+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+role+"-token")
	for name, v := range header {
		req.Header.Set(name, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(out)
}

// Ana and Sam have the same session before them, and both begin an answer. Each sees the other, and the second is told of
// the first one's before his goes.
func twoOnOneSession(w *world) {
	s, p := w.begin("ag2@customer.example", support)
	at := "/v1/sessions/" + s.ID
	type viewers struct{ Items []channel.Viewer }
	w.done("agent", "PUT", at+"/viewers/me", map[string]any{"doing": "replying"})
	others := decoded[viewers](w, w.done("supervisor", "PUT", at+"/viewers/me", map[string]any{"doing": "viewing"})).Items
	w.check(len(others) == 1 && others[0].Agent == "ana@example.com" && others[0].Doing == channel.Replying, "Sam sees %+v", others)
	others = decoded[viewers](w, w.done("agent", "GET", at+"/viewers", nil)).Items
	w.check(len(others) == 1 && others[0].Agent == "sam@example.com", "Ana sees %+v", others)
	w.advance(61 * time.Second)
	w.check(len(look[viewers](w, at+"/viewers").Items) == 0, "who was not heard of for a minute is still there")

	_, header, _ := w.exchange("agent", "GET", at, "", nil)
	answer := func(role, key string) (int, string) {
		status, _, body := w.exchange(role, "POST", at+"/reply", `{"text":"Hello from `+role+`"}`, map[string]string{"Content-Type": "application/json", "Idempotency-Key": key, "If-Match": header.Get("ETag")})
		return status, body
	}
	if status, body := answer("agent", "1"); status != http.StatusAccepted {
		w.t.Errorf("Ana's answer: %d %s", status, body)
	}
	status, body := answer("supervisor", "2")
	w.check(status == http.StatusPreconditionFailed && strings.Contains(body, "ana@example.com") && strings.Contains(body, "answered"), "Sam's answer: %d %s", status, body)
	w.idle()
	mails := slices.DeleteFunc(w.messages(s.ID), func(m channel.Message) bool { return m.Direction != channel.Out || m.Auto })
	w.check(len(mails) == 1 && mails[0].Agent == "ana@example.com", "%d answers went out to %s", len(mails), p.from)
}

// Every change of a setting is in the audit log with who and what; the whole configuration is one file that comes back as it
// went.
func settingsInTheOpen(w *world) {
	before := decoded[struct{ Name string }](w, w.done("admin", "GET", "/v1/queues/support", nil)).Name
	w.queue("support", func(m map[string]any) { m["name"] = "Help" })
	log := list[channel.Audit](w, "/v1/audit?kind=queue&thing=support&actor=admin@example.com")
	if len(log) != 1 || len(log[0].Changes) != 1 {
		w.t.Fatalf("audit log: %+v", log)
	}
	e := log[0]
	w.check(e.Actor == "admin@example.com" && e.Act == channel.AuditChanged && e.Changes[0] == channel.FieldChange{Field: "name", Before: `"` + before + `"`, After: `"Help"`}, "audit log: %+v", e)

	yaml := map[string]string{"Content-Type": "application/yaml"}
	_, _, file := w.exchange("admin", "GET", "/v1/settings:export", "", nil)
	status, _, body := w.exchange("admin", "PUT", "/v1/settings:import", file, yaml)
	w.check(status == http.StatusOK && strings.Contains(body, `"changes":[]`), "import of an export: %d %s", status, body)
	changed := strings.Replace(file, "name: Help\n", "name: Support\n", 1)
	status, _, body = w.exchange("admin", "PUT", "/v1/settings:import", strings.Replace(changed, "language: en", "language: xx", 1), yaml)
	w.check(status == http.StatusUnprocessableEntity && strings.Contains(body, "language"), "a bad file: %d %s", status, body)
	_, _, still := w.exchange("admin", "GET", "/v1/settings:export", "", nil)
	w.check(still == file, "a refused file changed something")
	status, _, body = w.exchange("admin", "PUT", "/v1/settings:import", changed, yaml)
	w.check(status == http.StatusOK && changed != file, "import: %d %s", status, body)
	_, _, now := w.exchange("admin", "GET", "/v1/settings:export", "", nil)
	w.check(now == changed, "the file did not come back as it went")
	w.check(len(list[channel.Audit](w, "/v1/audit?kind=queue&thing=support&actor=admin@example.com")) == 2, "the import is not in the audit log once")
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
	_, header, csv := w.exchange("supervisor", "GET", "/v1/reports/states?by=queue", "", map[string]string{"Accept": "text/csv"})
	w.check(strings.HasPrefix(csv, "queue,unopened,active,") && strings.Contains(csv, "\r\n"+s.Queue+",") && strings.HasPrefix(header.Get("Content-Type"), "text/csv"), "CSV: %s", csv)
}
