package kill_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/faults"
	"emailchannel.dev/emailchannel/emulator/replay"
)

// TestWhateverHappens shows OP-4 and AS-6: it feeds random threads, in any
// order and some twice, while anything fails at random, and holds what must be
// true afterwards. The seed is in the log; EMULATOR_SEED repeats it.
func TestWhateverHappens(t *testing.T) {
	seed, rounds := uint64(time.Now().UnixNano()), 4
	if v := os.Getenv("EMULATOR_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("EMULATOR_SEED: %v", err)
		}
		seed, rounds = n, 1
	}
	for i := range rounds {
		seed := seed + uint64(i)
		t.Run(fmt.Sprintf("EMULATOR_SEED=%d", seed), func(t *testing.T) {
			t.Parallel()
			anything(t, seed, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

func anything(t *testing.T, seed uint64, r *rand.Rand) {
	w := start(t, false)
	mails := threads(t, r, 25)
	for _, rule := range troubles(t, r) {
		if err := w.Faults.Add(rule); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range r.Perm(len(mails)) {
		w.deliver(mails[i])
		switch r.IntN(8) {
		case 0:
			w.deliver(mails[i]) // once more to the same mailbox
		case 1:
			other := mails[i]
			other.to = pick(r, inboxes) // or as a copy to another
			w.deliver(other)
		case 2:
			time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
		}
	}
	w.calm()
	w.Clock.Advance(6 * time.Minute)
	w.Faults.Clear()
	w.settle()
	s, uncertain := w.verify(mails)
	merged := 0
	for _, v := range s.sessions {
		if v.MergedInto != "" {
			merged++
		}
	}
	t.Logf("%d mails, %d sessions, %d of them merged, %d answers uncertain", len(mails), len(s.sessions), merged, uncertain)
}

var inboxes = []string{"support@example.com", "billing@example.com", "hilfe@example.com"}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// threads makes mails of n threads, each mail but the first with a random
// earlier one of its thread as parent, which it names in In-Reply-To, in
// References or in both.
func threads(t *testing.T, r *rand.Rand, n int) []letter {
	t.Helper()
	var out []replay.Mail
	for thread := range n {
		var chains []string // References of a reply to each mail of the thread
		to := pick(r, inboxes)
		for i := range 1 + r.IntN(6) {
			id, head, refs := fmt.Sprintf("<%d.%d.%d@mail.example.net>", thread, i, r.Uint32()), "", ""
			if i > 0 {
				refs = pick(r, chains)
				parent := refs[strings.LastIndexByte(refs, '<'):]
				switch r.IntN(4) {
				case 0:
					head = "In-Reply-To: " + parent + "\r\n"
				case 1:
					head = "References: " + refs + "\r\n"
				case 2:
					head = "References: " + parent + "\r\n"
				default:
					head = "In-Reply-To: " + parent + "\r\nReferences: " + refs + "\r\n"
				}
			}
			chains = append(chains, strings.TrimSpace(refs+" "+id))
			raw := fmt.Sprintf("From: Customer %[1]d <customer%[1]d@example.net>\r\nTo: %[2]s\r\nSubject: About %[1]d\r\nDate: Mon, 2 Mar 2026 08:%02[3]d:00 +0000\r\nMessage-ID: %[4]s\r\n%[5]s\r\nMail %[3]d.\r\n", thread, to, i, id, head)
			out = append(out, replay.Mail{Raw: []byte(raw)})
		}
	}
	return read(t, out)
}

// troubles are crashes at random steps, services that refuse a few calls, and
// deliveries that are repeated, late, out of order or not known to be taken.
func troubles(t *testing.T, r *rand.Rand) []faults.Rule {
	t.Helper()
	steps := sourceSteps(t)
	var out []faults.Rule
	for range 8 {
		out = append(out, faults.Rule{Kill: pick(r, steps), Times: 1 + r.IntN(3)})
	}
	services := []faults.Rule{
		{Fail: "firestore", Op: "Commit"}, {Fail: "firestore", Op: "BatchGetDocuments"}, {Fail: "firestore", Op: "RunQuery"}, {Fail: "firestore"},
		{Fail: "pubsub", Op: "Publish"}, {Fail: "storage", Op: "POST"}, {Fail: "storage", Op: "GET"}, {Fail: "secrets"},
		{Fail: "smtp", Op: "connect"}, {Fail: "smtp", Op: "auth"}, {Fail: "smtp", Op: "mail"}, {Fail: "smtp", Op: "rcpt"}, {Fail: "smtp", Op: "data-answer", Drop: true},
		{Fail: "imap", Op: "login"}, {Fail: "imap", Op: "literal", Drop: true}, {Fail: "imap", Op: "fetch"},
		{Fail: "zendesk"}, {Fail: "zendesk", Op: "CreateTicket"},
	}
	for range 6 {
		rule := pick(r, services)
		rule.Times = 1 + r.IntN(12)
		out = append(out, rule)
	}
	for range 4 {
		out = append(out, faults.Rule{Deliver: "*", Duplicate: r.IntN(3), Reorder: r.IntN(2) == 0, DropAck: r.IntN(3) == 0, Delay: faults.Duration(r.IntN(200)) * faults.Duration(time.Millisecond), Times: 5 + r.IntN(15)})
	}
	return out
}
