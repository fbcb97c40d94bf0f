package suite_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/route"
	"emailchannel.dev/emailchannel/shared/session"
)

// staffed is a queue with an address of its name, and n agents of its own.
func staffed(s *channel.Seed, name string, p route.Policy, h hours.Hours, n int) {
	extra(s, name)
	q := channel.Queue{ID: name, Name: name, Language: "en", On: true, Accounts: []string{name}, Teams: []string{name}, Assign: p, Hours: h}
	s.Teams = append(s.Teams, channel.Team{ID: name, Name: name})
	for i := range n {
		id := fmt.Sprintf("%s-%d@example.com", name, i+1)
		s.Agents = append(s.Agents, channel.Agent{ID: id, Name: id, Alias: id, Role: "agent", Teams: []string{name}, LoggedIn: true})
	}
	s.Queues = append(s.Queues, q)
}

// Who gets which mail, and when. Each row has queues and agents of its own.
func specAssignment(t *testing.T) {
	utc, tokyo := hours.Hours{Zone: "UTC"}, hours.Hours{Zone: "Asia/Tokyo"}
	w := site(t, func(s *channel.Seed) {
		s.Settings.Session.ClosedReopen.Days = 100
		staffed(s, "manual", route.Policy{}, utc, 2)
		s.Queues[len(s.Queues)-1].Agents = []string{"ana@example.com"}
		staffed(s, "limit", route.Policy{On: true, DailyLimit: 2}, tokyo, 2)
		staffed(s, "present", route.Policy{On: true, OnlyLoggedIn: true}, utc, 1)
		staffed(s, "there", route.Policy{On: true, OnlyLoggedIn: true}, utc, 0)
		s.Queues[len(s.Queues)-1].Agents = []string{"ana@example.com"}
		staffed(s, "again", route.Policy{On: true}, utc, 2)
		staffed(s, "rank", route.Policy{On: true}, utc, 3)
		staffed(s, "fresh", route.Policy{On: true, DailyLimit: 1}, utc, 0)
		staffed(s, "once", route.Policy{}, utc, 0)
		staffed(s, "why", route.Policy{On: true, DailyLimit: 1}, utc, 2)
		for i, q := range s.Queues {
			if q.ID == "why" {
				s.Queues[i].Response = s.Queues[0].Response
			}
		}
		staffed(s, "crowd", route.Policy{On: true, DailyLimit: 10}, utc, 3)
	})
	// Noon in Tokyo: no row runs into a midnight that it does not mean.
	y, m, d := w.now().UTC().Date()
	w.until(time.Date(y, m, d+1, 3, 0, 0, 0, time.UTC))
	w.row("AS-1", manual)
	w.row("AS-2", dailyLimit)
	w.row("AS-2 logged in", loggedIn)
	w.row("AS-2 presence", presence)
	w.row("AS-3", assignedAgain)
	w.row("AS-4", rank)
	w.row("AS-5", somebodyQualifies)
	w.row("AS-5 at once", atOnce)
	w.row("AS-6", crowd)
	w.row("AS-7", why)
}

// arrives is a new mail to a queue, and the agent who gets it, "" while it waits.
func (w *world) arrives(queue, name string) (channel.Session, string) {
	w.t.Helper()
	w.advance(time.Second) // which tells older from younger
	s, _ := w.begin(queue+"-"+name+"@customer.example", queue+"@example.com")
	w.check(s.Waiting == (s.Agent == ""), "%s: agent %q, waiting %t", name, s.Agent, s.Waiting)
	return s, s.Agent
}

