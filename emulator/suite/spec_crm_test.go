package suite_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/zendesk"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/session"
)

// ticket is one of Zendesk's, with its comments.
type ticket struct {
	ID         int64
	ExternalID string `json:"external_id"`
	Subject    string
	Status     string
	Tags       []string
	comments   []comment
}

type comment struct {
	Body   string
	Public bool
}

// zendesk asks the CRM fake as an agent of it would.
func (w *world) zendesk(method, path string, in, out any) {
	w.t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.Addrs.Zendesk+"/api/v2"+path, strings.NewReader(string(raw)))
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth("someone@example.com/token", zendesk.DefaultToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s", resp.Status, body)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(body, out)
	}
	if err != nil {
		w.t.Fatalf("Zendesk, %s %s: %v", method, path, err)
	}
}

// ticketsOf are the tickets of a session.
func (w *world) ticketsOf(session string) []ticket {
	w.t.Helper()
	var out []ticket
	for _, t := range w.allTickets() {
		if t.ExternalID == session {
			w.comments(&t)
			out = append(out, t)
		}
	}
	return out
}

func (w *world) allTickets() []ticket {
	w.t.Helper()
	var out []ticket
	for page := 1; ; page++ {
		var list struct {
			Tickets []ticket
			Next    *string `json:"next_page"`
		}
		w.zendesk("GET", fmt.Sprintf("/tickets?per_page=100&page=%d", page), nil, &list)
		out = append(out, list.Tickets...)
		if list.Next == nil {
			return out
		}
	}
}

func (w *world) comments(t *ticket) {
	w.t.Helper()
	var list struct{ Comments []comment }
	w.zendesk("GET", fmt.Sprintf("/tickets/%d/comments?per_page=100", t.ID), nil, &list)
	t.comments = list.Comments
}

// ticket is the only one of a session.
func (w *world) ticket(session string) ticket {
	w.t.Helper()
	all := w.ticketsOf(session)
	if len(all) != 1 {
		w.t.Fatalf("session %s has %d tickets", session, len(all))
	}
	return all[0]
}

// told lets the minute pass after which flush has carried out what is stored.
func (w *world) told() { w.t.Helper(); w.advance(time.Minute + time.Second) }

// posts are the messages that a ticket's comments link to, in their order.
func (w *world) posts(t ticket) []string {
	var out []string
	for _, c := range t.comments {
		if m := commentLink.FindStringSubmatch(c.Body); m != nil {
			out = append(out, m[1]+"#"+m[2])
		}
	}
	return out
}

var commentLink = regexp.MustCompile(`(http://127\.0\.0\.1:\d+/sessions/[0-9A-Z]+)#(\S+)$`)

// links are the messages of a session as comments link to them.
func (w *world) links(id string) []string {
	w.t.Helper()
	var out []string
	for _, m := range w.messages(id) {
		out = append(out, "http://"+w.Addrs.HTTP+"/sessions/"+id+"#"+m.ID)
	}
	return out
}

// withCRM is the demo's Zendesk with these rules.
func withCRM(change func(*crm.Settings)) func(*channel.Seed) {
	return func(s *channel.Seed) {
		s.Settings.CRM = channel.CRMSettings{Kind: "zendesk", User: "channel@example.com", Secret: "zendesk", Seconds: 1}
		s.Settings.Session.ClosedReopen.Days = 100
		s.Queues[0].Response.HTML = "<p>Ticket @{ticket_id}.</p>"
		s.Queues[0].Response.Inline = nil
		if change != nil {
			change(&s.Settings.Record)
		}
	}
}

