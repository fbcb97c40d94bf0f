package suite_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

const (
	day     = 24 * time.Hour
	support = "support@example.com"
)

// The life of sessions: their history, their moves by hand and by mail.
func specSessions(t *testing.T) {
	w := site(t, func(s *channel.Seed) {
		s.Settings.Session.ClosedReopen.Days = 100
		s.Queues[2].Response.On = false // SE-9 needs many sessions and nothing else
	})
	w.row("SE-1", sessionHistory)
	w.row("SE-2", refusedMoves)
	w.row("SE-3", movesByHand)
	w.row("SE-9", bulkStates)
	w.row("SE-6", repliesOfEndUsers)
}

func sessionHistory(w *world) {
	start := w.now()
	s, p := w.begin("se1@customer.example", support)
	agent := s.Agent
	step := func(what string, in any) { w.t.Helper(); w.advance(time.Second); w.act(s.ID, what, in) }
	step("open", nil)
	w.advance(time.Second)
	w.reply(s.ID, "We are on it.")
	step("pause", nil)
	step("activate", nil)
	step("transfer", map[string]any{"queue": "billing"})
	step("assign", map[string]any{"agent": "cho@example.com"})
	w.advance(time.Second)
	w.done("supervisor", "POST", "/v1/sessions/"+s.ID+"/note", map[string]any{"text": "A note."})
	step("resolve", nil)
	w.advance(time.Second)
	w.write(post{from: "se1@customer.example", to: support, re: []string{p.id}})
	history := w.history(s.ID)
	var got []string
	last := start
	for _, h := range history {
		if h.Actor == agent {
			w.t.Errorf("entry by the agent, who did nothing: %+v", h)
		}
		got = append(got, string(h.Kind)+" "+h.Actor)
		w.check(!h.At.Before(last) && h.At.Before(w.now()), "entry at %s, after %s", h.At, last)
		last = h.At
	}
	const sam = " sam@example.com"
	want := []string{"opened" + sam, "answered" + sam, "paused" + sam, "activated" + sam, "transferred" + sam, "assigned" + sam, "note" + sam, "resolved" + sam}
	by := slices.DeleteFunc(slices.Clone(got), func(e string) bool { return !strings.HasSuffix(e, sam) })
	w.check(slices.Equal(by, want), "Sam's entries are %v, not %v", by, want)
	w.check(got[0] == "received end-user" && got[len(got)-1] == "received end-user", "%v does not begin and end with the mails", got)
	w.check(slices.Contains(got, "assigned channel") && slices.Contains(got, "auto_replied channel"), "%v", got)
	i := slices.IndexFunc(history, func(h channel.History) bool { return h.Kind == session.KindTransferred })
	w.check(history[i].From == "support" && history[i].To == "billing", "%+v", history[i])
}

// first is the mail that began a session.
func (w *world) first(session string) channel.Message {
	w.t.Helper()
	for _, m := range w.messages(session) {
		if m.Direction == channel.In {
			return m
		}
	}
	w.t.Fatalf("no mail came into session %s", session)
	return channel.Message{}
}

// states makes a session in each state by what the requirements list.
func (w *world) states(prefix string) map[session.State]channel.Session {
	w.t.Helper()
	out := map[session.State]channel.Session{}
	posts := map[session.State]post{}
	for _, st := range session.States() {
		out[st], posts[st] = w.begin(prefix+"-"+string(st)+"@customer.example", support)
	}
	for st, s := range out {
		if st != session.Unopened {
			w.act(s.ID, "open", nil)
		}
	}
	w.act(out[session.Closed].ID, "resolve", nil)
	w.advance(30*day + 5*time.Minute)
	w.act(out[session.Active].ID, "activate", nil) // the timer had paused it
	w.act(out[session.Reopened].ID, "activate", nil)
	w.act(out[session.Resolved].ID, "activate", nil)
	w.act(out[session.Resolved].ID, "resolve", nil)
	w.act(out[session.Reopened].ID, "resolve", nil)
	p := posts[session.Reopened]
	w.write(post{from: p.from, to: p.to, re: []string{p.id}})
	for st, s := range out {
		w.state(s.ID, st)
	}
	return out
}

// bulk moves sessions and returns the outcomes as "result reason".
func (w *world) bulk(to session.State, ids ...string) []string {
	w.t.Helper()
	a := w.done("service", "POST", "/v1/bulk/session-states", map[string]any{"sessions": ids, "state": to})
	var out []string
	for i, r := range decoded[struct{ Results []channel.StateResult }](w, a).Results {
		w.check(r.ID == ids[i], "result %d is of %s, not %s", i, r.ID, ids[i])
		out = append(out, strings.TrimSpace(string(r.Result)+" "+r.Reason))
	}
	return out
}