func manual(w *world) {
	w.done("admin", "PUT", "/v1/queues/plain", map[string]any{"name": "Plain", "language": "en", "on": true, "hours": map[string]any{"zone": "UTC"}})
	q := look[channel.Queue](w, "/v1/queues/support")
	w.check(q.Assign.On, "the demo's queue assigns")
	plain := look[map[string]any](w, "/v1/queues/plain")
	w.check(in(plain, "assign")["on"] != true, "a new queue assigns: %v", plain)

	first, _ := w.arrives("manual", "first")
	second, _ := w.arrives("manual", "second")
	third, _ := w.arrives("manual", "third")
	w.advance(10 * time.Minute)
	for _, s := range []channel.Session{first, second, third} {
		s = w.session(s.ID)
		w.check(s.Waiting && s.Agent == "", "OFF, but %+v", s)
	}
	got := w.act(first.ID, "agent:assign", map[string]any{"agent": "me"})
	w.check(got.Agent == "ana@example.com" && !got.Waiting, "%+v", got)
	got = w.act(second.ID, "agent:assign", map[string]any{"agent": "manual-1@example.com"})
	w.check(got.Agent == "manual-1@example.com", "%+v", got)
	got = w.act(third.ID, "supervisor:assign", map[string]any{"agent": "manual-2@example.com"})
	w.check(got.Agent == "manual-2@example.com", "%+v", got)
	w.refused(http.StatusUnprocessableEntity, "supervisor", "POST", "/v1/sessions/"+third.ID+"/assign", map[string]any{"agent": "rank-1@example.com"}, "does not serve queue")
	w.refused(http.StatusUnprocessableEntity, "supervisor", "POST", "/v1/sessions/"+third.ID+"/assign", map[string]any{"agent": "sam@example.com"}, "is no agent")
}

// count is how many sessions each agent has.
func count(agents ...string) map[string]int {
	out := map[string]int{}
	for _, a := range agents {
		out[a]++
	}
	return out
}

func dailyLimit(w *world) {
	w.freeze(true)
	defer w.freeze(false)
	var got []string
	var last []channel.Session
	for i := range 6 {
		s, agent := w.arrives("limit", fmt.Sprint(i))
		got, last = append(got, agent), append(last, s)
	}
	n := count(got...)
	w.check(n["limit-1@example.com"] == 2 && n["limit-2@example.com"] == 2 && got[4] == "" && got[5] == "", "%v", got)
	w.act(last[0].ID, "open", nil)
	w.act(last[0].ID, "resolve", nil) // does not give the day's number back
	y, m, d := w.now().UTC().Date()
	midnight := time.Date(y, m, d, 15, 0, 0, 0, time.UTC) // in Tokyo
	w.until(midnight.Add(-time.Second))
	w.check(w.session(last[4].ID).Agent == "" && w.session(last[5].ID).Agent == "", "assigned a second before midnight")
	w.until(midnight)
	w.check(w.session(last[4].ID).Agent != "" && w.session(last[5].ID).Agent != "", "not assigned the next day")
	for i := range 2 {
		_, agent := w.arrives("limit", fmt.Sprint("next-", i))
		w.check(agent != "", "the second of the day is not assigned")
	}
	_, agent := w.arrives("limit", "over")
	w.check(agent == "", "the third of the day is assigned to %s", agent)
	for _, id := range []string{"limit-1@example.com", "limit-2@example.com"} {
		daily := look[channel.Agent](w, "/v1/agents/"+id).Daily["limit"]
		w.check(daily.N == 2 && daily.Day == midnight.In(time.FixedZone("JST", 9*3600)).Format(time.DateOnly), "%s: %+v", id, daily)
	}
}

func loggedIn(w *world) {
	const agent = "present-1@example.com"
	_, got := w.arrives("present", "in")
	w.check(got == agent, "assigned to %q", got)
	w.done("supervisor", "POST", "/v1/agents/"+agent+"/logout", nil)
	older, got := w.arrives("present", "older")
	w.check(got == "", "assigned to %q, who is logged out", got)
	younger, _ := w.arrives("present", "younger")
	w.do("supervisor", "POST", "/v1/agents/"+agent+"/login", nil) // not a minute later
	for _, s := range []channel.Session{older, younger} {
		w.check(w.session(s.ID).Agent == agent, "%s waits", s.ID)
	}
	at := func(id string) time.Time {
		h := w.history(id)
		return h[slices.IndexFunc(h, func(h channel.History) bool { return h.Kind == session.KindAssigned })].At
	}
	w.check(at(older.ID).Before(at(younger.ID)), "the younger first")
	w.refused(http.StatusForbidden, "agent", "POST", "/v1/agents/"+agent+"/login", nil)
}