// What the CRM gets by default: a ticket at the beginning, the thread at the
// end. Every flush waits for a second of real time, so the rows share them.
func specRecords(t *testing.T) {
	w := site(t, withCRM(nil))
	ina := w.mail(post{from: "Ina <ina@customer.example>", to: support})
	cleo := w.mail(post{from: "Cleo Customer <cleo@customer.example>", to: support})
	mo := w.mail(post{from: "mo@customer.example", to: support})
	w.mail(post{from: "tina@customer.example", to: support})
	otto := decoded[sent](w, w.do("agent", "POST", "/v1/sessions", map[string]any{"queue": "support", "to": []any{map[string]any{"addr": "otto@customer.example"}}, "subject": "News", "text": "Hi"}))
	w.mail(post{from: "ina@customer.example", to: support, re: []string{ina.id}})
	w.told()
	w.row("CR-1", func(w *world) {
		// Incoming and outgoing mail gets one ticket a thread.
		in := w.ticket(w.one("ina@customer.example").ID)
		w.check(in.Subject == ina.subject && slices.Contains(in.Tags, "queue_support"), "%+v", in)
		w.check(w.ticket(otto.Session.ID).Subject == "News", "%+v", w.ticket(otto.Session.ID))
	})
	w.row("CR-5", func(w *world) {
		s := w.one("cleo@customer.example")
		t := w.ticket(s.ID)
		first := t.comments[0]
		agent := map[string]string{"ana@example.com": "Ana Silva", "ben@example.com": "Ben Okafor"}[s.Agent]
		told := ""
		for _, c := range t.comments { // the agent may have come after the ticket
			told += c.Body + "\n"
		}
		for _, row := range []string{"Sent by: cleo@customer.example", "Received by: support@example.com", "Session ID: " + s.ID, "Queue: Support", "Subject: " + cleo.subject} {
			w.check(strings.Contains(first.Body, row) && !first.Public, "no %q in %+v", row, first)
		}
		out := w.ticket(otto.Session.ID).comments[0].Body
		w.check(strings.Contains(out, "Sent by: support@example.com\nReceived by: otto@customer.example\n"), "an agent's mail: %q", out)
		w.check(agent != "" && strings.Contains(told, "Assigned agent: "+agent), "no agent %q in %q", agent, told)
	})
	w.row("AR-5 ticket", func(w *world) {
		s := w.one("tina@customer.example")
		t := w.ticket(s.ID)
		w.act(s.ID, "open", nil)
		w.act(s.ID, "pause", nil)
		w.again(s)
		autos := w.autos("tina@customer.example")
		w.check(len(autos) == 2, "%d answers", len(autos))
		for _, a := range autos { // the first waited for the ticket
			w.check(strings.Contains(string(a.raw), fmt.Sprintf("Ticket %d.", t.ID)), "no ticket %d in %s", t.ID, a.raw)
		}
		w.check(slices.Contains(w.kinds(s.ID), "awaiting"), "%v", w.kinds(s.ID))
	})
	w.row("CR-2 end of the session", func(w *world) {
		s := w.one("mo@customer.example")
		w.act(s.ID, "open", nil)
		w.done("supervisor", "POST", "/v1/sessions/"+s.ID+"/reply", map[string]any{"text": "We are on it — 谢谢."})
		w.write(post{from: "mo@customer.example", to: support, re: []string{mo.id}, text: "Grüße!"})
		w.act(s.ID, "resolve", nil)
		w.check(len(w.posts(w.ticket(s.ID))) == 0, "posted before the end")
		w.advance(30*day + 5*time.Minute)
		w.state(s.ID, session.Closed)
		t := w.ticket(s.ID)
		links := w.links(s.ID)
		w.check(slices.Equal(w.posts(t), links) && len(links) == 4, "comments %v, not %v", w.posts(t), links)
		for i, text := range []string{"Hello.", "Ticket", "We are on it — 谢谢.", "Grüße!"} {
			c := t.comments[len(t.comments)-len(links)+i]
			w.check(strings.Contains(c.Body, text), "comment %d without %q: %s", i, text, c.Body)
		}
		// Once: another end adds what is new and nothing else.
		w.again(s)
		w.state(s.ID, session.Reopened)
		w.act(s.ID, "open", nil)
		w.act(s.ID, "resolve", nil)
		w.advance(30*day + 5*time.Minute)
		t = w.ticket(s.ID)
		w.check(slices.Equal(w.posts(t), w.links(s.ID)), "comments %v, not %v", w.posts(t), w.links(s.ID))

		// The successor of a closed session keeps its ticket (CR-1).
		w.advance(100 * day)
		w.again(s)
		all := w.sessions("mo@customer.example")
		if len(all) != 2 {
			w.t.Fatalf("%d sessions", len(all))
		}
		w.act(all[1].ID, "open", nil)
		w.act(all[1].ID, "resolve", nil)
		w.advance(30*day + 5*time.Minute)
		w.told()
		w.check(len(w.ticketsOf(all[1].ID)) == 0, "the successor has a ticket of its own")
		t = w.ticket(s.ID)
		w.check(slices.Equal(w.posts(t), append(w.links(s.ID), w.links(all[1].ID)...)), "comments %v", w.posts(t))
	})
	w.row("CR-1 OFF", func(w *world) {
		w.settings(func(m map[string]any) { in(m, "record")["incoming"] = false })
		s, _ := w.begin("no-in@customer.example", support)
		w.told()
		w.check(len(w.ticketsOf(s.ID)) == 0, "incoming OFF, but a ticket")
		w.reply(s.ID, "Hello.") // outgoing is ON
		w.settings(func(m map[string]any) { in(m, "record")["incoming"], in(m, "record")["outgoing"] = true, false })
		w.ticket(s.ID)
		out := decoded[sent](w, w.do("agent", "POST", "/v1/sessions", map[string]any{"queue": "support", "to": []any{map[string]any{"addr": "no-out@customer.example"}}, "subject": "News", "text": "Hi"}))
		w.told()
		w.check(len(w.ticketsOf(out.Session.ID)) == 0, "outgoing OFF, but a ticket")
		w.write(post{from: "no-out@customer.example", to: support, re: []string{out.Message.MessageID}})
		w.told()
		w.ticket(out.Session.ID)
	})
}