func refusedMoves(w *world) {
	all := w.states("se2")
	allowed := map[session.State][]session.State{
		session.Unopened: {session.Active}, session.Reopened: {session.Active}, session.Paused: {session.Active},
		session.Resolved: {session.Active}, session.Active: {session.Paused, session.Resolved},
	}
	byHand := []session.State{session.Unopened, session.Reopened, session.Closed}
	for from, s := range all {
		for _, to := range session.States() {
			want := "invalid_transition not_listed"
			switch {
			case from == to:
				want = "unchanged"
			case slices.Contains(allowed[from], to):
				continue // SE-3
			case slices.Contains(byHand, to):
				want = "invalid_transition not_by_hand"
			}
			if got := w.bulk(to, s.ID); !slices.Equal(got, []string{want}) {
				w.t.Errorf("%s → %s: %v, not %s", from, to, got, want)
			}
		}
		w.state(s.ID, from)
	}
	for verb, s := range map[string]channel.Session{"pause": all[session.Unopened], "resolve": all[session.Paused], "activate": all[session.Closed]} {
		w.refused(http.StatusConflict, "supervisor", "POST", "/v1/sessions/"+s.ID+"/"+verb, nil, "urn:emailchannel:problem:invalid-transition", "refused: not_listed")
	}
	w.refused(http.StatusUnprocessableEntity, "service", "POST", "/v1/bulk/session-states", map[string]any{"sessions": []string{"x"}, "state": "frozen"}, "state")
}

func movesByHand(w *world) {
	s, _ := w.begin("se3@customer.example", support)
	w.state(s.ID, session.Unopened)
	for _, move := range []struct {
		verb string
		want session.State
	}{
		{"open", session.Active}, {"pause", session.Paused}, {"activate", session.Active}, {"resolve", session.Resolved}, {"activate", session.Active}, {"open", session.Active},
	} {
		got := w.act(s.ID, move.verb, nil)
		w.check(got.State == move.want, "%s: %s, not %s", move.verb, got.State, move.want)
	}
	w.refused(http.StatusOK, "service", "POST", "/v1/bulk/session-states", map[string]any{"sessions": []string{s.ID}, "state": "closed"}, "invalid_transition", "not_by_hand")
	// Reopened: opened by hand like unopened.
	w.act(s.ID, "resolve", nil)
	w.write(post{from: "se3@customer.example", to: support, re: []string{w.first(s.ID).MessageID}})
	w.state(s.ID, session.Reopened)
	w.check(w.act(s.ID, "open", nil).State == session.Active, "reopened is not opened")
	// An agent's first mail begins an active session.
	out := decoded[sent](w, w.do("agent", "POST", "/v1/sessions", map[string]any{"queue": "support", "to": []any{map[string]any{"addr": "se3-out@customer.example"}}, "subject": "News", "text": "Hi"}))
	w.state(out.Session.ID, session.Active)
	w.check(out.Session.Outbound && out.Session.Agent == "ana@example.com", "%+v", out.Session)
}

