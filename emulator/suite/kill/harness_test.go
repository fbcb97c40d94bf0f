// Package kill_test shows what no fault may break (OP-4): it has mail come in
// while functions are ended at each of their steps, and while anything fails.
// It is a package of its own, as it takes as long as all the rest of the suite's
// tests and "go test" gives a package ten minutes.
package kill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/clock"
	"emailchannel.dev/emailchannel/emulator/replay"
	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/emulator/suite/suitetest"
	"emailchannel.dev/emailchannel/emulator/zendesk"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/session"
)

func TestMain(m *testing.M) { suitetest.Main(m) }

// world is a running suite as a test sees it: from outside, and its database.
type world struct {
	*suite.Suite
	t testing.TB
}

// start starts a suite with the demo's configuration, in which the answers of
// one queue wait for their tickets.
func start(t testing.TB, isolate bool) *world {
	t.Helper()
	local := "127.0.0.1:1" // the suite puts its own ports in
	seed := (&suite.Suite{Clock: clock.New(), Addrs: suite.Addrs{SMTP: local, IMAP: local}}).Demo()
	seed.Queues[2].Response.HTML += "<p>Vorgang @{ticket_id}</p>"
	indexes, err := os.ReadFile("../../../terraform/firestore.indexes.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := suite.Start(t.Context(), suite.Options{Data: t.TempDir(), Isolate: isolate, Config: &seed, Indexes: indexes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{s, t}
}

// letter is a mail of the test with what must become of it.
type letter struct {
	raw      []byte
	to, from string
	id       string   // fingerprint
	root     string   // fingerprint of the first mail of its thread
	refs     []string // fingerprints of the ancestors that it names
}

// read parses generated mails. Mails that name each other are one thread.
func read(t testing.TB, mails []replay.Mail) []letter {
	t.Helper()
	root := map[string]string{}
	out := make([]letter, len(mails))
	for i, m := range mails {
		p, err := email.Parse(bytes.NewReader(m.Raw), "", email.DefaultLimits(), nil)
		if err != nil {
			t.Fatal(err)
		}
		l := letter{raw: m.Raw, to: p.To[0].Addr, from: p.From[0].Addr, id: p.Fingerprint, root: p.Fingerprint}
		for _, id := range append(p.InReplyTo, p.References...) {
			l.refs = append(l.refs, email.Fingerprint(id))
		}
		if len(l.refs) > 0 {
			l.root = root[l.refs[0]]
		}
		root[l.id] = l.root
		out[i] = l
	}
	return out
}

// generate makes n mails of customers that only this test has.
func generate(t testing.TB, n int, seed uint64) []letter {
	return read(t, replay.Generate(n, seed, []string{"support@example.com", "billing@example.com", "hilfe@example.com"}))
}

func (w *world) deliver(mails ...letter) {
	w.t.Helper()
	for _, m := range mails {
		if err := w.Mail.Deliver(m.from, []string{m.to}, bytes.NewReader(m.raw)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// call makes a request of the API until it is answered, as a client with an
// idempotency key may, and returns the last status.
func (w *world) call(method, path, key string, body any) int {
	w.t.Helper()
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			w.t.Fatal(err)
		}
	}
	var last string
	for range 100 {
		req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.Addrs.HTTP+path, bytes.NewReader(raw))
		if err != nil {
			w.t.Fatal(err)
		}
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		req.Header.Set("Authorization", "Bearer admin-token")
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		resp, err := http.DefaultClient.Do(req)
		last = fmt.Sprint(err)
		if err == nil {
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			last = fmt.Sprintf("%s %s", resp.Status, text)
			if resp.StatusCode < 500 {
				if resp.StatusCode >= 400 && resp.StatusCode != http.StatusNotFound {
					w.t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, text)
				}
				return resp.StatusCode
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Errorf("%s %s: no answer but %s", method, path, last)
	return 0
}

// calm waits for the suite to be idle, but not for retries that the clock has
// to bring.
func (w *world) calm() bool {
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Second)
	defer cancel()
	return w.WaitIdle(ctx) == nil
}

// settle lets time pass until nothing is left to do: leases end, retries and
// the minute's jobs come, sweep takes up what is overdue.
func (w *world) settle() {
	w.t.Helper()
	var left string
	for range 20 {
		if !w.calm() {
			left = "deliveries"
		} else if left = w.undone(); left == "" {
			return
		}
		w.Clock.Advance(6 * time.Minute)
	}
	w.t.Fatalf("two hours later there is still something to do: %s", left)
}

// undone names what is under way in the database.
func (w *world) undone() string {
	now := w.Clock.Now()
	for _, q := range []channel.Query{
		{Collection: "outbound", Where: []channel.Where{{Field: "state", Op: "in", Value: []channel.OutState{channel.Queued, channel.Sending}}}},
		{Collection: "crmops", Where: []channel.Where{{Field: "state", Op: "==", Value: channel.OpPending}}},
		{Collection: "history", Group: true, Where: []channel.Where{{Field: "due", Op: "<=", Value: now.Add(time.Hour)}}},
	} {
		n, err := w.Docs().Count(w.t.Context(), q, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		if n > 0 {
			return fmt.Sprintf("%d %s", n, q.Collection)
		}
	}
	return w.unfetched()
}

// unfetched names the mail that is still on its server alone, or set aside
// until it is fetched again: after failures an account is asked less often, and
// nothing in the database tells of mail that was never seen.
func (w *world) unfetched() string {
	w.t.Helper()
	for addr, account := range w.Inboxes() {
		read := map[uint32]uint32{} // the last UID by UIDVALIDITY
		suitetest.All(w.t, w.Suite, channel.Query{Collection: "accounts/" + account + "/folders"}, func(_ string, c channel.Cursor) { read[c.UIDValidity] = c.LastUID })
		for _, m := range w.Mail.Mailbox(addr) {
			if m.Folder == "INBOX" && m.UID > read[m.UIDValidity] {
				return fmt.Sprintf("mail %d of %s", m.UID, addr)
			}
		}
	}
	var left string
	suitetest.All(w.t, w.Suite, channel.Query{Collection: "quarantine"}, func(id string, q channel.Quarantined) {
		if !q.Retry.IsZero() {
			left = "quarantined mail " + id + ", which is tried again"
		}
	})
	return left
}

// state is everything that the checks look at.
type state struct {
	mails     map[string]channel.Mail
	sessions  map[string]channel.Session
	messages  map[string][]string // sessions by message
	message   map[string]channel.Message
	outbound  []channel.Outbound
	agents    []channel.Agent
	tickets   map[string]int // by session
	delivered map[string]int // by fingerprint, in the customers' mailboxes
}

func (w *world) look(customers []string) state {
	w.t.Helper()
	s := state{map[string]channel.Mail{}, map[string]channel.Session{}, map[string][]string{}, map[string]channel.Message{}, nil, nil, w.tickets(), map[string]int{}}
	suitetest.All(w.t, w.Suite, channel.Query{Collection: "mails"}, func(id string, m channel.Mail) { s.mails[id] = m })
	suitetest.All(w.t, w.Suite, channel.Query{Collection: "sessions"}, func(id string, v channel.Session) { s.sessions[id] = v })
	suitetest.All(w.t, w.Suite, channel.Query{Collection: "messages", Group: true}, func(id string, m channel.Message) {
		s.messages[id], s.message[id] = append(s.messages[id], m.Session), m
	})
	suitetest.All(w.t, w.Suite, channel.Query{Collection: "outbound"}, func(_ string, o channel.Outbound) { s.outbound = append(s.outbound, o) })
	suitetest.All(w.t, w.Suite, channel.Query{Collection: "agents"}, func(_ string, a channel.Agent) { s.agents = append(s.agents, a) })
	slices.Sort(customers)
	for _, c := range slices.Compact(customers) {
		for _, m := range w.Mail.Mailbox(c) {
			r, err := m.Open()
			if err != nil {
				w.t.Fatal(err)
			}
			head, err := mail.ReadMessage(r)
			if err != nil {
				w.t.Fatal(err)
			}
			s.delivered[email.Fingerprint(head.Header.Get("Message-ID"))]++
			r.Close()
		}
	}
	suitetest.All(w.t, w.Suite, channel.Query{Collection: "quarantine"}, func(_ string, q channel.Quarantined) { w.t.Errorf("quarantined: %+v", q) })
	suitetest.All(w.t, w.Suite, channel.Query{Collection: "deadletters"}, func(_ string, d channel.DeadLetter) {
		w.t.Errorf("dead letter of %s: %s", d.Subscription, d.Data)
	})
	suitetest.All(w.t, w.Suite, channel.Query{Collection: "crmops"}, func(id string, o channel.Operation) { w.t.Errorf("CRM operation left: %+v", o) })
	return s
}

// tickets counts Zendesk's tickets by session, over its API.
func (w *world) tickets() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for page := "http://" + w.Addrs.Zendesk + "/api/v2/tickets?per_page=100"; page != ""; {
		req, err := http.NewRequestWithContext(w.t.Context(), "GET", page, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		req.SetBasicAuth("channel@example.com/token", zendesk.DefaultToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		var body struct {
			Tickets []struct {
				ExternalID string `json:"external_id"`
			}
			Next string `json:"next_page"`
		}
		err = json.NewDecoder(resp.Body).Decode(&body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			w.t.Fatalf("GET %s: %s, %v", page, resp.Status, err)
		}
		for _, t := range body.Tickets {
			out[t.ExternalID]++
		}
		page = body.Next
	}
	return out
}

// verify holds what must be true after any faults, once they are over and
// everything settled, and returns the mails of which nobody knows whether they
// arrived.
func (w *world) verify(mails []letter) (s state, uncertain int) {
	w.t.Helper()
	var customers []string
	for _, m := range mails {
		customers = append(customers, m.from)
	}
	s = w.look(customers)
	s.stored(w.t, mails)
	s.threaded(w.t, mails)
	s.ticketed(w.t)
	s.assigned(w.t)
	return s, s.answered(w.t)
}

// stored: no mail lost, none doubled.
func (s state) stored(t testing.TB, mails []letter) {
	t.Helper()
	for _, m := range mails {
		if in := s.messages[m.id]; len(in) != 1 {
			t.Errorf("mail %s is in %d sessions: %v", m.id, len(in), in)
		}
		if known := s.mails[m.id]; known.State != channel.Stored && (known.State != channel.Erased || s.sessions[known.Session].ErasedAt.IsZero()) {
			t.Errorf("mail %s is %q, not stored", m.id, known.State)
		}
	}
	for id, in := range s.messages {
		if len(in) != 1 {
			t.Errorf("message %s is in sessions %v", id, in)
		}
	}
	for id, m := range s.mails {
		if m.State == channel.Announced {
			t.Errorf("mail %s is still only announced: %+v", id, m)
		}
	}
}

// threaded: one session for each thread, and none besides.
func (s state) threaded(t testing.TB, mails []letter) {
	t.Helper()
	of, live := map[string]string{}, map[string]bool{}
	for _, m := range mails {
		id := s.mails[m.id].Session
		if in := s.messages[m.id]; len(in) == 1 && in[0] != id {
			t.Errorf("mail %s is said to be in session %s, but is in %s", m.id, id, in[0])
		}
		if of[m.root] == "" {
			of[m.root] = id
		}
		if of[m.root] != id {
			t.Errorf("thread %s is in sessions %s and %s", m.root, of[m.root], id)
		}
		live[id] = true
	}
	if len(live) != len(of) {
		t.Errorf("%d threads share %d sessions", len(of), len(live))
	}
	for id, v := range s.sessions {
		if live[id] != (v.MergedInto == "") {
			t.Errorf("session %s has mail: %t, merged into %q", id, live[id], v.MergedInto)
		}
	}
}

// ticketed: one ticket for each session; at most one for one that was merged.
func (s state) ticketed(t testing.TB) {
	t.Helper()
	for id, v := range s.sessions {
		if n := s.tickets[id]; n > 1 || n < 1 && v.MergedInto == "" {
			t.Errorf("session %s has %d tickets", id, n)
		}
	}
	for id := range s.tickets {
		if _, ok := s.sessions[id]; !ok {
			t.Errorf("ticket of session %q, which does not exist", id)
		}
	}
}

// answered: what was accepted arrived once, what is uncertain at most once,
// and the mail that began a session was answered once, unless something says
// why not. It returns how many are uncertain.
func (s state) answered(t testing.TB) (uncertain int) {
	t.Helper()
	known, autos := map[string]bool{}, map[string]bool{}
	for _, o := range s.outbound {
		known[o.Message] = true
		n := s.delivered[o.Message]
		switch {
		case o.State == channel.Accepted && n == 1:
		case o.State == channel.Uncertain && n <= 1:
			uncertain++
		default:
			t.Errorf("mail %s is %s (%s) and arrived %d times", o.ID, o.State, o.Answer, n)
		}
		if o.Auto {
			autos[o.ID] = true
		}
	}
	for id, n := range s.delivered {
		if !known[id] {
			t.Errorf("%d mails with an unknown Message-ID arrived: %s", n, id)
		}
	}
	for id, v := range s.sessions {
		answer, why := channel.ResponseID("received-"+v.FirstMessage), s.message[v.FirstMessage].NoAnswer
		if autos[answer] != (why == "") {
			t.Errorf("session %s has an auto-response: %t, but its first mail says %q", id, autos[answer], why)
		}
		delete(autos, answer)
	}
	for id := range autos {
		t.Errorf("auto-response %s is to no mail that began a session", id)
	}
	return uncertain
}

// assigned: every session that counts as open has an agent who serves its
// queue, and the agents' counters are right.
func (s state) assigned(t testing.TB) {
	t.Helper()
	open := map[string]int{}
	serving := map[string][]string{}
	for _, a := range s.agents {
		serving[a.ID] = a.Queues
	}
	for id, v := range s.sessions {
		if v.Waiting || session.Counted(v.State) && v.Agent == "" {
			t.Errorf("session %s in queue %s is %s and waits (%t) though somebody could take it", id, v.Queue, v.State, v.Waiting)
		}
		if v.Agent != "" && session.Counted(v.State) {
			open[v.Agent]++
		}
		if v.Agent != "" && !slices.Contains(serving[v.Agent], v.Queue) {
			t.Errorf("session %s of queue %s has agent %s, who serves %v", id, v.Queue, v.Agent, serving[v.Agent])
		}
	}
	for _, a := range s.agents {
		if a.Open != open[a.ID] {
			t.Errorf("agent %s counts %d open sessions and has %d", a.ID, a.Open, open[a.ID])
		}
	}
}

// names joins what is missing.
func names(list []string) string { return strings.Join(list, ", ") }