// The thread after each reply, and without its text.
func specRecordsAfterReplies(t *testing.T) {
	w := site(t, withCRM(func(r *crm.Settings) { r.CommentsWhen = crm.AfterReply }))
	w.row("CR-2 after each reply", func(w *world) {
		s, _ := w.begin("rita@customer.example", support)
		w.told()
		w.check(len(w.posts(w.ticket(s.ID))) == 0, "posted before a reply")
		out := w.reply(s.ID, "First answer.")
		w.told()
		t := w.ticket(s.ID)
		w.check(slices.Equal(w.posts(t), w.links(s.ID)) && len(w.links(s.ID)) == 3, "comments %v, not %v", w.posts(t), w.links(s.ID))
		w.write(post{from: "rita@customer.example", to: support, re: []string{out.Message.MessageID}, text: "And this?"})
		w.told()
		w.check(len(w.posts(w.ticket(s.ID))) == 3, "posted before the second reply")
		w.reply(s.ID, "Second answer.")
		w.told()
		t = w.ticket(s.ID)
		w.check(slices.Equal(w.posts(t), w.links(s.ID)) && len(w.links(s.ID)) == 5, "comments %v, not %v", w.posts(t), w.links(s.ID))
		w.check(strings.Contains(t.comments[len(t.comments)-1].Body, "Second answer."), "%+v", t.comments)
	})
	w.row("CR-2 OFF", func(w *world) {
		w.settings(func(m map[string]any) { in(m, "record")["bodies"] = false })
		s, _ := w.begin("secret@customer.example", support)
		w.act(s.ID, "assign", map[string]any{"agent": "ana@example.com"})
		w.done("agent", "POST", "/v1/sessions/"+s.ID+"/reply", map[string]any{"text": "Confidential answer."})
		w.told()
		t := w.ticket(s.ID)
		posts := w.posts(t)
		w.check(slices.Equal(posts, w.links(s.ID)), "comments %v, not %v", posts, w.links(s.ID))
		for _, c := range t.comments[len(t.comments)-len(posts):] {
			w.check(!strings.Contains(c.Body, "Hello.") && !strings.Contains(c.Body, "Confidential") && strings.Contains(c.Body, "End user: secret@customer.example"), "%s", c.Body)
		}
		last := t.comments[len(t.comments)-1].Body
		at, err := time.Parse(time.RFC3339, strings.SplitN(last, "\n", 2)[0])
		w.check(strings.Contains(last, "Agent: ana@example.com") && err == nil && w.now().Sub(at) < 5*time.Minute, "%s: %v", last, err)
	})
}

