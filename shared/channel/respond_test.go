package channel_test

import (
	"bytes"
	"context"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/route"
	"emailchannel.dev/emailchannel/shared/session"
)

// prompt is a bus that has every session's event handled before Publish
// returns, as a push that is faster than its publisher.
type prompt struct {
	respond *channel.Respond
	handled int
}

func (p *prompt) Publish(ctx context.Context, topic string, ms ...event.Message) error {
	if topic != event.TopicSession {
		return nil
	}
	for range ms {
		p.handled++
		if err := p.respond.Handle(ctx, event.Session{ID: "received-1", Session: "S", Queue: "support", Message: "m", Scenario: "first"}); err != nil {
			return err
		}
	}
	return nil
}

// TestKeptWhileOff shows CH-1: an answer that the channel owes when it goes OFF
// is still owed after many sweeps, and no event goes round meanwhile.
func TestKeptWhileOff(t *testing.T) {
	d := newDesks(t)
	turn := func(on bool) (*channel.Sweep, *prompt) {
		err := d.docs.Write(t.Context(), func(tx channel.Tx) { tx.Patch("settings/channel", map[string]any{"email": on}) })
		if err != nil {
			t.Fatal(err)
		}
		conf := channel.NewConfiguration(d.docs)
		bus := &prompt{respond: &channel.Respond{Docs: d.docs, Archive: d.archive, Secrets: d.secrets, Config: conf, Now: d.clock}}
		return &channel.Sweep{Docs: d.docs, Bus: bus, Config: conf, Now: d.clock}, bus
	}
	err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		tx.Patch("queues/support", map[string]any{"response.on": true})
		tx.Set("sessions/S/history/received-1", channel.History{ID: "received-1", Session: "S", Queue: "support", Scenario: "first", Due: d.clock()})
	})
	if err != nil {
		t.Fatal(err)
	}
	sweep, bus := turn(false)
	for range 3 {
		if err := sweep.Handle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if bus.handled != 1 {
		t.Errorf("OFF, and its event went round %d times", bus.handled)
	}
	sweep, bus = turn(true)
	for range 3 {
		if err := sweep.Handle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if bus.handled != 1 {
		t.Errorf("ON again, and its event came %d times", bus.handled)
	}
}

// TestNextWorkingDate shows AR-5 and QU-6: the date passes over holidays, and a
// queue that never opens has none. The mail came on Monday, 2 March 2026.
func TestNextWorkingDate(t *testing.T) {
	office := hours.Hours{Zone: "Europe/Berlin"}
	for day := time.Monday; day <= time.Friday; day++ {
		office.Week = append(office.Week, hours.Interval{Day: day, From: 9 * 60, To: 17 * 60})
	}
	bridged := office
	bridged.Holidays = []hours.Holiday{
		{Name: "Bridge", Date: hours.Date{Year: 2026, Month: time.March, Day: 3}, Folder: "2026"},
		{Name: "Feast", Date: hours.Date{Year: 1999, Month: time.March, Day: 4}, Recurring: true},
	}
	week := bridged
	week.Holidays = append(slices.Clone(bridged.Holidays), hours.Holiday{Name: "Thursday", Date: hours.Date{Year: 2026, Month: time.March, Day: 5}}, hours.Holiday{Name: "Friday", Date: hours.Date{Year: 2026, Month: time.March, Day: 6}})
	never := office
	for d := (hours.Date{Year: 2028, Month: time.January, Day: 1}); d.Year == 2028; d = d.AddDays(1) {
		never.Holidays = append(never.Holidays, hours.Holiday{Name: "Strike", Date: d, Recurring: true})
	}
	for name, c := range map[string]struct {
		language string
		hours    hours.Hours
		want     string
	}{
		"tomorrow":            {"en", office, "3 March 2026"},
		"over holidays":       {"id", bridged, "5 Maret 2026"},
		"over the week's end": {"fr", week, "9 mars 2026"},
		"never, English":      {"en", never, "the next working day"},
		"never, Indonesian":   {"id", never, "hari kerja berikutnya"},
		"never, French":       {"fr", never, "prochain jour ouvré"},
		"never, German":       {"de", never, "nächster Werktag"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiters(t, map[string]any{"crm.kind": "none", "response.html": "<p>@{next_working_date}</p>"})
			q := doc[channel.Queue](w.desks, "queues/support")
			q.Language, q.Hours = c.language, c.hours
			if _, err := w.admin.PutQueue(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			w.desk.Config = channel.NewConfiguration(w.docs)
			w.answer(false)
			w.expect(name, c.want)
		})
	}
}

// TestNamesTheAgent shows AR-5: who is assigned stands in the answer, however
// early the answer's turn comes, and where nobody can be, the fallback does.
func TestNamesTheAgent(t *testing.T) {
	for name, c := range map[string]struct {
		assign route.Policy
		agent  string
		want   string
	}{
		"by rank":        {route.Policy{On: true}, "ana@example.com", "Ana writes to you."},
		"nobody is here": {route.Policy{On: true, OnlyLoggedIn: true}, "", "our team writes to you."},
		"by hand":        {route.Policy{}, "", "our team writes to you."},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiters(t, map[string]any{"crm.kind": "none", "response.html": "<p>@{agent} writes to you.</p>"})
			q := doc[channel.Queue](w.desks, "queues/support")
			q.Assign = c.assign
			if _, err := w.admin.PutQueue(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			w.desk.Config = channel.NewConfiguration(w.docs)
			w.answer(false)
			w.expect(name, c.want)
			if s := doc[channel.Session](w.desks, "sessions/"+w.id); s.Agent != c.agent {
				t.Errorf("assigned to %q", s.Agent)
			}
		})
	}
}

