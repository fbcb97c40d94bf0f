package channel_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/session"
)

// waiters is a channel whose answers name the ticket, with the functions that
// see to that, and a CRM that may be down.
type waiters struct {
	*desks
	id      string // the session that a mail began
	down    error
	tickets ledger
	handled int // events so far
}

func newWaiters(t *testing.T, change map[string]any) *waiters {
	w := &waiters{desks: newDesks(t)}
	err := w.docs.Write(t.Context(), func(tx channel.Tx) {
		set := map[string]any{"crm.kind": "zendesk", "crm.flush_seconds": 1, "record": crm.Default()}
		queue := map[string]any{"response.on": true, "response.html": "<p>Ticket @{ticket_id}.</p>"}
		for k, v := range change {
			if strings.HasPrefix(k, "response.") {
				queue[k] = v
			} else {
				set[k] = v
			}
		}
		tx.Patch("settings/channel", set)
		tx.Patch("queues/support", queue)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.desk.Config = channel.NewConfiguration(w.docs)
	w.id = w.inbound("support")
	return w
}

func (w *waiters) Create(ctx context.Context, key string, f crm.Facts, lookup bool) (string, bool, error) {
	if w.down != nil {
		return "", false, w.down
	}
	return w.tickets.Create(ctx, key, f, lookup)
}

func (w *waiters) Apply(ctx context.Context, changes []channel.Change) []error {
	return w.tickets.Apply(ctx, changes)
}

func (w *waiters) respond(e event.Session) {
	w.Helper()
	r := channel.Respond{Docs: w.docs, Archive: w.archive, Bus: w.bus, Secrets: w.secrets, Config: w.desk.Config, Now: w.clock}
	if err := r.Handle(w.Context(), e); err != nil {
		w.Fatal(err)
	}
}

// events are those of sessions from the nth on.
func (w *waiters) events(from int) []event.Session {
	w.Helper()
	var out []event.Session
	for _, m := range w.bus.sent[event.TopicSession][from:] {
		var e event.Session
		if err := json.Unmarshal(m.Data, &e); err != nil {
			w.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// answer has all new events handled by those who answer, and record if it is to.
func (w *waiters) answer(record bool) {
	w.Helper()
	for _, e := range w.events(w.handled) {
		w.handled++
		w.respond(e)
		if !record {
			continue
		}
		r := channel.Record{Docs: w.docs, Bus: w.bus, Config: w.desk.Config, Now: w.clock}
		if err := r.Handle(w.Context(), e); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *waiters) flush() error {
	f := channel.Flush{Docs: w.docs, Bus: w.bus, Config: w.desk.Config, Now: w.clock, Connect: func(context.Context, channel.CRMSettings) (channel.CRM, error) { return w, nil }}
	return f.Handle(w.Context())
}

func (w *waiters) sweep() {
	w.Helper()
	s := channel.Sweep{Docs: w.docs, Bus: w.bus, Config: w.desk.Config, Now: w.clock}
	if err := s.Handle(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// texts are the auto-responses that were written.
func (w *waiters) texts() []string {
	w.Helper()
	p, err := w.read.Messages(w.Context(), sam, w.id, channel.PageRequest{})
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for _, m := range p.Items {
		if m.Auto {
			out = append(out, strings.TrimSpace(m.Text))
		}
	}
	return out
}

func (w *waiters) expect(when string, want ...string) {
	w.Helper()
	if got := w.texts(); strings.Join(got, "|") != strings.Join(want, "|") {
		w.Fatalf("%s: answers %q, not %q", when, got, want)
	}
}

// again has every event so far handled once more, the latest first.
func (w *waiters) again() {
	w.Helper()
	all := w.events(0)
	for i := len(all) - 1; i >= 0; i-- {
		w.respond(all[i])
	}
}

// TestAnswerWaitsForTheTicket shows AR-5: the answer has the ticket's ID where
// the CRM makes one within the time, and goes once, whatever comes twice.
func TestAnswerWaitsForTheTicket(t *testing.T) {
	w := newWaiters(t, nil)
	w.answer(true)
	w.again()
	w.expect("without a ticket")
	if got := w.kinds(w.id); got[len(got)-1] != session.KindAwaiting {
		t.Errorf("history %v does not tell that it waits", got)
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	w.answer(true)
	w.expect("with a ticket", "Ticket 1.")
	w.again()
	w.pass(6 * time.Minute)
	w.sweep()
	w.answer(true)
	w.expect("much later", "Ticket 1.")
	if n := len(w.bus.sent[event.TopicSession]); n != 2 {
		t.Errorf("%d events of the session, not its arrival and the end of the wait", n)
	}
}

// TestAnswerWaitsInAnyOrder: whoever is first of record and respond, and with
// the ticket made before the answer is thought of.
func TestAnswerWaitsInAnyOrder(t *testing.T) {
	w := newWaiters(t, nil)
	e := w.events(0)[0]
	r := channel.Record{Docs: w.docs, Bus: w.bus, Config: w.desk.Config, Now: w.clock}
	if err := r.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	w.answer(false)
	w.expect("with a ticket already", "Ticket 1.")
}

// TestAnswerWithoutATicket shows the fallback: at most five minutes after the
// mail, by flush or, should that stand still, by sweep, and then no second one.
func TestAnswerWithoutATicket(t *testing.T) {
	for name, publish := range map[string]func(*waiters){
		"flush": func(w *waiters) {
			if err := w.flush(); err != nil {
				w.Fatal(err)
			}
		},
		"sweep": (*waiters).sweep,
		"both": func(w *waiters) {
			w.sweep()
			if err := w.flush(); err != nil {
				w.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiters(t, nil)
			w.down = errors.New("503")
			arrived := w.now
			w.answer(true)
			w.pass(3 * time.Minute)
			publish(w)
			w.answer(true)
			w.expect("after three minutes")
			w.pass(time.Minute)
			publish(w)
			w.answer(true)
			w.expect("after four minutes", "Ticket not yet assigned.")
			if took := w.now.Sub(arrived); took > 5*time.Minute {
				t.Errorf("it took %s", took)
			}
			w.down = nil
			w.pass(20 * time.Minute)
			if err := w.flush(); err != nil {
				t.Fatal(err)
			}
			w.answer(true)
			w.again()
			w.expect("with a ticket at last", "Ticket not yet assigned.")
			if len(w.tickets.created) != 1 {
				t.Errorf("%d tickets", len(w.tickets.created))
			}
		})
	}
}

// TestAnswerAfterALostRelease: the ticket is stored, and the event that ends
// the wait is not published.
func TestAnswerAfterALostRelease(t *testing.T) {
	w := newWaiters(t, nil)
	w.answer(true)
	w.bus.down = errors.New("unavailable")
	if err := w.flush(); err == nil {
		t.Fatal("the lost event is no error")
	}
	w.bus.down = nil
	w.answer(true)
	w.expect("with the event lost")
	w.pass(5 * time.Minute)
	w.sweep()
	w.answer(true)
	w.expect("after a sweep", "Ticket 1.")
}

// TestAnswerWaitsWhileOff shows CH-1: what waits when the channel goes OFF goes
// when it is ON again.
func TestAnswerWaitsWhileOff(t *testing.T) {
	w := newWaiters(t, nil)
	w.answer(true)
	turn := func(on bool) {
		if err := w.docs.Write(t.Context(), func(tx channel.Tx) { tx.Patch("settings/channel", map[string]any{"email": on}) }); err != nil {
			t.Fatal(err)
		}
		w.desk.Config = channel.NewConfiguration(w.docs)
	}
	turn(false)
	w.pass(time.Hour)
	w.sweep()
	w.answer(false)
	w.expect("OFF")
	turn(true)
	w.sweep()
	w.answer(false)
	w.expect("ON", "Ticket not yet assigned.")
}

// TestAnswerToAnErasedMail: nobody is left whom the answer could go to.
func TestAnswerToAnErasedMail(t *testing.T) {
	w := newWaiters(t, nil)
	w.answer(true)
	w.erase("cleo@customer.example")
	w.pass(5 * time.Minute)
	w.sweep()
	w.answer(true)
	w.expect("erased")
	if n := w.bus.count(event.TopicOutbound); n != 0 {
		t.Errorf("%d mails", n)
	}
}

// TestOtherWordingsAreErased: an attempt that ended before its commit may have
// left the answer in other words, without the ticket say.
func TestOtherWordingsAreErased(t *testing.T) {
	w := newWaiters(t, map[string]any{"crm.kind": "none"})
	w.answer(true)
	id := channel.ResponseID(w.events(0)[0].ID)
	for _, name := range []string{"out/" + id + "-earlier.eml", "out/other-words.eml"} {
		if err := w.archive.Put(t.Context(), name, "message/rfc822", strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	w.accepted(id)
	w.erase("cleo@customer.example")
	if left := w.archive.names("out/"); !slices.Equal(left, []string{"out/other-words.eml"}) {
		t.Errorf("left %v", left)
	}
}

// TestAnswerThatNeedNotWait: nothing is to be waited for.
func TestAnswerThatNeedNotWait(t *testing.T) {
	quiet := crm.Default()
	quiet.Incoming = false
	for name, c := range map[string]struct {
		change map[string]any
		late   time.Duration
		want   string
	}{
		"no CRM":         {map[string]any{"crm.kind": "none"}, 0, "Ticket not yet assigned."},
		"no tag":         {map[string]any{"response.html": "<p>Thanks.</p>"}, 0, "Thanks."},
		"incoming OFF":   {map[string]any{"record": quiet}, 0, "Ticket not yet assigned."},
		"the event late": {nil, 4 * time.Minute, "Ticket not yet assigned."},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiters(t, c.change)
			w.pass(c.late)
			w.answer(true)
			w.expect("at once", c.want)
		})
	}
}
