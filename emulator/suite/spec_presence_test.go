package suite_test

import (
	"net/http"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
)

// presence: who is there gets mail, by heartbeat and status. Ana is the only
// agent of her queue.
func presence(w *world) {
	const me = "/v1/agents/me"
	agent := func() channel.Agent { w.t.Helper(); return look[channel.Agent](w, "/v1/agents/ana@example.com") }
	configure := func(p map[string]any) {
		w.t.Helper()
		w.settings(func(m map[string]any) { m["presence"] = p })
	}
	gets := func(name string, want bool) channel.Session {
		w.t.Helper()
		s, got := w.arrives("there", name)
		w.check((got != "") == want, "%s: assigned to %q", name, got)
		return s
	}
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/settings", map[string]any{"presence": map[string]any{"timeout_minutes": 9999}}, "presence.timeout_minutes")
	configure(map[string]any{"timeout_minutes": 15, "statuses": []any{map[string]any{"name": "coaching"}, map[string]any{"name": "back-office", "takes_mail": true}}})
	defer configure(map[string]any{})

	w.do("agent", "POST", me+"/login", nil)
	gets("logged-in", true)
	for range 3 {
		w.advance(10 * time.Minute)
		w.do("agent", "POST", me+"/heartbeat", nil)
	}
	gets("heartbeat", true)
	w.advance(21 * time.Minute) // and the sweep that comes every five
	w.check(!agent().LoggedIn, "still logged in after 21 minutes")
	late := gets("timeout", false)
	w.refused(http.StatusConflict, "agent", "POST", me+"/heartbeat", nil, "not logged in")
	w.do("agent", "POST", me+"/login", nil)
	w.check(w.session(late.ID).Agent == "ana@example.com", "not assigned at the log-in")

	away := []channel.Session{}
	for _, status := range []string{"unavailable", "coaching"} {
		w.do("agent", "PUT", me+"/status", map[string]any{"status": status})
		away = append(away, gets(status, false))
	}
	w.refused(http.StatusUnprocessableEntity, "agent", "PUT", me+"/status", map[string]any{"status": "asleep"}, "status", "back-office")
	w.refused(http.StatusForbidden, "agent", "PUT", "/v1/agents/present-1@example.com/status", map[string]any{"status": "available"})
	w.refused(http.StatusForbidden, "service", "PUT", "/v1/agents/ana@example.com/status", map[string]any{"status": "available"})
	w.do("supervisor", "PUT", "/v1/agents/ana@example.com/status", map[string]any{"status": "in-email"})
	for _, s := range away {
		w.check(w.session(s.ID).Agent == "ana@example.com", "%s waits", s.ID)
	}
	w.do("agent", "PUT", me+"/status", map[string]any{"status": "back-office"})
	gets("back-office", true)
}