// TestNoAnswerWhileQueueOff shows QU-1 and AR-6: why a mail got no answer is
// told, and not of one that was answered before its queue went OFF.
func TestNoAnswerWhileQueueOff(t *testing.T) {
	for _, answered := range []bool{false, true} {
		w := newWaiters(t, map[string]any{"crm.kind": "none", "response.html": "<p>Thanks.</p>"})
		if answered {
			w.answer(false)
		}
		q := doc[channel.Queue](w.desks, "queues/support")
		q.On = false
		if _, err := w.admin.PutQueue(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		w.desk.Config = channel.NewConfiguration(w.docs)
		w.handled = 0
		w.answer(false)
		d, err := w.read.Decisions(t.Context(), sam, w.id, channel.PageRequest{})
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(d.Items, func(d channel.Decision) bool {
			return d.Kind == channel.DecidedSuppress && d.Rule == "queue-off"
		})
		if told == answered {
			t.Errorf("answered before: %t, and the decisions are %+v", answered, d.Items)
		}
	}
}

// TestAnswerFromOutboundOnly shows AR-1 and AC-4: what the customer replies to
// an answer whose sender is never polled comes to the account that he wrote to.
func TestAnswerFromOutboundOnly(t *testing.T) {
	for sender, want := range map[string]string{"": "", "robot": "support@example.com"} {
		w := newWaiters(t, map[string]any{"crm.kind": "none", "response.html": "<p>Thanks.</p>", "response.account": sender})
		err := w.docs.Write(t.Context(), func(tx channel.Tx) {
			tx.Set("accounts/robot", channel.Account{ID: "robot", Address: "robot@example.com", Service: "imap", OutboundOnly: true})
		})
		if err != nil {
			t.Fatal(err)
		}
		w.desk.Config = channel.NewConfiguration(w.docs)
		w.answer(false)
		p, err := w.read.Messages(t.Context(), sam, w.id, channel.PageRequest{})
		if err != nil || len(p.Items) != 2 {
			t.Fatalf("%v, %v", p, err)
		}
		m, err := netmail.ReadMessage(bytes.NewReader(w.archive.objects[p.Items[1].Raw]))
		if err != nil {
			t.Fatal(err)
		}
		if have := strings.Trim(m.Header.Get("Reply-To"), "<>"); have != want {
			t.Errorf("from %q: Reply-To %q, not %q", m.Header.Get("From"), have, want)
		}
	}
}

// TestAnswerListedBehind: what is answered within the instant, as where the clock stands still, is listed behind the
// mail that it answers, whatever the two are called.
func TestAnswerListedBehind(t *testing.T) {
	for range 8 { // IDs decide where times do not
		w := newWaiters(t, map[string]any{"crm.kind": "none", "response.html": "<p>Thanks.</p>"})
		first := w.session(w.id).FirstMessage
		at := doc[channel.History](w.desks, "sessions/"+w.id+"/history/received-"+first).At
		err := w.docs.Write(t.Context(), func(tx channel.Tx) {
			tx.Patch("sessions/"+w.id+"/messages/"+first, map[string]any{"at": at})
		})
		if err != nil {
			t.Fatal(err)
		}
		r := channel.Respond{Docs: w.docs, Archive: w.archive, Bus: w.bus, Secrets: w.secrets, Config: w.desk.Config, Now: func() time.Time { return at }}
		for _, e := range w.events(0) {
			if err := r.Handle(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		msgs, err := w.read.Messages(t.Context(), sam, w.id, channel.PageRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if len(msgs.Items) != 2 || msgs.Items[0].Auto || !msgs.Items[1].Auto {
			t.Fatalf("%d messages, and the answer is not the last", len(msgs.Items))
		}
		h, err := w.read.History(t.Context(), sam, w.id, channel.PageRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if first := h.Items[0].Kind; first != session.KindReceived {
			t.Fatalf("the history begins with %s", first)
		}
	}
}
