package suite_test

import (
	"fmt"
	"net/mail"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
)

// Wars of machines, which must end by themselves.
func specLoops(t *testing.T) {
	w := site(t, nil)
	w.row("AR-6 own queues", ownQueues)
	w.row("AR-6 robots", robots)
}

const (
	billing = "billing@example.com"
	capped  = "loop cap: 10 answers to this address in 3h0m0s"
)

// ownQueues: nothing makes two queues of ours answer each other for ever.
func ownQueues(w *world) {
	// Mail that pretends to be from the other queue, also from a detail of its
	// address, which a provider would deliver there.
	for _, from := range []string{billing, "BILLING@Example.com", "billing+shop@example.com", "Billing <billing+1@example.com>"} {
		w.write(post{from: from, to: support})
		w.newest("own address")
	}
	w.check(len(w.box(billing)) == 0, "the other queue got %d mails", len(w.box(billing)))

	// A customer whose mailbox forwards to the other queue: as it is, without
	// the header that tells an answer, and under the customer's own name.
	relayed := func(name string, rewrite func(s stored, to string) post) (answers int) {
		w.t.Helper()
		addr, to := name+"@customer.example", support
		w.write(post{from: addr, to: to})
		answers = w.volley(addr, func(s stored) post {
			if to == support {
				to = billing
			} else {
				to = support
			}
			return rewrite(s, to)
		})
		return answers
	}
	n := relayed("forward", func(s stored, to string) post {
		return post{from: s.head.Get("From"), to: to, head: []string{"Auto-Submitted: auto-replied"}}
	})
	w.check(n == 1, "forwarded as it is: %d answers, not 1", n)
	n = relayed("strip", func(s stored, to string) post { return post{from: s.head.Get("From"), to: to} })
	w.check(n == 1, "forwarded without its headers: %d answers, not 1", n)
	n = relayed("resend", func(s stored, to string) post { return post{from: "resend@customer.example", to: to} })
	w.check(n == 10, "sent on under the customer's name, to either queue in turn: %d answers, not 10", n)
	w.newest(capped)
}

// robots answer each of our mails and show in no header that they do.
func robots(w *world) {
	for _, tc := range []struct {
		name    string
		answers int
		write   func(round int, s stored) post
	}{
		{"reply", 1, func(_ int, s stored) post {
			return post{from: "reply@robot.example", subject: "Re: " + s.head.Get("Subject"), re: []string{s.id()}}
		}},
		{"fresh", 10, func(int, stored) post { return post{from: "fresh@robot.example"} }},
		{"subject", 10, func(round int, _ stored) post {
			return post{from: "subject@robot.example", subject: fmt.Sprintf("Ticket %d was opened", round)}
		}},
		{"plus", 10, func(round int, _ stored) post {
			return post{from: fmt.Sprintf("Plus <plus+%d@robot.example>", round), subject: fmt.Sprintf("Ticket %d", round)}
		}},
		{"case", 10, func(round int, _ stored) post {
			return post{from: []string{"Case@robot.example", "case@Robot.Example"}[round%2]}
		}},
		{"unknown", 10, func(round int, _ stored) post {
			return post{from: "unknown@robot.example", re: []string{fmt.Sprintf("%d@robot.example", round)}}
		}},
	} {
		addr := tc.name + "@robot.example"
		w.write(post{from: addr, to: support})
		round := 0
		n := w.volley(addr, func(s stored) post {
			round++
			p := tc.write(round, s)
			p.to = support
			return p
		})
		w.check(n == tc.answers, "%s: %d answers, not %d", tc.name, n, tc.answers)
		if tc.answers == 10 {
			w.newest(capped)
		}
	}
	// When the window is over, the cap is free again.
	w.advance(3*time.Hour + time.Minute)
	before := len(w.box("fresh@robot.example"))
	w.write(post{from: "fresh@robot.example", to: support})
	w.check(len(w.box("fresh@robot.example")) == before+1, "no answer after the window")
}

// volley has a machine write a mail for each one that it gets, until it gets
// none any more, and returns how many it got. What it writes from becomes the
// mailbox that it reads next.
func (w *world) volley(addr string, write func(s stored) post) int {
	w.t.Helper()
	const most = 30
	seen := map[string]int{}
	for n := 0; n < most; n++ {
		box := w.box(addr)
		if len(box) == seen[addr] {
			return n
		}
		seen[addr] = len(box)
		p := w.write(write(box[len(box)-1]))
		if a, err := mail.ParseAddress(p.from); err == nil && !strings.HasSuffix(a.Address, "@example.com") {
			addr = strings.ToLower(a.Address)
		}
	}
	w.t.Errorf("%s: a war without an end", addr)
	return most
}

// newest holds why the first mail of the session that changed last was not answered.
func (w *world) newest(why string) {
	w.t.Helper()
	s := list[channel.Session](w, "/v1/sessions")[0]
	if m := w.first(s.ID); m.NoAnswer != why {
		w.t.Errorf("session of %s: no_answer %q, not %q", s.Consumer.Addr, m.NoAnswer, why)
	}
}
