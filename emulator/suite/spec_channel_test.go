package suite_test

import (
	"fmt"
	"testing"
	"time"

	"cloud.google.com/go/scheduler/apiv1"
	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// place is where Cloud Scheduler's jobs are.
var place = fmt.Sprintf("projects/%s/locations/%s", suite.Project, suite.Location)

// jobClient is Cloud Scheduler's own client.
func (w *world) jobClient() *scheduler.CloudSchedulerClient {
	w.t.Helper()
	c, err := scheduler.NewCloudSchedulerClient(w.t.Context(), option.WithEndpoint(w.Addrs.Scheduler), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// jobs holds that all of Cloud Scheduler's jobs are in a state.
func (w *world) jobs(want schedulerpb.Job_State) {
	w.t.Helper()
	c := w.jobClient()
	n := 0
	for it := c.ListJobs(w.t.Context(), &schedulerpb.ListJobsRequest{Parent: place}); ; n++ {
		j, err := it.Next()
		if err == iterator.Done {
			break
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.check(j.State == want, "job %s is %s, not %s", j.Name, j.State, want)
	}
	w.check(n >= 4, "there are %d jobs", n)
}

// untouched holds that an address's INBOX has n mails, none of them seen.
func (w *world) untouched(addr string, n int) {
	w.t.Helper()
	box := w.box(addr)
	w.check(len(box) == n, "%s has %d mails, not %d", addr, len(box), n)
	for _, m := range box {
		w.check(len(m.flags) == 0, "mail %d of %s has flags %v", m.uid, addr, m.flags)
	}
}

func channelOn(on bool) func(map[string]any) {
	return func(m map[string]any) { m["email"] = on }
}

// A new channel is OFF; CH-1 switches it on, off and on.
func specChannel(t *testing.T) {
	w := site(t, func(s *channel.Seed) {
		crm := s.Settings.CRM
		s.Settings = channel.Defaults() // of a new channel
		s.Settings.CRM = crm
	})
	w.row("CH-1", func(w *world) {
		// OFF by default: mail stays on the server, unseen.
		first := w.write(post{from: "Cleo <cleo@customer.example>", to: "support@example.com"})
		second := w.write(post{from: "Max <max@customer.example>", to: "hilfe@example.com"})
		w.advance(time.Hour)
		w.jobs(schedulerpb.Job_PAUSED)
		if all := list[channel.Session](w, "/v1/sessions"); len(all) != 0 {
			w.t.Fatalf("OFF, but there are sessions: %+v", all)
		}
		w.untouched("support@example.com", 1)
		w.untouched("hilfe@example.com", 1)

		// ON: all that waited comes once, is assigned and answered.
		w.settings(channelOn(true))
		w.advance(2 * time.Minute)
		w.jobs(schedulerpb.Job_ENABLED)
		cleo, max := w.one("cleo@customer.example"), w.one("max@customer.example")
		w.check(cleo.Agent != "" && max.Agent != "", "not assigned: %q, %q", cleo.Agent, max.Agent)
		w.once(cleo.ID, "cleo@customer.example", first.id, 1)
		w.once(max.ID, "max@customer.example", second.id, 1)
		w.untouched("support@example.com", 1)

		// OFF again: mail, replies and timers wait, open work is kept.
		w.settings(channelOn(false))
		w.jobs(schedulerpb.Job_PAUSED)
		back := w.write(post{from: "Cleo <cleo@customer.example>", to: "support@example.com", re: []string{first.id}})
		out := w.reply(max.ID, "We are on it.")
		w.advance(40 * 24 * time.Hour)
		w.check(w.session(cleo.ID).Messages == 1, "OFF, but the mail came in")
		w.state(cleo.ID, session.Unopened)
		w.state(max.ID, session.Active) // a timer would have paused it
		w.check(len(w.answers("max@customer.example")) == 0, "OFF, but the reply went out")
		w.check(w.session(max.ID).Agent == max.Agent, "OFF, but the agent is %q", w.session(max.ID).Agent)
		w.untouched("support@example.com", 2)

		// ON: it goes on where it stopped, nothing lost and nothing twice.
		w.settings(channelOn(true))
		w.advance(time.Second) // not only when the jobs next run
		w.once(cleo.ID, "cleo@customer.example", back.id, 2)
		if got := w.answers("max@customer.example"); len(got) != 1 || got[0].id() != out.Message.MessageID {
			w.t.Errorf("the reply arrived %d times", len(got))
		}
		w.state(max.ID, session.Paused)

		// A short OFF keeps a reply no longer than it lasts.
		w.settings(channelOn(false))
		time.Sleep(1100 * time.Millisecond) // for which a function may still believe in ON
		w.reply(max.ID, "It is on its way.")
		w.check(len(w.answers("max@customer.example")) == 1, "OFF, but the second reply went out")
		w.settings(channelOn(true))
		w.eventually("the second reply", func() bool { return len(w.answers("max@customer.example")) == 2 })
		w.advance(6 * time.Minute)
		w.check(len(w.answers("max@customer.example")) == 2, "and twice")
		w.once(cleo.ID, "cleo@customer.example", back.id, 2)
	})
	w.row("CH-1 mail in flight", func(w *world) {
		// The channel goes OFF between the arrival of a mail and its answer.
		w.freeze(true)
		w.fault(`{"deliver":"session-changed.autoreply","delay":"1h","times":1}`)
		w.fault(`{"deliver":"session-changed.route","delay":"1h","times":1}`)
		p := w.mail(post{from: "flo@customer.example", to: "support@example.com"})
		w.eventually("a session", func() bool { return len(w.sessions("flo@customer.example")) == 1 })
		w.settings(channelOn(false))
		w.freeze(false)
		w.advance(2 * time.Hour)
		flo := w.one("flo@customer.example")
		w.check(len(w.autos("flo@customer.example")) == 0, "OFF, but answered")
		w.check(flo.Agent == "" && flo.Waiting, "OFF, but assigned to %q", flo.Agent)
		w.settings(channelOn(true))
		w.advance(10 * time.Minute)
		w.check(w.session(flo.ID).Agent != "", "ON again, but not assigned")
		w.once(flo.ID, "flo@customer.example", p.id, 1)
	})
}

// once holds that a mail is in its session once, that this has so many
// messages in, and that the customer got one auto-response.
func (w *world) once(id, addr, messageID string, in int) {
	w.t.Helper()
	n, all := 0, 0
	for _, m := range w.messages(id) {
		if m.Direction == channel.In {
			all++
		}
		if m.MessageID == messageID {
			n++
		}
	}
	w.check(n == 1 && all == in, "session %s has mail %s %d times, and %d mails in all, not %d", id, messageID, n, all, in)
	autos := w.autos(addr)
	w.check(len(autos) == 1, "%s got %d auto-responses", addr, len(autos))
}

// eventually waits for what the suite's idleness cannot tell, because something
// is held back on purpose.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("there never was %s", what)
}
