package suite_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// Which mail is answered automatically, and with what.
func specResponses(t *testing.T) {
	w := site(t, func(s *channel.Seed) {
		s.Settings.Session.ClosedReopen.Days = 100
		s.Queues[1].Response.HTML = `<p>Consumer @{consumer}; agent @{agent}; date @{date}; time @{time}; queue @{queue}; company @{company}; next @{next_working_date}; ticket @{ticket_id}.</p>`
		s.Queues[1].Response.Inline = nil
	})
	w.row("AR-3", scenarios)
	w.row("AR-4", subjects)
	w.row("AR-5", tags)
	w.row("AR-6", neverAnswered)
	w.row("AR-6 caps", caps)
}

// again is the end user's next mail in a session.
func (w *world) again(s channel.Session) {
	w.t.Helper()
	w.write(post{from: s.Consumer.Addr, to: support, re: []string{w.first(s.ID).MessageID}})
}

func scenarios(w *world) {
	w.freeze(true)
	defer w.freeze(false)
	begin := func(name string, acts ...string) channel.Session {
		w.t.Helper()
		s, _ := w.begin("ar3-"+name+"@customer.example", support)
		for _, a := range acts {
			w.act(s.ID, a, nil)
		}
		return s
	}
	got := func(s channel.Session, want int, why string) {
		w.t.Helper()
		if n := len(w.autos(s.Consumer.Addr)); n != want {
			w.t.Errorf("%s: %s got %d auto-responses in all, not %d", why, s.Consumer.Addr, n, want)
		}
	}
	first, resolved, paused, active, almost, closed := begin("first"), begin("resolved", "open", "resolve"), begin("paused", "open", "pause"), begin("active", "open"), begin("almost", "open"), begin("closed", "open", "resolve")
	start := w.now()
	got(first, 1, "the first mail of a thread")
	w.advance(time.Minute)
	for _, s := range []channel.Session{first, resolved} {
		w.again(s)
	}
	got(first, 1, "a second mail")
	got(resolved, 1, "a reply that reopens a resolved session")
	w.again(resolved)
	got(resolved, 1, "a reply to a reopened session")
	w.again(paused)
	got(paused, 2, "a reply that reactivates a paused session")
	w.state(paused.ID, session.Active)
	w.again(paused)
	got(paused, 2, "the next one")
	w.until(start.Add(15*day - time.Second))
	w.again(almost)
	got(almost, 1, "active, a second before the 15 days")
	w.until(start.Add(15 * day))
	w.again(active)
	got(active, 2, "active, without activity for 15 days")
	w.again(active)
	w.again(almost)
	got(active, 2, "active, with activity")
	got(almost, 1, "active, with activity")
	w.again(first)
	got(first, 1, "unopened for 15 days")
	w.until(start.Add(31 * day))
	w.state(closed.ID, session.Closed)
	w.again(closed)
	got(closed, 2, "a reply that reopens a closed session")
	w.state(closed.ID, session.Reopened)
	// A bounce is no reply: nothing moves.
	paused2 := begin("bounce", "open", "pause")
	w.report(paused2, "failed")
	w.state(paused2.ID, session.Paused)
	got(paused2, 1, "a bounce in a paused session")

	w.freeze(false)
	w.queue("support", func(m map[string]any) { in(m, "response")["on"] = false })
	got(begin("off"), 0, "OFF")
	w.queue("support", func(m map[string]any) { in(m, "response")["on"] = true })
}

// report has a server tell of the first mail of ours in a session.
func (w *world) report(s channel.Session, action string) {
	w.t.Helper()
	all := w.messages(s.ID)
	i := slices.IndexFunc(all, func(m channel.Message) bool { return m.Direction == channel.Out })
	if i < 0 {
		w.t.Fatalf("session %s has no mail of ours", s.ID)
	}
	w.reportOf(s, all[i].MessageID, action)
}

func (w *world) reportOf(s channel.Session, messageID, action string) {
	w.t.Helper()
	to := w.account(s.Account)
	status := map[string]string{"failed": "5.1.1", "delivered": "2.0.0"}[action]
	raw := fmt.Sprintf("From: MAILER-DAEMON@mx.customer.example\r\nTo: %s\r\nSubject: Undelivered Mail Returned to Sender\r\nMessage-ID: <%s-%s@mx.customer.example>\r\nDate: %s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"+
		"--b\r\nContent-Type: text/plain\r\n\r\nYour mail.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.customer.example\r\n\r\nFinal-Recipient: rfc822; %s\r\nAction: %s\r\nStatus: %s\r\nDiagnostic-Code: smtp; 550 5.1.1 unknown here\r\n\r\n"+
		"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: %s\r\nTo: %s\r\nMessage-ID: <%s>\r\nSubject: RE: Question\r\n\r\n--b--\r\n",
		to, messageID[:8], action, w.now().Format(time.RFC1123Z), s.Consumer.Addr, action, status, to, s.Consumer.Addr, messageID)
	w.smtp("", []string{to}, []byte(raw))
	w.idle()
}

func (w *world) account(id string) string {
	w.t.Helper()
	return account(w, id).Address
}

