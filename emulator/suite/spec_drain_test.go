package suite_test

import "emailchannel.dev/emailchannel/shared/route"

// atOnce: whatever lets somebody qualify has the waiting mail assigned without
// the minute that the schedule would take (AS-5).
func atOnce(w *world) {
	const agent = "once-late@example.com"
	put := func(path string, change func(m map[string]any)) {
		w.t.Helper()
		m := look[map[string]any](w, path)
		change(m)
		w.do("admin", "PUT", path, m)
	}
	queue := func(change func(m map[string]any)) { w.t.Helper(); put("/v1/queues/once", change) }
	expect := func(trigger, id string) {
		w.t.Helper()
		s := w.session(id)
		w.check(s.Agent == agent && !s.Waiting, "%s: the mail has %q, waits %t", trigger, s.Agent, s.Waiting)
	}
	// waits is a new mail that nobody gets yet.
	waits := func(name string, why route.Refusal) string {
		w.t.Helper()
		s, got := w.arrives("once", name)
		_, d := w.decided(s.ID)
		w.check(got == "" && d.Waits != nil && d.Waits.Reason == why, "%s: agent %q, waits %+v", name, got, d.Waits)
		return s.ID
	}
	id := waits("off", route.Off)
	w.do("admin", "PUT", "/v1/agents/"+agent, map[string]any{"name": "Late", "role": "agent"})
	queue(func(m map[string]any) { m["assign"] = map[string]any{"on": true, "daily_limit": 1} })
	w.check(w.session(id).Agent == "", "assigned, and nobody serves the queue")
	put("/v1/agents/"+agent, func(m map[string]any) { m["teams"] = []string{"once"} })
	expect("an agent joins the queue's team", id)

	w.inForce()
	id = waits("limit", route.DailyLimit)
	queue(func(m map[string]any) { in(m, "assign")["daily_limit"] = 2 })
	expect("the limit is raised", id)

	w.inForce()
	queue(func(m map[string]any) { m["teams"], in(m, "assign")["daily_limit"] = []string{}, 0 })
	w.inForce()
	id = waits("team", route.NoAgents)
	queue(func(m map[string]any) { m["teams"] = []string{"once"} })
	expect("the queue gets a team", id)

	queue(func(m map[string]any) { m["on"] = false })
	w.inForce()
	id = waits("queue-off", route.QueueOff)
	queue(func(m map[string]any) { m["on"] = true })
	expect("the queue is ON", id)

	w.settings(func(m map[string]any) { m["queues"] = false })
	id = waits("tile-off", route.QueuesOff)
	put("/v1/settings", func(m map[string]any) { m["queues"] = true })
	expect("the tile is ON", id)

	w.settings(func(m map[string]any) { m["email"] = false })
	w.act(id, "unassign", nil)
	_, d := w.decided(id)
	w.check(d.Waits != nil && d.Waits.Reason == route.ChannelOff, "waits %+v", d.Waits)
	put("/v1/settings", func(m map[string]any) { m["email"] = true })
	expect("the channel is ON", id)
}