func bulkStates(w *world) {
	var ids []string
	for i := range 99 {
		w.mail(post{from: fmt.Sprintf("se9-%d@customer.example", i), to: "hilfe@example.com"})
	}
	w.idle()
	for _, s := range list[channel.Session](w, "/v1/sessions?state=unopened&queue=hilfe") {
		if strings.HasPrefix(s.Consumer.Addr, "se9-") {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) != 99 {
		w.t.Fatalf("%d sessions", len(ids))
	}
	resolved, _ := w.begin("se9@customer.example", support)
	w.act(resolved.ID, "open", nil)
	w.act(resolved.ID, "resolve", nil)
	want := slices.Repeat([]string{"updated"}, 100)
	w.check(slices.Equal(w.bulk(session.Active, append(slices.Clone(ids), resolved.ID)...), want), "a hundred are not updated")
	want = slices.Repeat([]string{"unchanged"}, 100)
	w.check(slices.Equal(w.bulk(session.Active, append(slices.Clone(ids), resolved.ID)...), want), "a second time is not unchanged")
	got := w.bulk(session.Paused, ids[0], "AAAAAAAAAAAA", "?", resolved.ID, ids[0])
	w.check(slices.Equal(got, []string{"updated", "not_found", "not_found", "updated", "updated"}), "%v", got)
	got = w.bulk(session.Resolved, ids[0], ids[1])
	w.check(slices.Equal(got, []string{"invalid_transition not_listed", "updated"}), "%v", got)
	w.refused(http.StatusUnprocessableEntity, "service", "POST", "/v1/bulk/session-states", map[string]any{"sessions": slices.Repeat(ids[:1], 101), "state": "active"}, "sessions")
	w.refused(http.StatusUnprocessableEntity, "service", "POST", "/v1/bulk/session-states", map[string]any{"sessions": []string{}, "state": "active"}, "sessions")
	// An agent moves those of his queues only.
	a := w.done("agent", "POST", "/v1/bulk/session-states", map[string]any{"sessions": []string{ids[2], resolved.ID}, "state": "active"})
	r := decoded[struct{ Results []channel.StateResult }](w, a).Results
	w.check(r[0].Result == channel.Missing && r[1].Result == channel.Updated, "%+v", r)
}

func repliesOfEndUsers(w *world) {
	all := w.states("se6")
	for from, want := range map[session.State]session.State{
		session.Unopened: session.Unopened, session.Active: session.Active, session.Paused: session.Active,
		session.Resolved: session.Reopened, session.Closed: session.Reopened, session.Reopened: session.Reopened,
	} {
		s := all[from]
		n := w.session(s.ID).Messages
		w.write(post{from: s.Consumer.Addr, to: support, re: []string{w.first(s.ID).MessageID}})
		got := w.one(s.Consumer.Addr)
		w.check(got.ID == s.ID && got.State == want && got.Messages == n+1, "a reply to a session that is %s: %s with %d mails, not %s with %d", from, got.State, got.Messages, want, n+1)
	}
}

// The timers, to the second. The sweep runs every five minutes, so that a
// threshold counts that is over at that moment.
func specTimers(t *testing.T) {
	w := site(t, func(s *channel.Seed) { s.Settings.Session.ClosedReopen.Days = 100 })
	w.row("SE-4", timers)
	w.row("SE-5", successors)
	w.row("SE-7", func(w *world) {
		s, _ := w.begin("se7@customer.example", support)
		w.act(s.ID, "open", nil)
		w.advance(10 * day)
		w.state(s.ID, session.Active)
		w.settings(func(m map[string]any) { in(m, "session", "active_pause")["days"] = 11 })
		w.advance(6 * time.Minute)
		w.state(s.ID, session.Active)
		w.settings(func(m map[string]any) { in(m, "session", "active_pause")["days"] = 10 })
		w.advance(6 * time.Minute)
		w.state(s.ID, session.Paused)
	})
}

func timers(w *world) {
	begin := func(name, act string) channel.Session {
		w.t.Helper()
		s, _ := w.begin("se4-"+name+"@customer.example", support)
		w.act(s.ID, "open", nil)
		if act != "" {
			w.act(s.ID, act, nil)
		}
		return s
	}
	w.freeze(true)
	defer w.freeze(false)
	w.advance(5 * time.Minute)
	start := w.now().Truncate(5 * time.Minute).Add(5 * time.Minute)
	w.until(start)
	active, paused, resolved := begin("active", ""), begin("paused", "pause"), begin("resolved", "resolve")
	busy, written := begin("busy", ""), begin("written", "pause")
	w.until(start.Add(time.Second)) // a second late for the sweep at the threshold
	active1, paused1, resolved1 := begin("active1", ""), begin("paused1", "pause"), begin("resolved1", "resolve")
	states := func(at time.Duration, want map[string]session.State) {
		w.t.Helper()
		w.until(start.Add(at))
		for id, st := range want {
			if s := w.session(id); s.State != st {
				w.t.Errorf("%s: %s is %s, not %s", at, s.Consumer.Addr, s.State, st)
			}
		}
	}
	// An agent's mail is activity of an active session, and does not prolong a pause.
	w.until(start.Add(10 * day))
	w.reply(busy.ID, "Still on it.")
	w.reply(written.ID, "Still on it.")
	states(30*day-time.Second, map[string]session.State{active.ID: session.Active, resolved.ID: session.Resolved})
	states(30*day, map[string]session.State{active.ID: session.Paused, resolved.ID: session.Closed, active1.ID: session.Active, resolved1.ID: session.Resolved, busy.ID: session.Active})
	states(30*day+5*time.Minute, map[string]session.State{active1.ID: session.Paused, resolved1.ID: session.Closed})
	states(40*day-time.Second, map[string]session.State{busy.ID: session.Active})
	states(40*day, map[string]session.State{busy.ID: session.Paused})
	states(60*day-time.Second, map[string]session.State{paused.ID: session.Paused, written.ID: session.Paused})
	states(60*day, map[string]session.State{paused.ID: session.Closed, written.ID: session.Closed, paused1.ID: session.Paused})
	states(60*day+5*time.Minute, map[string]session.State{paused1.ID: session.Closed})

	// Closed counts from the last activity: 100 days of it have not passed at the last second.
	again := func(s channel.Session) {
		w.mail(post{from: s.Consumer.Addr, to: support, re: []string{w.first(s.ID).MessageID}})
		w.idle()
	}
	w.until(start.Add(100*day - time.Second))
	again(resolved)
	w.state(resolved.ID, session.Reopened)
	w.until(start.Add(100 * day))
	again(paused)
	w.state(paused.ID, session.Closed)
	w.check(len(w.sessions(paused.Consumer.Addr)) == 2, "a reply at the end of the days does not begin a new session")

	// Each has a toggle, and 1 to 1000 days.
	w.freeze(false)
	fields := []string{"paused_close", "resolved_close", "active_pause", "closed_reopen"}
	for _, f := range fields {
		for _, days := range []any{0, 1001, -1, 1.5, "30", nil} {
			m := look[map[string]any](w, "/v1/settings")
			in(m, "session", f)["days"] = days
			w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/settings", m, "session."+f)
		}
	}
	w.settings(func(m map[string]any) {
		for _, f := range fields {
			in(m, "session", f)["on"], in(m, "session", f)["days"] = false, 1
		}
	})
	off := map[session.State]channel.Session{session.Active: begin("off-active", ""), session.Paused: begin("off-paused", "pause"), session.Resolved: begin("off-resolved", "resolve")}
	w.advance(400 * day)
	for st, s := range off {
		w.state(s.ID, st)
	}
	w.settings(func(m map[string]any) {
		for _, f := range fields {
			in(m, "session", f)["on"], in(m, "session", f)["days"] = true, 1000
		}
	})
	w.advance(6 * time.Minute)
	for st, s := range off {
		w.state(s.ID, st)
	}
	w.settings(func(m map[string]any) {
		for f, days := range map[string]int{"paused_close": 60, "resolved_close": 30, "active_pause": 30, "closed_reopen": 100} {
			in(m, "session", f)["days"] = days
		}
	})
}

// successors: activity on a session that is closed for good makes a new one.
func successors(w *world) {
	closed := func(name string) channel.Session {
		w.t.Helper()
		s, _ := w.begin("se5-"+name+"@customer.example", support)
		w.act(s.ID, "open", nil)
		w.act(s.ID, "resolve", nil)
		return s
	}
	late, offIn, offOut := closed("late"), closed("in"), closed("out")
	w.advance(31 * day)
	for _, s := range []channel.Session{late, offIn, offOut} {
		w.state(s.ID, session.Closed)
	}
	successor := func(old channel.Session, want session.State) {
		w.t.Helper()
		all := w.sessions(old.Consumer.Addr)
		if len(all) != 2 || all[0].ID != old.ID {
			w.t.Fatalf("%s has sessions %+v", old.Consumer.Addr, all)
		}
		w.check(all[1].Linked == old.ID && all[1].LinkedBy == "expired" && all[1].State == want && all[1].Messages == 1, "%+v", all[1])
		w.state(old.ID, session.Closed)
	}
	w.settings(func(m map[string]any) { in(m, "session", "closed_reopen")["on"] = false })
	w.write(post{from: offIn.Consumer.Addr, to: support, re: []string{w.first(offIn.ID).MessageID}})
	successor(offIn, session.Unopened)
	out := w.reply(offOut.ID, "One more thing.")
	successor(offOut, session.Active)
	w.check(out.Session.ID == w.sessions(offOut.Consumer.Addr)[1].ID && len(w.answers(offOut.Consumer.Addr)) == 1, "the answer names session %s", out.Session.ID)
	w.settings(func(m map[string]any) { in(m, "session", "closed_reopen")["on"] = true })
	w.advance(70 * day)
	w.write(post{from: late.Consumer.Addr, to: support, re: []string{w.first(late.ID).MessageID}})
	successor(late, session.Unopened)
}

// Which session a mail belongs to.
func specThreads(t *testing.T) {
	w := site(t, nil)
	relay := newRelay(t)
	rules := func(id string) []string {
		var out []string
		for _, h := range w.history(id) {
			if h.Kind == session.KindReceived {
				out = append(out, h.Rule)
			}
		}
		return out
	}
	w.row("SE-8", func(w *world) {
		const cleo = "cleo@customer.example"
		s, first := w.begin("Cleo <"+cleo+">", support)
		auto := w.autos(cleo)[0].id()
		reply := w.reply(s.ID, "On it.").Message.MessageID
		// In-Reply-To or References alone, to what was received or sent, also by another of our accounts.
		w.write(post{from: cleo, to: support, head: []string{"In-Reply-To: <" + first.id + ">"}})
		w.write(post{from: cleo, to: support, subject: "Other", head: []string{"References: <unknown@elsewhere.example> <" + auto + ">"}})
		w.write(post{from: cleo, to: "billing@example.com", re: []string{reply}})
		w.check(w.one(cleo).ID == s.ID && w.one(cleo).Messages == 5, "%+v", w.sessions(cleo))
		// Never by subject.
		w.write(post{from: cleo, to: support, subject: "RE: " + first.subject})
		w.check(len(w.sessions(cleo)) == 2, "the same subject: %d sessions", len(w.sessions(cleo)))
	})
	w.row("SE-8 strangers", func(w *world) {
		s, first := w.begin("host@customer.example", support)
		w.write(post{from: "stranger@elsewhere.example", to: support, re: []string{first.id}})
		got := w.one("stranger@elsewhere.example")
		w.check(got.ID != s.ID && got.Linked == s.ID && got.LinkedBy == "not-participant", "%+v", got)
		w.check(w.session(s.ID).Messages == 1, "the stranger's mail joined")
		w.check(slices.Equal(rules(got.ID), []string{"not-participant"}), "%v", rules(got.ID))
		// Whoever was written to takes part.
		w.write(post{from: "host@customer.example", to: support, re: []string{first.id}, head: []string{"Cc: guest@elsewhere.example"}})
		w.write(post{from: "guest@elsewhere.example", to: support, re: []string{first.id}})
		w.check(w.one("guest@elsewhere.example").ID == s.ID, "the guest's mail did not join")
	})
	w.row("SE-8 twice", func(w *world) {
		const max = "max@customer.example"
		raw := post{from: max, to: support + ", billing@example.com", subject: "Twice", id: "twice@customer.example", text: "Hello."}.raw(w.now())
		w.smtp(max, []string{support, "billing@example.com"}, raw)
		w.smtp(max, []string{support}, raw)
		w.idle()
		w.smtp(max, []string{"hilfe@example.com", support}, append([]byte("X-Forwarded: yes\r\n"), raw...))
		w.idle()
		s := w.one(max)
		w.check(s.Messages == 1 && len(w.messages(s.ID)) == 2, "%d mails", s.Messages) // and the auto-response
		w.check(len(w.autos(max)) == 1, "%d auto-responses", len(w.autos(max)))

		// Without a Message-ID the content tells.
		const ida = "ida@customer.example"
		raw = post{from: ida, to: support, subject: "Nameless", id: "-", text: "Hello."}.raw(w.now())
		w.smtp(ida, []string{support}, raw)
		w.idle()
		w.smtp(ida, []string{support, "billing@example.com"}, raw)
		w.idle()
		w.check(w.one(ida).Messages == 1, "%d mails", w.one(ida).Messages)
		w.smtp(ida, []string{support}, post{from: ida, to: support, subject: "Nameless", id: "-", text: "Hello again."}.raw(w.now()))
		w.idle()
		w.check(len(w.sessions(ida)) == 2, "other content, %d sessions", len(w.sessions(ida)))
	})
	w.row("SE-8 in any order", func(w *world) {
		const eva = "eva@customer.example"
		w.write(post{from: eva, to: support, id: "third@customer.example", re: []string{"first@customer.example", "second@customer.example"}})
		w.write(post{from: eva, to: support, id: "first@customer.example"})
		w.write(post{from: eva, to: support, id: "second@customer.example", re: []string{"first@customer.example"}})
		live := slices.DeleteFunc(w.sessions(eva), func(s channel.Session) bool { return s.MergedInto != "" })
		w.check(len(live) == 1 && live[0].Messages == 3, "%+v", live)
	})
	w.row("SE-8 renamed by the provider", func(w *world) {
		w.done("admin", "PUT", "/v1/accounts/hilfe", w.form("hilfe", func(m map[string]any) { m["outgoing"] = w.at(relay.addr) }))
		w.inForce()
		s, _ := w.begin("jan@customer.example", "hilfe@example.com")
		relay.set(func(op string) error {
			if op != "answer" {
				return nil
			}
			return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 6, 0}, Message: "<renamed@provider.example> Queued mail for delivery"}
		})
		w.reply(s.ID, "On it.")
		relay.set(nil)
		w.write(post{from: "jan@customer.example", to: "hilfe@example.com", re: []string{"renamed@provider.example"}})
		w.check(w.one("jan@customer.example").ID == s.ID, "the answer to the provider's ID does not thread")
	})
}