func subjects(w *world) {
	for i, tc := range []struct{ subject, want string }{
		{"Broken lamp", "RE: Broken lamp"},
		{"Re: Broken lamp", "Re: Broken lamp"},
		{"RE: Broken lamp", "RE: Broken lamp"},
		{"AW: Kaputte Lampe", "AW: Kaputte Lampe"},
		{"Fwd: Broken lamp", "RE: Fwd: Broken lamp"},
		{"Reply wanted", "RE: Reply wanted"},
	} {
		p := w.write(post{from: fmt.Sprintf("ar4-%d@customer.example", i), to: support, subject: tc.subject, re: []string{"root@elsewhere.example", "parent@elsewhere.example"}})
		autos := w.autos(p.from)
		if len(autos) != 1 {
			w.t.Fatalf("%q: %d auto-responses", tc.subject, len(autos))
		}
		h := autos[0].head
		w.check(h.Get("Subject") == tc.want, "%q is answered as %q, not %q", tc.subject, h.Get("Subject"), tc.want)
		w.check(h.Get("In-Reply-To") == "<"+p.id+">", "In-Reply-To %s, not %s", h.Get("In-Reply-To"), p.id)
		w.check(strings.Join(strings.Fields(h.Get("References")), " ") == "<root@elsewhere.example> <parent@elsewhere.example> <"+p.id+">", "References %s", h.Get("References"))
		msgs := w.messages(w.one(p.from).ID)
		w.check(len(msgs) == 2 && msgs[1].Auto && msgs[1].Direction == channel.Out && msgs[1].MessageID == autos[0].id(), "recorded as %+v", msgs)
	}
}

func tags(w *world) {
	for _, bad := range []string{"@{nobody}", "@{", `<b onclick="@{queue}">x</b>`} {
		m := look[map[string]any](w, "/v1/queues/support")
		in(m, "response")["html"] = "<p>" + bad + "</p>"
		w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/support", m, "response.html")
	}
	// billing is open Monday to Friday in New York, and not on New Year.
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		w.t.Fatal(err)
	}
	now := w.now().In(zone)
	friday := time.Date(now.Year(), now.Month(), now.Day(), 13, 5, 0, 0, zone)
	for friday.Weekday() != time.Friday || !friday.After(now) {
		friday = friday.AddDate(0, 0, 1)
	}
	w.queue("billing", func(m map[string]any) {
		in(m, "hours")["holidays"] = []any{map[string]any{"name": "Bridge", "date": friday.AddDate(0, 0, 3).Format(time.DateOnly)}}
		m["agents"], m["name"] = []string{}, "Bills <&> more"
	})
	w.freeze(true)
	defer w.freeze(false)
	w.until(friday)
	next := friday.AddDate(0, 0, 4).Format("2 January 2006")
	for from, consumer := range map[string]string{
		`"José Núñez" <jose@customer.example>`: "José",
		`"<b>Eve</b>" <eve@customer.example>`:  "customer",
		`x1@customer.example`:                  "customer",
	} {
		w.write(post{from: encodeName(from), to: "billing@example.com"})
		addr := from[strings.LastIndexByte(from, '<')+1:]
		autos := w.autos(strings.TrimSuffix(addr, ">"))
		if len(autos) != 1 {
			w.t.Fatalf("%s: %d auto-responses", from, len(autos))
		}
		body, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(autos[0].raw)))
		if err != nil && len(body) == 0 {
			w.t.Fatal(err)
		}
		text := strings.Join(strings.Fields(string(body)), " ")
		want := "Consumer " + consumer + "; agent our team; date " + friday.Format("2 January 2006") + "; time 13:05; queue Bills &lt;&amp;&gt; more; company Example &amp; Co; next " + next + "; ticket not yet assigned."
		w.check(strings.Contains(text, want), "%s: no %q in\n%s", from, want, text)
	}
}

// encodeName writes a name outside of ASCII as headers do.
func encodeName(from string) string {
	return strings.ReplaceAll(from, `"José Núñez"`, "=?utf-8?q?Jos=C3=A9_N=C3=BA=C3=B1ez?=")
}