func assignedAgain(w *world) {
	reply := func(s channel.Session) channel.Session {
		w.t.Helper()
		w.write(post{from: s.Consumer.Addr, to: "again@example.com", re: []string{w.first(s.ID).MessageID}})
		return w.session(s.ID)
	}
	// A reply to an active session without an agent.
	active, _ := w.arrives("again", "active")
	w.act(active.ID, "open", nil)
	w.act(active.ID, "pause", nil)
	w.act(active.ID, "unassign", nil)
	s := w.session(active.ID)
	w.check(s.Agent == "" && !s.Waiting, "a paused session without an agent waits: %+v", s)
	s = reply(active)
	w.check(s.State == session.Active && s.Agent != "", "%+v", s)
	// A reply to a closed session without an agent, and with one.
	gone, _ := w.arrives("again", "gone")
	kept, keeper := w.arrives("again", "kept")
	for _, s := range []channel.Session{gone, kept} {
		w.act(s.ID, "open", nil)
		w.act(s.ID, "resolve", nil)
	}
	w.act(gone.ID, "unassign", nil)
	w.advance(31 * day)
	w.state(gone.ID, session.Closed)
	w.state(kept.ID, session.Closed)
	s = reply(gone)
	w.check(s.State == session.Reopened && s.Agent != "", "%+v", s)
	for i := range 4 { // the keeper has more to do than the other
		busy, _ := w.arrives("again", fmt.Sprint("busy-", i))
		w.act(busy.ID, "assign", map[string]any{"agent": keeper})
	}
	s = reply(kept)
	w.check(s.State == session.Reopened && s.Agent == keeper, "%+v, not %s", s, keeper)
	n := count(w.kinds(kept.ID)...)
	w.check(n["assigned"] == 1, "assigned %d times", n["assigned"])
}

func rank(w *world) {
	// Who was never assigned comes first, then who was longest ago.
	var first []string
	sessions := map[string]channel.Session{}
	for i := range 3 {
		s, agent := w.arrives("rank", fmt.Sprint(i))
		first, sessions[agent] = append(first, agent), s
	}
	w.check(len(sessions) == 3, "%v", first)
	for i := range 3 {
		_, agent := w.arrives("rank", fmt.Sprint("again-", i))
		w.check(agent == first[i], "mail %d to %s, not %s", i, agent, first[i])
	}
	// Fewest unopened, reopened and active sessions, whoever was last.
	last := first[2]
	w.act(sessions[last].ID, "open", nil)
	_, agent := w.arrives("rank", "active")
	w.check(agent == first[0], "active does not count: %s, not %s", agent, first[0])
	w.act(sessions[last].ID, "pause", nil)
	w.act(sessions[first[1]].ID, "open", nil)
	w.act(sessions[first[1]].ID, "resolve", nil)
	w.write(post{from: sessions[first[1]].Consumer.Addr, to: "rank@example.com", re: []string{w.first(sessions[first[1]].ID).MessageID}})
	w.state(sessions[first[1]].ID, session.Reopened) // counts again
	_, agent = w.arrives("rank", "paused")
	w.check(agent == last, "paused counts: %s, not %s", agent, last)
	for id, open := range map[string]int{first[0]: 3, first[1]: 2, last: 2} {
		a := look[channel.Agent](w, "/v1/agents/"+id)
		w.check(a.Open == open, "%s counts %d, not %d", id, a.Open, open)
	}
	// Only the role agent.
	w.do("admin", "PUT", "/v1/agents/sam@example.com", map[string]any{"name": "Sam Reyes", "role": "supervisor", "teams": []string{"rank"}})
	for i := range 3 {
		_, agent := w.arrives("rank", fmt.Sprint("sam-", i))
		w.check(agent != "" && agent != "sam@example.com", "assigned to %q", agent)
	}
}

