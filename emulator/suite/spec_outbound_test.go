package suite_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// AG-3: what becomes of mail on its way out, an agent's and our own. The queue
// hilfe sends by a server of the test.
func specOutbound(t *testing.T) {
	w := site(t, nil)
	relay := newRelay(t)
	w.done("admin", "PUT", "/v1/accounts/hilfe", w.form("hilfe", func(m map[string]any) { m["outgoing"] = w.at(relay.addr) }))
	w.inForce()
	w.row("AG-3 sending and accepted", func(w *world) { accepted(w, relay) })
	w.row("AG-3 4xx", func(w *world) { triedAgain(w, relay) })
	w.row("AG-3 5xx", func(w *world) { refusedForGood(w, relay) })
	w.row("AG-3 uncertain", func(w *world) { uncertain(w, relay) })
	w.row("AG-3 bounces", bounces)
}

// conversation is a new session in hilfe whose customer was answered already.
func (w *world) conversation(name string) channel.Session {
	w.t.Helper()
	s, _ := w.begin(name+"@customer.example", "hilfe@example.com")
	return s
}

// outbound is a mail on its way out as a state's list shows it, nil if it is not there.
func (w *world) outbound(state channel.OutState, message string) *channel.Outbound {
	w.t.Helper()
	all := list[channel.Outbound](w, "/v1/outbound?state="+string(state))
	i := slices.IndexFunc(all, func(o channel.Outbound) bool { return o.Message == message })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// stands holds that a mail is in a state and in no other.
func (w *world) stands(message string, want channel.OutState) channel.Outbound {
	w.t.Helper()
	var got channel.Outbound
	for _, st := range []channel.OutState{channel.Queued, channel.Sending, channel.Accepted, channel.Rejected, channel.Uncertain} {
		o := w.outbound(st, message)
		if o != nil {
			got = *o
		}
		if (o != nil) != (st == want) {
			w.t.Errorf("mail %s: %s is %t, and it should be %s: %+v", message, st, o != nil, want, got)
		}
	}
	return got
}

// auto is the auto-response in a session.
func (w *world) auto(id string) channel.Message {
	w.t.Helper()
	all := w.messages(id)
	i := slices.IndexFunc(all, func(m channel.Message) bool { return m.Auto })
	if i < 0 {
		w.t.Fatalf("session %s has no auto-response", id)
	}
	return all[i]
}

// given counts the contents that the relay was given with a Message-ID.
func (r *relay) given(id string) int {
	kept, _ := r.kept()
	n := 0
	for _, raw := range kept {
		if bytes.Contains(raw, []byte("Message-ID: <"+id+">")) || bytes.Contains(raw, []byte("Message-Id: <"+id+">")) {
			n++
		}
	}
	return n
}

func accepted(w *world, relay *relay) {
	s := w.conversation("accepted")
	auto := w.auto(s.ID)
	w.stands(auto.ID, channel.Accepted)
	w.check(relay.given(auto.MessageID) == 1, "the auto-response was given %d times", relay.given(auto.MessageID))

	// While the server has the content it is sending.
	at, release := make(chan struct{}), make(chan struct{})
	relay.set(func(op string) error {
		if op == "data" {
			close(at)
			<-release
		}
		return nil
	})
	out := decoded[sent](w, w.done("supervisor", "POST", "/v1/sessions/"+s.ID+"/reply", map[string]any{"text": "Hello."}))
	w.check(out.Outbound.State == channel.Queued, "a new mail is %s", out.Outbound.State)
	<-at
	o := w.stands(out.Message.ID, channel.Sending)
	close(release)
	w.idle()
	relay.set(nil)
	done := w.stands(out.Message.ID, channel.Accepted)
	w.check(o.ID == done.ID && done.Answer != "" && relay.given(out.Message.MessageID) == 1, "%+v", done)

	// The same request again is the same mail; another one under its key is refused.
	body := map[string]any{"text": "Once."}
	path := "/v1/sessions/" + s.ID + "/reply"
	first := decoded[sent](w, w.askAs("supervisor", "POST", path, "key-1", body))
	again := w.askAs("supervisor", "POST", path, "key-1", body)
	w.idle()
	w.check(again.status < 300 && decoded[sent](w, again).Message.ID == first.Message.ID && relay.given(first.Message.MessageID) == 1, "%d %s", again.status, again.body)
	other := w.askAs("supervisor", "POST", path, "key-1", map[string]any{"text": "Twice."})
	w.check(other.status == http.StatusConflict, "another mail under the same key: %d %s", other.status, other.body)
}

func triedAgain(w *world, relay *relay) {
	s := w.conversation("slow")
	relay.refuse("mail", 451, smtp.EnhancedCode{4, 7, 1}, "Greylisted, come back")
	out := w.reply(s.ID, "Hello.")
	var waits []time.Duration
	attempts := 0
	for range 67 { // in steps in which Sweep comes once, also when real seconds pass
		o := w.stands(out.Message.ID, channel.Queued)
		w.check(strings.Contains(o.Answer, "451 4.7.1 Greylisted, come back"), "the answer is %q", o.Answer)
		if o.Attempts > attempts {
			attempts = o.Attempts
			waits = append(waits, o.Due.Sub(o.UpdatedAt))
		}
		w.advance(3 * time.Minute)
	}
	w.check(len(waits) >= 5 && len(waits) < 9, "%d attempts in 200 minutes", len(waits))
	for i := 1; i < len(waits); i++ {
		w.check(waits[i] == min(2*waits[i-1], 2*time.Hour), "waits %v do not double up to two hours", waits)
	}
	relay.set(nil)
	w.advance(3 * time.Hour)
	w.stands(out.Message.ID, channel.Accepted)
	w.check(relay.given(out.Message.MessageID) == 1, "given %d times", relay.given(out.Message.MessageID))

	// Not for ever, and the auto-response like any mail.
	relay.refuse("rcpt", 452, smtp.EnhancedCode{4, 2, 2}, "Mailbox is full")
	full := w.conversation("full")
	auto := w.auto(full.ID)
	w.stands(auto.ID, channel.Queued)
	w.advance(5 * day)
	for range 8 { // and not after less than eight tries, however fast the time went by
		w.advance(3 * time.Hour)
	}
	o := w.stands(auto.ID, channel.Rejected)
	w.check(strings.Contains(o.Answer, "452 4.2.2 Mailbox is full"), "%+v", o)
	relay.set(nil)
	w.advance(3 * day)
	w.check(relay.given(auto.MessageID) == 0, "sent all the same")
}

func refusedForGood(w *world, relay *relay) {
	for op, answer := range map[string]string{"rcpt": "No such user", "data": "We take no lamps"} {
		relay.refuse(op, 550, smtp.EnhancedCode{5, 1, 1}, answer)
		s := w.conversation("refused-" + op)
		out := w.reply(s.ID, "Hello.")
		for _, m := range []channel.Message{out.Message, w.auto(s.ID)} {
			o := w.stands(m.ID, channel.Rejected)
			w.check(strings.Contains(o.Answer, "550 5.1.1 "+answer), "%s: the answer is %q", op, o.Answer)
		}
		i := slices.IndexFunc(w.history(s.ID), func(h channel.History) bool {
			return h.Kind == session.KindSendFailed && h.Message == out.Message.ID && strings.Contains(h.Note, answer)
		})
		w.check(i >= 0, "%s: the session does not tell: %v", op, w.kinds(s.ID))
		_, before := relay.kept()
		relay.set(nil)
		w.advance(2 * day)
		_, after := relay.kept()
		w.check(after == before, "%s: tried again", op)
	}
}

func uncertain(w *world, relay *relay) {
	// lost has a mail of an agent whose server never answered.
	lost := func(name string) (channel.Session, sent) {
		w.t.Helper()
		s := w.conversation(name)
		relay.set(func(op string) error {
			if op == "answer" {
				return errHangUp
			}
			return nil
		})
		out := w.reply(s.ID, "Hello.")
		relay.set(nil)
		w.stands(out.Message.ID, channel.Uncertain)
		return s, out
	}
	s, out := lost("agent")
	i := slices.IndexFunc(w.history(s.ID), func(h channel.History) bool { return h.Kind == session.KindSendFailed && h.To == "uncertain" })
	w.check(i >= 0, "the session does not tell: %v", w.kinds(s.ID))
	w.advance(6 * day)
	o := w.stands(out.Message.ID, channel.Uncertain)
	w.check(relay.given(out.Message.MessageID) == 1, "given %d times", relay.given(out.Message.MessageID))
	// The agent decides: it arrived, or once more, under the same Message-ID.
	resolve := "/v1/outbound/" + o.ID + "/resolve"
	w.refused(http.StatusUnprocessableEntity, "supervisor", "POST", resolve, map[string]any{"resolution": "perhaps"}, "resolution")
	w.do("supervisor", "POST", resolve, map[string]any{"resolution": "accepted"})
	w.stands(out.Message.ID, channel.Accepted)
	w.refused(http.StatusConflict, "supervisor", "POST", resolve, map[string]any{"resolution": "resend"}, "accepted")
	_, out = lost("resend")
	o = w.stands(out.Message.ID, channel.Uncertain)
	w.do("supervisor", "POST", "/v1/outbound/"+o.ID+"/resolve", map[string]any{"resolution": "resend"})
	w.stands(out.Message.ID, channel.Accepted)
	w.check(relay.given(out.Message.MessageID) == 2, "given %d times", relay.given(out.Message.MessageID))

	// The folder of sent mail has it.
	_, out = lost("filed")
	kept, _ := relay.kept()
	w.put("hilfe@example.com", "Sent", kept[len(kept)-1], nil)
	w.advance(2 * time.Hour)
	w.stands(out.Message.ID, channel.Accepted)
	w.check(relay.given(out.Message.MessageID) == 1, "given %d times", relay.given(out.Message.MessageID))

	// A report about it: the server had it.
	for action, want := range map[string]channel.OutState{"delivered": channel.Accepted, "failed": channel.Accepted} {
		s, out = lost("report-" + action)
		w.reportOf(s, out.Message.MessageID, action)
		w.stands(out.Message.ID, want)
		w.check(relay.given(out.Message.MessageID) == 1, "%s: given %d times", action, relay.given(out.Message.MessageID))
	}

	// An auto-response likewise: never twice.
	relay.set(func(op string) error {
		if op == "answer" {
			return errHangUp
		}
		return nil
	})
	s = w.conversation("auto")
	relay.set(nil)
	auto := w.auto(s.ID)
	w.stands(auto.ID, channel.Uncertain)
	w.advance(2 * day)
	w.check(relay.given(auto.MessageID) == 1, "given %d times", relay.given(auto.MessageID))
}

func bounces(w *world) {
	s, _ := w.begin("bounced@customer.example", support)
	out := w.reply(s.ID, "Hello.")
	w.reportOf(s, out.Message.MessageID, "failed")
	all := w.messages(s.ID)
	i := slices.IndexFunc(all, func(m channel.Message) bool { return m.ID == out.Message.ID })
	w.check(i >= 0 && strings.Contains(all[i].Bounced, "5.1.1") && strings.Contains(all[i].Bounced, "bounced@customer.example"), "the mail does not tell: %+v", all[i])
	o := w.stands(out.Message.ID, channel.Accepted)
	w.check(strings.Contains(o.Bounced, "5.1.1"), "%+v", o)
	w.check(w.one("bounced@customer.example").ID == s.ID && slices.Contains(w.kinds(s.ID), "bounced"), "%v", w.kinds(s.ID))
	w.check(len(w.box("mailer-daemon@mx.customer.example")) == 0, "the bounce was answered")
}
