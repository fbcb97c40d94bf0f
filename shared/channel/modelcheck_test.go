package channel_test

import (
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/report"
)

// compare holds the world against the model.
func (p *play) compare(r *rapid.T) {
	real := p.w.sessions()
	if len(real) != len(p.m.sessions) {
		r.Fatalf("%d sessions, should be %d:\n%s", len(real), len(p.m.sessions), p.m)
	}
	for _, want := range p.m.sessions {
		got, ok := real[want.id]
		second := func(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
		switch {
		case !ok:
			r.Fatalf("session %s is missing", want.id)
		case got.State != want.state, got.Queue != want.queue, got.Agent != want.agent, got.Waiting != (want.waiting > 0):
			r.Fatalf("session %s is %s in %s of %q, waits %t; should be %s in %s of %q, waits %t", got.ID, got.State, got.Queue, got.Agent, got.Waiting, want.state, want.queue, want.agent, want.waiting > 0)
		case !second(got.EnteredAt).Equal(want.entered), !second(got.LastActivity).Equal(want.active):
			r.Fatalf("session %s: %s since %s, active %s; should be since %s, active %s", got.ID, got.State, got.EnteredAt, got.LastActivity, want.entered, want.active)
		}
	}
	for _, a := range p.m.agents {
		got := doc[channel.Agent](p.w.desks, "agents/"+a.id)
		if n := p.m.load(a.id); got.Open != n {
			r.Fatalf("agent %s has %d open sessions, should have %d", a.id, got.Open, n)
		}
	}
	var answers []string
	all(p.w, channel.Query{Collection: "outbound", Where: []channel.Where{{Field: "auto", Op: "==", Value: true}}}, func(o channel.Outbound) {
		answers = append(answers, o.To[0]+" in "+o.Session)
	})
	var want []string
	for _, a := range p.m.answers {
		want = append(want, a.to+" in "+a.session)
	}
	slices.Sort(answers)
	slices.Sort(want)
	if !slices.Equal(answers, want) {
		r.Fatalf("auto-responses %q, should be %q", answers, want)
	}
}

// calm lets everything come to rest: no more trouble, all events delivered, the timers of the schedule passed. Then
// nothing that is owed may be missing.
func (p *play) calm() {
	for range 3 {
		p.w.pass(2 * time.Minute) // what was not published is overdue
		p.m.now = p.w.step
		p.sweeps(trouble{})
		for len(p.w.bus.parcels) > 0 {
			p.begin(p.r)
			p.hand(0, trouble{}, false)
		}
		for _, q := range []string{"billing", "support"} {
			p.begin(p.r)
			if err := p.drain(q, "", trouble{}); err != nil {
				p.r.Fatal(err)
			}
		}
		p.compare(p.r)
	}
	p.nothingForgotten()
	p.w.pass(10 * time.Minute) // a lease of a count that ended too early is over
	p.reports()
}

// reports holds the reports, which were counted bit by bit, against all sessions.
func (p *play) reports() {
	use := channel.Count{Docs: p.w.desks.docs, Config: p.w.config(), Now: p.w.clock}
	if err := use.Handle(p.w.Context()); err != nil {
		p.r.Fatal(err)
	}
	want := report.Sum{}
	for _, s := range p.w.sessions() {
		f := report.Facts{State: s.State, Queue: s.Queue, Agent: s.Agent, Started: s.Outbound, CreatedAt: s.CreatedAt, AnsweredAt: s.AnsweredAt, AnsweredBy: s.AnsweredBy, ResolvedAt: s.ResolvedAt, Handling: time.Duration(s.Handling) * time.Second}
		for k, c := range report.Of(f, p.m.queues[s.Queue].Hours.Day) {
			want.Add(k, c, 1)
		}
	}
	got := report.Sum{}
	for _, q := range []channel.ReportQuery{{}, {From: "2026-01-01", To: "2026-12-31"}, {From: "2027-01-01", To: "2027-12-31"}, {From: "2028-01-01", To: "2028-12-31"}} {
		q.By = []string{"queue", "agent"}
		if q.From != "" {
			q.By = append(q.By, "day")
		}
		r, err := p.w.read.Report(p.w.Context(), q)
		if err != nil {
			p.r.Fatal(err)
		}
		for _, l := range r.Lines {
			got.Add(report.Key{Day: l.Day, Queue: l.Queue, Agent: l.Agent}, l.Counts, 1)
		}
	}
	if diff := cmp.Diff(want.Less(nil), got); diff != "" {
		p.r.Fatalf("reports (-want/+got)\n%s", diff)
	}
}

func (p *play) nothingForgotten() {
	for _, l := range p.sent {
		if l.id != "" && p.m.mails[l.fingerprint()] == nil {
			p.r.Fatalf("mail %s is lost", l.id)
		}
	}
	for id, mail := range p.m.mails {
		if mail.owed && mail.fate == "" || mail.fate == "kept" && p.m.set.Email {
			p.r.Fatalf("mail %s is owed an auto-response: %q", mail.messageID, mail.fate)
		}
		if !mail.owed {
			continue
		}
		got := doc[channel.Message](p.w.desks, "sessions/"+mail.in.id+"/messages/"+id)
		said := map[string]string{"withheld": "loop cap", "unserved": "queue"}[mail.fate]
		if !strings.HasPrefix(got.NoAnswer, said) || said == "" && got.NoAnswer != "" {
			p.r.Fatalf("mail %s was %s, and says %q", mail.messageID, mail.fate, got.NoAnswer)
		}
	}
	for q := range p.m.queues {
		if w := p.m.waiting(q); len(w) > 0 && p.m.first(q) != nil {
			p.r.Fatalf("%d sessions of queue %s wait although %s qualifies", len(w), q, p.m.first(q).id)
		}
	}
}