// gateway stands between the channel and Zendesk, and says what becomes of a request.
type gateway struct {
	srv   *httptest.Server
	mu    sync.Mutex
	fate  func(*http.Request, string) int // a status, 0: pass on, hangUp: pass on and hang up
	calls []string
}

const hangUp = -1

func newGateway(t *testing.T, to string) *gateway {
	g := &gateway{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	g.srv = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		g.mu.Lock()
		g.calls = append(g.calls, r.Method+" "+r.URL.Path)
		fate := g.fate
		g.mu.Unlock()
		status := 0
		if fate != nil {
			status = fate(r, string(body))
		}
		switch status {
		case 0:
			proxy.ServeHTTP(rw, r)
		case hangUp:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			rw.Header().Set("Content-Type", "application/json")
			if status == http.StatusTooManyRequests {
				rw.Header().Set("Retry-After", "600")
			}
			rw.WriteHeader(status)
			io.WriteString(rw, `{"error":"RecordInvalid","description":"Because of the test"}`)
		}
	}))
	t.Cleanup(g.srv.Close)
	return g
}

func (g *gateway) set(fate func(r *http.Request, body string) int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fate, g.calls = fate, nil
}

// count is how many calls there were since set.
func (g *gateway) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.calls)
}

// A CRM that fails. The answers of billing wait for its tickets.
func specRecordsUnderTrouble(t *testing.T) {
	w := site(t, func(s *channel.Seed) {
		withCRM(func(r *crm.Settings) { r.CommentsWhen = crm.AfterReply })(s)
		s.Queues[0].Response, s.Queues[1].Response = s.Queues[1].Response, s.Queues[0].Response
	})
	g := newGateway(t, w.Addrs.Zendesk)
	w.settings(func(m map[string]any) { in(m, "crm")["base_url"] = g.srv.URL })
	w.row("CR-6", func(w *world) { idempotent(w, g) })
	w.row("AR-5 no ticket in time", func(w *world) { g.set(nil); ticketless(w) })
	w.row("CR-7 too many requests", func(w *world) {
		g.set(func(*http.Request, string) int { return http.StatusTooManyRequests })
		s, _ := w.begin("busy@customer.example", support)
		w.told()
		w.check(g.count() > 0, "no call")
		g.set(nil)
		w.advance(7 * time.Minute)
		w.check(g.count() == 0, "%d calls within the ten minutes of Retry-After", g.count())
		w.advance(4 * time.Minute)
		w.check(len(w.ticketsOf(s.ID)) == 1, "%d tickets", len(w.ticketsOf(s.ID)))
	})
	w.row("CR-7 refused for good", func(w *world) { parked(w, g) })
	w.row("CR-7 away for days", func(w *world) { away(w, g) })
}