func neverAnswered(w *world) {
	null := ""
	for i, tc := range []struct {
		name string
		post post
	}{
		{"Auto-Submitted: auto-replied", post{head: []string{"Auto-Submitted: auto-replied"}}},
		{"Auto-Submitted: auto-generated", post{head: []string{"Auto-Submitted: auto-generated"}}},
		{"X-Auto-Response-Suppress", post{head: []string{"X-Auto-Response-Suppress: All"}}},
		{"X-Autoreply", post{head: []string{"X-Autoreply: yes"}}},
		{"X-Loop", post{head: []string{"X-Loop: someone"}}},
		{"Precedence: auto_reply", post{head: []string{"Precedence: auto_reply"}}},
		{"Precedence: bulk", post{head: []string{"Precedence: bulk"}}},
		{"List-Id", post{head: []string{"List-Id: <news.customer.example>"}}},
		{"List-Unsubscribe", post{head: []string{"List-Unsubscribe: <mailto:off@customer.example>"}}},
		{"null return path", post{envelope: &null}},
		{"out of office", post{subject: "Automatic reply: Question"}},
		{"mailer-daemon", post{from: "mailer-daemon@ar6.example"}},
		{"noreply", post{from: "noreply@ar6.example"}},
		{"own address", post{from: "billing@example.com"}},
	} {
		p := tc.post
		if p.from == "" {
			p.from = fmt.Sprintf("ar6-%d@customer.example", i)
		}
		p.to = support
		p = w.write(p)
		all := w.sessions(p.from)
		all = slices.DeleteFunc(all, func(s channel.Session) bool { return s.Consumer.Addr != p.from })
		if len(all) != 1 {
			w.t.Errorf("%s: %d sessions", tc.name, len(all))
			continue
		}
		msgs := w.messages(all[0].ID)
		w.check(len(msgs) == 1 && msgs[0].MessageID == p.id && msgs[0].NoAnswer != "", "%s: stored as %+v", tc.name, msgs)
		w.check(len(w.autos(p.from)) == 0, "%s: answered", tc.name)
	}
	// Our own: to the sender alone.
	p := w.write(post{from: "ar6@customer.example", to: support, head: []string{"Cc: witness@customer.example", "Reply-To: ar6@customer.example"}})
	autos := w.autos(p.from)
	if len(autos) != 1 {
		w.t.Fatalf("%d auto-responses", len(autos))
	}
	h := autos[0].head
	w.check(h.Get("Auto-Submitted") == "auto-replied" && h.Get("To") == "<ar6@customer.example>" && h.Get("Cc") == "" && h.Get("X-Auto-Response-Suppress") != "", "%v", h)
	w.check(len(w.box("witness@customer.example")) == 0, "the Cc got an answer")
	// Two machines do not answer each other for ever: what answers our answer is stored.
	s := w.one(p.from)
	w.write(post{from: p.from, to: support, re: []string{autos[0].id()}, head: []string{"Auto-Submitted: auto-replied"}})
	w.check(w.session(s.ID).Messages == 2 && len(w.autos(p.from)) == 1, "the machine's answer: %+v", w.session(s.ID))
	// Bounces attach to what they are about.
	w.report(s, "failed")
	w.check(slices.Contains(w.kinds(s.ID), "bounced") && len(w.box("mailer-daemon@mx.customer.example")) == 0, "%v", w.kinds(s.ID))
}

// caps stop a loop with a machine that hides what it is.
func caps(w *world) {
	const addr, window = "loop@customer.example", 3 * time.Hour
	for range 12 {
		w.mail(post{from: addr, to: support})
	}
	w.idle()
	all := w.sessions(addr)
	withheld := 0
	for _, s := range all {
		if m := w.first(s.ID); strings.Contains(m.NoAnswer, "loop cap") {
			withheld++
		}
	}
	w.check(len(all) == 12 && len(w.autos(addr)) == 10 && withheld == 2, "%d sessions, %d auto-responses, %d held back", len(all), len(w.autos(addr)), withheld)
	w.advance(window + time.Minute)
	w.write(post{from: addr, to: support})
	w.check(len(w.autos(addr)) == 11, "none after the window: %d", len(w.autos(addr)))

	s, _ := w.begin("hidden@customer.example", support)
	w.act(s.ID, "open", nil)
	for range 6 {
		w.act(s.ID, "pause", nil)
		w.again(s)
	}
	w.check(len(w.autos("hidden@customer.example")) == 5, "%d auto-responses in a session, not 5", len(w.autos("hidden@customer.example")))
	w.advance(window + time.Minute)
	w.act(s.ID, "pause", nil)
	w.again(s)
	w.check(len(w.autos("hidden@customer.example")) == 6, "none after the window")

	// Both, and the window, are settings.
	bad := look[map[string]any](w, "/v1/settings")
	before := bad["caps"]
	bad["caps"] = map[string]any{"per_address": 1001, "per_session": -1, "window": "169h"}
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/settings", bad, "caps.per_address", "1 to 1000", "caps.per_session", "caps.window", "1m0s to 168h0m0s")
	w.settings(func(m map[string]any) { m["caps"] = map[string]any{"per_address": 2, "per_session": 1, "window": "1h"} })
	const narrow = "narrow@customer.example"
	s, _ = w.begin(narrow, support)
	w.act(s.ID, "open", nil)
	w.act(s.ID, "pause", nil)
	w.again(s)
	msgs := w.messages(s.ID)
	w.check(len(w.autos(narrow)) == 1 && msgs[len(msgs)-1].NoAnswer == "loop cap: 1 answers in this session in 1h0m0s", "%d auto-responses, then %q", len(w.autos(narrow)), msgs[len(msgs)-1].NoAnswer)
	for range 2 {
		w.write(post{from: narrow, to: support})
	}
	w.check(len(w.autos(narrow)) == 2, "%d auto-responses, not 2", len(w.autos(narrow)))
	w.advance(time.Hour + time.Minute)
	w.write(post{from: narrow, to: support})
	w.check(len(w.autos(narrow)) == 3, "none after an hour")
	w.settings(func(m map[string]any) { m["caps"] = before })
}
