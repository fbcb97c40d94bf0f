package suite_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/scheduler/apiv1/schedulerpb"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// Whole lives of sessions by the clock, at each threshold a second before, at
// the instant and a second after. A day is 24 hours of elapsed time, though
// Europe's clocks change while they live: in one life within the days of
// active, in the other, half a year later, within those of paused.
func specWalks(t *testing.T) {
	w := site(t, func(s *channel.Seed) {
		s.Settings.Session.ClosedReopen.Days = 100
		for i := range s.Queues {
			s.Queues[i].Response.On = false
		}
	})
	change := clockChange(t, w.now().Add(2*day))
	w.row("SE-4 SE-5 SE-6 through a change of clocks while active", func(w *world) { walk(w, "one", change.Add(-3*time.Hour)) })
	change = clockChange(t, change.Add(100*day))
	w.row("SE-4 SE-5 SE-6 through a change of clocks while paused", func(w *world) { walk(w, "two", change.Add(-40*day)) })
	w.row("SE-7 to the second", shorterToTheSecond)
}

// clockChange is the first instant after t at which Berlin's clocks change.
func clockChange(t *testing.T, after time.Time) time.Time {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	offset := func(at time.Time) int { _, o := at.In(berlin).Zone(); return o }
	at := after.Truncate(time.Hour)
	for before := offset(at); offset(at) == before; {
		at = at.Add(time.Hour)
	}
	return at
}

// sweep has the sweep run now, besides the one of every five minutes.
func (w *world) sweep() {
	w.t.Helper()
	if _, err := w.jobClient().RunJob(w.t.Context(), &schedulerpb.RunJobRequest{Name: place + "/jobs/sweep"}); err != nil {
		w.t.Fatal(err)
	}
	w.idle()
}

// walkers are sessions that live the same life; each is known by its consumer.
type walkers struct {
	*world
	name string
}

func (w walkers) begin(what string) channel.Session {
	w.t.Helper()
	s, _ := w.world.begin("walk-"+w.name+"-"+what+"@customer.example", support)
	w.act(s.ID, "open", nil)
	return s
}

// writes has the end user write once more, in the thread.
func (w walkers) writes(s channel.Session) {
	w.t.Helper()
	w.write(post{from: s.Consumer.Addr, to: support, re: []string{w.first(s.ID).MessageID}})
}

// at goes to an instant, has the sweep run there, and holds where all stand.
func (w walkers) at(t time.Time, want session.State, all ...channel.Session) {
	w.t.Helper()
	w.until(t)
	w.sweep()
	for _, s := range all {
		if got := w.session(s.ID); got.State != want {
			w.t.Errorf("at %s %s is %s, not %s", t, s.Consumer.Addr, got.State, want)
		}
	}
}

// around is at a second before, at, and a second after an instant.
func (w walkers) around(t time.Time, before, after session.State, all ...channel.Session) {
	w.t.Helper()
	w.at(t.Add(-time.Second), before, all...)
	w.at(t, after, all...)
	w.at(t.Add(time.Second), after, all...)
}

// walk has sessions go from active by paused to closed, and then, by the end
// user's mail and by an agent's, on to reopened or to a session that follows.
func walk(w *world, name string, start time.Time) {
	w.until(start.Add(-day))
	w.freeze(true)
	defer w.freeze(false)
	x := walkers{w, name}
	byMail, byReply, resolved := map[string]channel.Session{}, map[string]channel.Session{}, x.begin("resolved")
	back, woken := x.begin("back"), x.begin("woken")
	all := []channel.Session{back, woken}
	for _, when := range []string{"before", "at", "after"} {
		byMail[when], byReply[when] = x.begin("mail-"+when), x.begin("reply-"+when)
		all = append(all, byMail[when], byReply[when])
	}

	// The last activity of all: mail of the end user, or of an agent.
	w.until(start)
	w.act(resolved.ID, "resolve", nil)
	x.writes(back)
	x.writes(woken)
	for when, s := range byMail {
		x.writes(s)
		w.reply(byReply[when].ID, "On it.")
	}
	x.at(start.Add(30*day-time.Second), session.Resolved, resolved)
	x.around(start.Add(30*day), session.Active, session.Paused, all...)
	w.state(resolved.ID, session.Closed)

	// Paused since the sweep at the very threshold. Who writes by the last second is active again.
	paused := start.Add(30 * day)
	w.until(paused.Add(60*day - time.Second))
	x.writes(back)
	w.act(woken.ID, "activate", nil)
	x.around(paused.Add(60*day), session.Paused, session.Closed, all[2:]...)
	w.state(back.ID, session.Active)
	w.state(woken.ID, session.Active)

	// Closed: a hundred days after the last activity the door is shut.
	for i, when := range []string{"before", "at", "after"} {
		w.until(start.Add(100*day + time.Duration(i-1)*time.Second))
		x.writes(byMail[when])
		w.reply(byReply[when].ID, "One more thing.")
		x.follows(byMail[when], when == "before", session.Unopened)
		x.follows(byReply[when], when == "before", session.Active)
	}
	for _, s := range []channel.Session{byMail["before"], byReply["before"]} {
		w.check(w.act(s.ID, "open", nil).State == session.Active, "reopened is not opened")
		x.lived(s, "active→paused timer_pause", "paused→closed timer_close_paused")
	}
	x.lived(resolved, "resolved→closed timer_close_resolved")
	x.lived(back, "active→paused timer_pause")
}

// follows holds that activity reopened a closed session, or began one that is
// linked to it and in the state of its own beginning.
func (w walkers) follows(s channel.Session, reopened bool, begun session.State) {
	w.t.Helper()
	all := w.sessions(s.Consumer.Addr)
	if reopened {
		w.check(len(all) == 1 && all[0].State == session.Reopened, "%s in time: %+v", s.Consumer.Addr, all)
		return
	}
	if len(all) != 2 || all[0].ID != s.ID || all[0].State != session.Closed {
		w.t.Errorf("%s too late: %+v", s.Consumer.Addr, all)
		return
	}
	w.check(all[1].Linked == s.ID && all[1].LinkedBy == "expired" && all[1].State == begun, "%s too late: %+v", s.Consumer.Addr, all[1])
}

// lived holds which timers struck a session, in their order.
func (w walkers) lived(s channel.Session, want ...string) {
	w.t.Helper()
	var got []string
	for _, h := range w.history(s.ID) {
		if strings.HasPrefix(h.Rule, "timer_") {
			got = append(got, fmt.Sprintf("%s→%s %s", h.From, h.To, h.Rule))
		}
	}
	w.check(strings.Join(got, ", ") == strings.Join(want, ", "), "%s lived %v, not %v", s.Consumer.Addr, got, want)
}

// shorterToTheSecond: a threshold that is changed holds at the next sweep for
// sessions that were there, to the second.
func shorterToTheSecond(w *world) {
	w.freeze(true)
	defer w.freeze(false)
	x := walkers{w, "shorter"}
	s := x.begin("active")
	start := w.now()
	x.at(start.Add(10*day-time.Second), session.Active, s)
	w.settings(func(m map[string]any) { in(m, "session", "active_pause")["days"] = 10 })
	x.around(start.Add(10*day), session.Active, session.Paused, s)
	w.settings(func(m map[string]any) { in(m, "session", "paused_close")["days"] = 1 })
	x.around(start.Add(11*day), session.Paused, session.Closed, s)
}