// ticketless: an answer that names the ticket goes five minutes after its mail
// at the latest, and no second one when the ticket comes.
func ticketless(w *world) {
	const addr = "wait@customer.example"
	fallback := func(when string, want int) {
		w.t.Helper()
		autos := w.autos(addr)
		if len(autos) != want || want > 0 && !strings.Contains(string(autos[0].raw), "Ticket not yet assigned.") {
			w.t.Fatalf("%s: %d answers, not %d, or with another text", when, len(autos), want)
		}
	}
	w.fault(`{"fail":"zendesk"}`)
	w.freeze(true)
	s, _ := w.begin(addr, billing)
	arrived := w.now()
	w.advance(3 * time.Minute)
	fallback("after three minutes", 0)
	w.until(arrived.Add(5 * time.Minute))
	fallback("after five minutes", 1)
	w.advance(time.Minute)
	w.freeze(false)
	w.heal()
	w.advance(16 * time.Minute) // the back-off
	w.check(w.ticket(s.ID).ID > 0, "no ticket")
	fallback("with the ticket", 1)
}

// idempotent: the answer to each kind of call is lost once, the function ends
// once at each step, and events come twice and out of order.
func idempotent(w *world, g *gateway) {
	var mu sync.Mutex
	lost := map[string]bool{}
	g.set(func(r *http.Request, _ string) int {
		mu.Lock()
		defer mu.Unlock()
		call := r.Method + " " + strings.TrimSuffix(r.URL.Path, ".json")
		if r.Method == http.MethodGet || lost[call] {
			return 0
		}
		lost[call] = true
		return hangUp
	})
	for _, step := range []string{"record.committed", "flush.created", "flush.stored", "flush.claimed", "flush.applied"} {
		w.fault(`{"kill":"` + step + `","times":1}`)
	}
	w.fault(`{"deliver":"session-changed.record","duplicate":2,"reorder":true,"times":20}`)
	const n = 8
	var sessions []channel.Session
	for i := range n {
		w.mail(post{from: fmt.Sprintf("cr6-%d@customer.example", i), to: support})
	}
	w.eventually("a session for each mail", func() bool {
		sessions = slices.DeleteFunc(list[channel.Session](w, "/v1/sessions?queue=support"), func(s channel.Session) bool { return !strings.HasPrefix(s.Consumer.Addr, "cr6-") })
		return len(sessions) == n
	})
	for _, s := range sessions {
		w.eventually("an auto-response to each", func() bool { return len(w.messages(s.ID)) == 2 }) // before the reply, which the comments go up to
		w.done("supervisor", "POST", "/v1/sessions/"+s.ID+"/reply", map[string]any{"text": "Answer."})
	}
	for range 6 { // leases of what ended run out, and back-offs
		w.elapse(6 * time.Minute)
		w.idle()
	}
	var left []struct{ Kill string }
	if err := json.Unmarshal(w.control("GET", "/_emulator/faults", ""), &left); err != nil {
		w.t.Fatal(err)
	}
	w.check(!slices.ContainsFunc(left, func(r struct{ Kill string }) bool { return r.Kill != "" }), "not all kills struck: %+v", left)
	w.check(lost["POST /api/v2/tickets"] && lost["PUT /api/v2/tickets/update_many"], "lost answers: %v", lost)
	g.set(nil)
	w.heal()
	for _, s := range sessions {
		t := w.ticket(s.ID)
		w.check(slices.Equal(w.posts(t), w.links(s.ID)) && len(w.links(s.ID)) == 3, "comments %v, not %v", w.posts(t), w.links(s.ID))
	}
}

// operations are those in a state that tell of the sessions.
func operations(w *world, state string, of ...channel.Session) []channel.Operation {
	w.t.Helper()
	return slices.DeleteFunc(list[channel.Operation](w, "/v1/crm/operations?state="+state), func(o channel.Operation) bool {
		return !slices.ContainsFunc(of, func(s channel.Session) bool { return s.ID == o.Record })
	})
}

