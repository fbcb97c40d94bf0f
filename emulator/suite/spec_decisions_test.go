package suite_test

import (
	"net/http"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// decided asks why, and returns kind and rule of each decision.
func (w *world) decided(id string) ([]string, channel.Decisions) {
	w.t.Helper()
	d := look[channel.Decisions](w, "/v1/sessions/"+id+"/decisions")
	var out []string
	for _, x := range d.Items {
		out = append(out, string(x.Kind)+" "+x.Rule)
	}
	return out, d
}

// why: one call tells of threading, routing and answering by which rule, and of
// what waits why.
func why(w *world) {
	s, _ := w.begin("why-1@customer.example", "why@example.com")
	got, d := w.decided(s.ID)
	want := []string{"thread new", "answer first", "route rank"}
	slices.Sort(got[1:])
	w.check(slices.Equal(got, want) && d.Waits == nil, "%q, waits %+v", got, d.Waits)
	routed := d.Items[slices.IndexFunc(d.Items, func(x channel.Decision) bool { return x.Kind == channel.DecidedRoute })]
	inputs := strings.Join(routed.Inputs, ", ")
	w.check(routed.To == s.Agent && strings.Contains(inputs, "open:0, last_assigned:never, today:0") && strings.Contains(inputs, "policy:daily_limit=1") && strings.Contains(inputs, "next:why-2@example.com"), "to %s by %s", routed.To, inputs)

	// A reply threads by its references, and a machine gets no answer.
	w.write(post{from: "why-1@customer.example", to: "why@example.com", re: []string{w.first(s.ID).MessageID}, head: []string{"Auto-Submitted: auto-replied"}})
	got, d = w.decided(s.ID)
	last := d.Items[len(d.Items)-1]
	w.check(got[3] == "thread ancestor" && last.Kind == channel.DecidedSuppress && last.Rule == "class auto", "%q", got)
	w.check(slices.Contains(d.Items[3].Inputs, "account:why"), "inputs %q", d.Items[3].Inputs)

	// The second agent gets one, the third mail waits: all are at the limit.
	_, agent := w.arrives("why", "second")
	w.check(agent == "why-2@example.com", "to %q", agent)
	waits, _ := w.arrives("why", "third")
	_, d = w.decided(waits.ID)
	w.check(d.Waits != nil && d.Waits.Reason == "daily-limit" && d.Waits.Agents == channel.Standing{Looked: 2, DailyLimit: 2}, "waits %+v", d.Waits)

	// A timer's move is a decision, too.
	w.act(s.ID, "open", nil)
	w.advance(31 * day)
	w.state(s.ID, session.Paused)
	got, d = w.decided(s.ID)
	moved := d.Items[len(d.Items)-1]
	w.check(moved.Kind == channel.DecidedState && moved.Rule == string(session.TimerPause) && moved.From == "active" && moved.To == "paused", "%q", got)
	w.refused(http.StatusForbidden, "agent", "GET", "/v1/sessions/"+s.ID+"/decisions", nil)
}