func somebodyQualifies(w *world) {
	older, _ := w.arrives("fresh", "older")
	younger, _ := w.arrives("fresh", "younger")
	w.advance(5 * time.Minute)
	w.check(w.session(older.ID).Agent == "" && w.session(younger.ID).Agent == "", "nobody is there, but it is assigned")
	// A new agent: the oldest at once.
	w.do("admin", "PUT", "/v1/agents/novice@example.com", map[string]any{"name": "Novice", "role": "agent", "teams": []string{"fresh"}})
	w.check(w.session(older.ID).Agent == "novice@example.com", "the older has %q", w.session(older.ID).Agent)
	w.check(w.session(younger.ID).Agent == "", "over the limit: the younger has %q", w.session(younger.ID).Agent)
	// Capacity: the limit is raised.
	w.queue("fresh", func(m map[string]any) { in(m, "assign")["daily_limit"] = 2 })
	w.advance(time.Minute + time.Second)
	w.check(w.session(younger.ID).Agent == "novice@example.com", "the younger has %q", w.session(younger.ID).Agent)
	// The opening hour.
	now := w.now().UTC()
	opens := now.Truncate(time.Hour).Add(2 * time.Hour)
	w.queue("fresh", func(m map[string]any) {
		in(m, "assign")["daily_limit"], in(m, "assign")["only_in_hours"] = 9, true
		in(m, "hours")["week"] = []any{map[string]any{"day": int(opens.Weekday()), "from": opens.Format("15:04"), "to": opens.Add(time.Hour).Format("15:04")}}
	})
	closed, _ := w.arrives("fresh", "closed")
	w.until(opens.Add(-2 * time.Second))
	w.check(w.session(closed.ID).Agent == "", "assigned before the opening hour")
	w.until(opens.Add(time.Second))
	w.check(w.session(closed.ID).Agent == "novice@example.com", "not assigned at the opening hour")
}

// crowd: the rank is exact when mail comes from all sides at once, and some
// events twice or out of order.
func crowd(w *world) {
	const mails, limit = 40, 10
	y, m, d := w.now().UTC().Date()
	w.until(time.Date(y, m, d+1, 3, 0, 0, 0, time.UTC))
	w.fault(`{"deliver":"*","duplicate":1,"reorder":true,"times":60}`)
	var wg sync.WaitGroup
	now := w.now()
	for lane := range 8 {
		wg.Go(func() {
			for i := range mails / 8 {
				p := post{from: fmt.Sprintf("crowd-%d-%d@customer.example", lane, i), to: "crowd@example.com", subject: "Hi", text: "Hello."}
				p.id = "m-" + p.from
				if err := w.transmit(p.from, []string{p.to}, p.raw(now)); err != nil {
					w.t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	w.heal()
	all := list[channel.Session](w, "/v1/sessions?queue=crowd")
	var agents []string
	for _, s := range all {
		agents = append(agents, s.Agent)
		want := 1
		if s.Agent == "" {
			want = 0
		}
		w.check(count(w.kinds(s.ID)...)["assigned"] == want && s.Waiting == (want == 0), "%+v", s)
	}
	n := count(agents...)
	want := map[string]int{"": mails - 3*limit, "crowd-1@example.com": limit, "crowd-2@example.com": limit, "crowd-3@example.com": limit}
	w.check(len(all) == mails && fmt.Sprint(n) == fmt.Sprint(want), "%d sessions: %v, not %v", len(all), n, want)
	for a := range want {
		if a == "" {
			continue
		}
		got := look[channel.Agent](w, "/v1/agents/"+a)
		w.check(got.Open == limit && got.Daily["crowd"].N == limit, "%+v", got)
	}
	// Nothing forgotten.
	w.advance(day)
	for _, s := range list[channel.Session](w, "/v1/sessions?queue=crowd") {
		w.check(s.Agent != "" && !s.Waiting, "%s waits the next day", s.ID)
	}
}