// parked: what is refused for good waits for people, with the reason; others go on.
func parked(w *world, g *gateway) {
	g.set(func(r *http.Request, body string) int {
		if r.Method == http.MethodPost && strings.Contains(body, "Unwanted") {
			return http.StatusUnprocessableEntity
		}
		return 0
	})
	w.write(post{from: "unwanted@customer.example", to: support, subject: "Unwanted"})
	s := w.one("unwanted@customer.example")
	other, _ := w.begin("wanted@customer.example", support)
	w.reply(s.ID, "Answer.")
	w.told()
	w.ticket(other.ID)
	w.check(len(w.ticketsOf(s.ID)) == 0, "refused, but there is a ticket")
	all := operations(w, "parked", s)
	i := slices.IndexFunc(all, func(o channel.Operation) bool { return o.Kind == crm.Create })
	if i < 0 || all[i].Record != s.ID || !strings.Contains(all[i].Reason, "Because of the test") {
		w.t.Fatalf("parked: %+v", all)
	}
	calls := g.count()
	w.advance(2 * day)
	w.check(g.count() == calls, "parked, but tried again")
	w.refused(http.StatusForbidden, "supervisor", "POST", "/v1/crm/operations/"+all[i].ID+"/replay", nil)
	g.set(nil)
	slices.SortFunc(all, func(a, b channel.Operation) int { return a.Seq - b.Seq })
	for _, o := range all {
		w.do("admin", "POST", "/v1/crm/operations/"+o.ID+"/replay", nil)
		w.told()
	}
	t := w.ticket(s.ID)
	w.check(slices.Equal(w.posts(t), w.links(s.ID)) && len(operations(w, "parked", s)) == 0, "comments %v, not %v; parked %+v", w.posts(t), w.links(s.ID), operations(w, "parked", s))
}

// away: for three days nothing is lost, and all comes once and in order.
func away(w *world, g *gateway) {
	const n = 60 // with a creation and two comments each, more than one batch
	g.set(nil)
	w.fault(`{"fail":"zendesk"}`)
	var sessions []channel.Session
	for i := range n {
		w.mail(post{from: fmt.Sprintf("away-%d@customer.example", i), to: "hilfe@example.com"})
	}
	w.idle()
	for _, s := range list[channel.Session](w, "/v1/sessions?queue=hilfe") {
		if strings.HasPrefix(s.Consumer.Addr, "away-") {
			sessions = append(sessions, s)
		}
	}
	if len(sessions) != n {
		w.t.Fatalf("%d sessions", len(sessions))
	}
	for _, text := range []string{"First answer.", "Second answer."} {
		for _, s := range sessions {
			w.done("supervisor", "POST", "/v1/sessions/"+s.ID+"/reply", map[string]any{"text": text})
		}
		w.advance(day)
	}
	w.advance(day)
	w.check(len(operations(w, "pending", sessions...)) == 3*n && len(operations(w, "parked", sessions...)) == 0, "%d operations wait, %d are parked", len(operations(w, "pending", sessions...)), len(operations(w, "parked", sessions...)))
	w.heal()
	for range 20 {
		if len(operations(w, "pending", sessions...)) == 0 {
			break
		}
		w.advance(5 * time.Minute)
	}
	w.check(len(operations(w, "pending", sessions...)) == 0 && len(operations(w, "parked", sessions...)) == 0, "%d operations wait, %d are parked: %+v", len(operations(w, "pending", sessions...)), len(operations(w, "parked", sessions...)), operations(w, "parked", sessions...))
	tickets := map[string][]ticket{}
	for _, t := range w.allTickets() {
		tickets[t.ExternalID] = append(tickets[t.ExternalID], t)
	}
	for _, s := range sessions {
		if len(tickets[s.ID]) != 1 {
			w.t.Errorf("session %s has %d tickets", s.ID, len(tickets[s.ID]))
			continue
		}
		t := tickets[s.ID][0]
		w.comments(&t)
		w.check(slices.Equal(w.posts(t), w.links(s.ID)) && len(w.links(s.ID)) == 4, "session %s: comments %v, not %v", s.ID, w.posts(t), w.links(s.ID))
	}
}
