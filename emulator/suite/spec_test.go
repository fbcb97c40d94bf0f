package suite_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"net/smtp"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"emailchannel.dev/emailchannel/emulator/clock"
	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/mailbox"
	"emailchannel.dev/emailchannel/shared/session"
)

// TestSpec shows the rows of the requirements, one subtest a row, called by its
// ID. It acts from outside only: SMTP and IMAP as customers do, the API as
// agents and admins do, the CRM fake, Cloud Storage and the suite's own clock
// and faults. Rows that need more than one walk through a suite are shown by
// TestKillAtEveryStep and TestWhateverHappens, in package kill.
//
// Each group has a suite of its own. They mostly wait, for settings to be in
// force and for batches to be gathered, so that more run at a time than there
// are processors.
func TestSpec(t *testing.T) {
	t.Parallel()
	places := make(chan struct{}, 6)
	var wg sync.WaitGroup
	for _, group := range []struct {
		name string
		rows func(*testing.T)
	}{
		{"trouble", specRecordsUnderTrouble}, {"records", specRecords}, {"comments", specRecordsAfterReplies},
		{"walks", specWalks}, {"assignment", specAssignment}, {"responses", specResponses}, {"loops", specLoops}, {"files", specFiles}, {"timers", specTimers}, {"queues", specQueues},
		{"accounts", specAccounts}, {"channel", specChannel}, {"settings", specSettings}, {"outbound", specOutbound}, {"sessions", specSessions},
		{"together", specTogether}, {"operation", specOperation}, {"threads", specThreads}, {"mail", specMail}, {"idle", specIdle},
	} {
		places <- struct{}{} // those that take longest come first
		wg.Go(func() {
			defer func() { <-places }()
			t.Run(group.name, group.rows)
		})
	}
	wg.Wait()
}

// site starts a suite with the demo's configuration as change leaves it. It has
// no CRM unless change says so, as every CRM write waits for real seconds.
func site(t *testing.T, change func(*channel.Seed)) *world {
	t.Helper()
	return siteIn(t, t.TempDir(), change)
}

// siteIn is site with everything in a directory.
func siteIn(t *testing.T, dir string, change func(*channel.Seed)) *world {
	t.Helper()
	indexes, err := os.ReadFile("../../terraform/firestore.indexes.json")
	if err != nil {
		t.Fatal(err)
	}
	seed := configuration()
	seed.Settings.CRM = channel.CRMSettings{Kind: "none", Seconds: 1}
	if change != nil {
		change(&seed)
	}
	s, err := suite.Start(t.Context(), suite.Options{Data: dir, Config: &seed, Indexes: indexes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{Suite: s, t: t}
}

// configuration is the demo's.
func configuration() channel.Seed {
	local := "127.0.0.1:1" // the suite puts its own ports in
	return (&suite.Suite{Clock: clock.New(), Addrs: suite.Addrs{SMTP: local, IMAP: local}}).Demo()
}

// row shows one row of the requirements.
func (w *world) row(id string, f func(w *world)) {
	w.t.(*testing.T).Run(id, func(t *testing.T) { f(&world{Suite: w.Suite, t: t}) })
}

func (w *world) check(ok bool, format string, args ...any) {
	w.t.Helper()
	if !ok {
		w.t.Errorf(format, args...)
	}
}

// control makes a request of the suite's own endpoints.
func (w *world) control(method, path, body string) []byte {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.Addrs.HTTP+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		w.t.Fatalf("%s %s %s: %s %s %v", method, path, body, resp.Status, out, err)
	}
	return out
}

// idle waits until nothing is queued or running.
func (w *world) idle() {
	w.t.Helper()
	resp, err := http.Get("http://" + w.Addrs.HTTP + "/_emulator/idle?timeout=45s")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var left struct {
		Idle   bool
		PubSub map[string]struct {
			Pending   int
			LastError string
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&left); err != nil {
		w.t.Fatal(err)
	}
	for name, s := range left.PubSub {
		if s.Pending > 0 {
			w.t.Logf("%s: %d pending, %s", name, s.Pending, s.LastError)
		}
	}
	if !left.Idle {
		w.t.Fatal("the suite does not come to rest")
	}
}

// advance moves the clock and waits for what fell due.
func (w *world) advance(d time.Duration) {
	w.t.Helper()
	w.elapse(d)
	w.idle()
}

// elapse is advance where a fault keeps the suite from coming to rest.
func (w *world) elapse(d time.Duration) {
	w.t.Helper()
	w.control("POST", "/_emulator/clock", fmt.Sprintf(`{"advance":%q}`, d))
}

// freeze stops the clock, or lets it run again.
func (w *world) freeze(on bool) {
	w.t.Helper()
	w.control("POST", "/_emulator/clock", fmt.Sprintf(`{"freeze":%t}`, on))
}

// fault switches a fault on, until heal.
func (w *world) fault(rule string) { w.t.Helper(); w.control("POST", "/_emulator/faults", rule) }

// heal switches all faults off, and lets the time pass after which what failed
// is tried again.
func (w *world) heal() {
	w.t.Helper()
	w.control("DELETE", "/_emulator/faults", "")
	w.advance(time.Minute)
}

func (w *world) now() time.Time {
	w.t.Helper()
	var c struct{ Now time.Time }
	if err := json.Unmarshal(w.control("GET", "/_emulator/clock", ""), &c); err != nil {
		w.t.Fatal(err)
	}
	return c.Now
}

// until moves the clock to an instant.
func (w *world) until(at time.Time) {
	w.t.Helper()
	w.advance(at.Sub(w.now()))
}

// inForce waits until every function has seen a change of the settings: each
// reads them at most once a second of real time, which nothing can hurry.
func (w *world) inForce() { time.Sleep(1050 * time.Millisecond) }

// answer is what the API said.
type answer struct {
	status int
	body   []byte
}

// ask makes a request of the API in a role: agent (Ana), supervisor, admin,
// service, or as nobody.
func (w *world) ask(role, method, path string, in any) answer {
	w.t.Helper()
	return w.askAs(role, method, path, rand.Text(), in)
}

// askAs is ask under an idempotency key.
func (w *world) askAs(role, method, path, key string, in any) answer {
	w.t.Helper()
	a, _ := w.with(role, method, path, in, "Idempotency-Key", key)
	return a
}

// with is ask with headers, and returns those of the answer. A body that is text goes as YAML.
func (w *world) with(role, method, path string, in any, header ...string) (answer, http.Header) {
	w.t.Helper()
	raw, mediaType := []byte(nil), "application/json"
	switch in := in.(type) {
	case nil:
	case string:
		raw, mediaType = []byte(in), "application/yaml"
	default:
		var err error
		if raw, err = json.Marshal(in); err != nil {
			w.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.Addrs.HTTP+path, bytes.NewReader(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	if role != "" {
		req.Header.Set("Authorization", "Bearer "+role+"-token")
	}
	if in != nil {
		req.Header.Set("Content-Type", mediaType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp.StatusCode, body}, resp.Header
}

// done is ask that must succeed.
func (w *world) done(role, method, path string, in any) answer {
	w.t.Helper()
	a := w.ask(role, method, path, in)
	if a.status >= 300 {
		w.t.Fatalf("%s %s by %s: %d %s", method, path, role, a.status, a.body)
	}
	return a
}

// do is done, and waits for what follows.
func (w *world) do(role, method, path string, in any) answer {
	w.t.Helper()
	a := w.done(role, method, path, in)
	w.idle()
	return a
}

// refused is ask that must fail with the status and these words.
func (w *world) refused(status int, role, method, path string, in any, words ...string) {
	w.t.Helper()
	a := w.ask(role, method, path, in)
	if a.status != status {
		w.t.Errorf("%s %s by %s: %d %s, not %d", method, path, role, a.status, a.body, status)
	}
	for _, word := range words {
		if !strings.Contains(string(a.body), word) {
			w.t.Errorf("%s %s by %s: %s, without %q", method, path, role, a.body, word)
		}
	}
}

// decoded is the body of an answer.
func decoded[T any](w *world, a answer) T {
	w.t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		w.t.Fatalf("%s: %v", a.body, err)
	}
	return v
}

// look reads one thing of the API, as the supervisor.
func look[T any](w *world, path string) T {
	w.t.Helper()
	a := w.ask("supervisor", "GET", path, nil)
	if a.status != http.StatusOK {
		w.t.Fatalf("GET %s: %d %s", path, a.status, a.body)
	}
	return decoded[T](w, a)
}

// list reads a whole list of the API, page by page, as the supervisor.
func list[T any](w *world, path string) []T {
	w.t.Helper()
	return listAs[T](w, "supervisor", path)
}

func listAs[T any](w *world, role, path string) []T {
	w.t.Helper()
	var out []T
	for cursor := ""; ; {
		u, err := url.Parse(path)
		if err != nil {
			w.t.Fatal(err)
		}
		if q := u.Query(); cursor != "" {
			q.Set("cursor", cursor)
			u.RawQuery = q.Encode()
		}
		a := w.ask(role, "GET", u.String(), nil)
		if a.status != http.StatusOK {
			w.t.Fatalf("GET %s by %s: %d %s", path, role, a.status, a.body)
		}
		page := decoded[struct {
			Items []T
			Next  string
		}](w, a)
		out = append(out, page.Items...)
		if cursor = page.Next; cursor == "" {
			return out
		}
	}
}

func (w *world) session(id string) channel.Session {
	w.t.Helper()
	return look[channel.Session](w, "/v1/sessions/"+id)
}

// sessions are those in which an address takes part, the oldest first.
func (w *world) sessions(addr string) []channel.Session {
	w.t.Helper()
	all := list[channel.Session](w, "/v1/sessions?address="+url.QueryEscape(addr))
	slices.SortFunc(all, func(a, b channel.Session) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return all
}

// one is the only session of an address.
func (w *world) one(addr string) channel.Session {
	w.t.Helper()
	all := w.sessions(addr)
	if len(all) != 1 {
		w.t.Fatalf("%s has %d sessions: %+v", addr, len(all), all)
	}
	return all[0]
}

func (w *world) messages(session string) []channel.Message {
	w.t.Helper()
	return list[channel.Message](w, "/v1/sessions/"+session+"/messages")
}

func (w *world) history(session string) []channel.History {
	w.t.Helper()
	return list[channel.History](w, "/v1/sessions/"+session+"/history")
}

// kinds of a session's history in its order.
func (w *world) kinds(id string) []string {
	w.t.Helper()
	var out []string
	for _, h := range w.history(id) {
		out = append(out, string(h.Kind))
	}
	return out
}

// state holds where a session stands.
func (w *world) state(id string, want session.State) {
	w.t.Helper()
	if s := w.session(id); s.State != want {
		w.t.Errorf("session %s is %s, not %s", id, s.State, want)
	}
}

// act has Ana, or the role before a colon, do something with a session.
func (w *world) act(id, what string, in any) channel.Session {
	w.t.Helper()
	role, verb, ok := strings.Cut(what, ":")
	if !ok {
		role, verb = "supervisor", what
	}
	return decoded[channel.Session](w, w.do(role, "POST", "/v1/sessions/"+id+"/"+verb, in))
}

// sent is the API's answer to a mail of an agent.
type sent struct {
	Session  channel.Session
	Message  channel.Message
	Outbound channel.Outbound
}

func (w *world) reply(id, text string) sent {
	w.t.Helper()
	return decoded[sent](w, w.do("supervisor", "POST", "/v1/sessions/"+id+"/reply", map[string]any{"text": text}))
}

// settings changes the channel's settings.
func (w *world) settings(change func(m map[string]any)) {
	w.t.Helper()
	w.change("/v1/settings", change)
}

// queue changes a queue.
func (w *world) queue(id string, change func(m map[string]any)) {
	w.t.Helper()
	w.change("/v1/queues/"+id, change)
}

// change replaces what is at a path of the API, and waits until it is in force.
func (w *world) change(path string, change func(m map[string]any)) {
	w.t.Helper()
	m := look[map[string]any](w, path)
	change(m)
	w.done("admin", "PUT", path, m)
	w.inForce()
}

// in is an object within an object.
func in(m map[string]any, path ...string) map[string]any {
	for _, p := range path {
		next, ok := m[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[p] = next
		}
		m = next
	}
	return m
}

// post is a mail of a customer.
type post struct {
	from, to string   // addresses; from may have a name
	subject  string   // empty: "Question"
	id       string   // Message-ID; empty: a new one; "-": none
	re       []string // Message-IDs that it answers, the nearest last
	head     []string // further header lines
	text     string   // empty: "Hello."
	envelope *string  // SMTP sender where it is not that of from
}

func (p post) raw(now time.Time) []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("From: %s", p.from)
	line("To: %s", p.to)
	line("Subject: %s", p.subject)
	line("Date: %s", now.Format(time.RFC1123Z))
	if p.id != "-" {
		line("Message-ID: <%s>", p.id)
	}
	if n := len(p.re); n > 0 {
		line("In-Reply-To: <%s>", p.re[n-1])
		line("References: <%s>", strings.Join(p.re, "> <"))
	}
	for _, h := range p.head {
		line("%s", h)
	}
	line("\r\n%s", p.text)
	return []byte(b.String())
}

// mail sends a customer's mail by SMTP and returns it with its Message-ID.
func (w *world) mail(p post) post {
	w.t.Helper()
	if p.subject == "" {
		p.subject = "Question"
	}
	if p.id == "" {
		p.id = strings.ToLower(rand.Text()) + "@customer.example"
	}
	if p.text == "" {
		p.text = "Hello."
	}
	from := p.envelope
	if from == nil {
		a, err := mail.ParseAddress(p.from)
		if err != nil {
			w.t.Fatal(err)
		}
		from = &a.Address
	}
	w.smtp(*from, []string{p.to}, p.raw(w.now()))
	return p
}

// write is mail, and waits for what comes of it.
func (w *world) write(p post) post {
	w.t.Helper()
	p = w.mail(p)
	w.idle()
	return p
}

// begin has a customer write a first mail to a queue's address, and returns
// the session that it begins.
func (w *world) begin(from, to string) (channel.Session, post) {
	w.t.Helper()
	p := w.write(post{from: from, to: to})
	a, err := mail.ParseAddress(from)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.one(a.Address), p
}

// smtp hands a mail to the mail server as a customer's server would.
func (w *world) smtp(from string, to []string, raw []byte) {
	w.t.Helper()
	if err := w.transmit(from, to, raw); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) transmit(from string, to []string, raw []byte) error {
	c, err := smtp.Dial(w.Addrs.SMTP)
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Mail(from)
	for _, rcpt := range to {
		err = errors.Join(err, c.Rcpt(rcpt))
	}
	if err != nil {
		return err
	}
	data, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := data.Write(raw); err != nil {
		return err
	}
	return errors.Join(data.Close(), c.Quit())
}

// stored is a mail in a mailbox.
type stored struct {
	uid   uint32
	flags []string
	head  mail.Header
	raw   []byte
}

func (s stored) id() string { return strings.Trim(s.head.Get("Message-ID"), "<>") }

// box reads the INBOX of an address by IMAP, without a trace.
func (w *world) box(addr string) []stored {
	w.t.Helper()
	var out []stored
	d := &mailbox.Dialer{AllowInsecure: true}
	_, err := d.Fetch(w.t.Context(), w.server(w.Addrs.IMAP), mailbox.Login{User: addr, Password: suite.DemoPassword}, "INBOX", mailbox.Cursor{}, 0,
		func(_ context.Context, it mailbox.Item) error {
			raw, err := io.ReadAll(it.Body)
			if err != nil {
				return err
			}
			m, err := mail.ReadMessage(bytes.NewReader(raw))
			if err != nil {
				return fmt.Errorf("UID %d of %s: %w", it.UID, addr, err)
			}
			out = append(out, stored{it.UID, it.Flags, m.Header, raw})
			return nil
		})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) server(addr string) mailbox.Server {
	w.t.Helper()
	s := mailbox.Server{Host: "127.0.0.1", Security: "none"}
	if _, err := fmt.Sscanf(addr, "127.0.0.1:%d", &s.Port); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// at is a server as the API takes it.
func (w *world) at(addr string) map[string]any {
	w.t.Helper()
	s := w.server(addr)
	return map[string]any{"host": s.Host, "port": s.Port, "security": "none"}
}

// autos are the auto-responses that an address got, answers the mails of agents.
func (w *world) autos(addr string) []stored   { w.t.Helper(); return w.got(addr, true) }
func (w *world) answers(addr string) []stored { w.t.Helper(); return w.got(addr, false) }

func (w *world) got(addr string, auto bool) []stored {
	w.t.Helper()
	return slices.DeleteFunc(w.box(addr), func(s stored) bool { return (s.head.Get("Auto-Submitted") == "auto-replied") != auto })
}

// imap does something in an address's mailbox, as its owner.
func (w *world) imap(addr string, f func(*imapclient.Client) error) {
	w.t.Helper()
	c, err := imapclient.DialInsecure(w.Addrs.IMAP, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.Login(addr, suite.DemoPassword).Wait(), f(c)); err != nil {
		w.t.Fatalf("IMAP of %s: %v", addr, err)
	}
}

// put is a mail in a folder that came by no SMTP.
func (w *world) put(addr, folder string, raw []byte, o *imap.AppendOptions) {
	w.t.Helper()
	w.imap(addr, func(c *imapclient.Client) error {
		cmd := c.Append(folder, int64(len(raw)), o)
		_, err := cmd.Write(raw)
		err = errors.Join(err, cmd.Close())
		_, answer := cmd.Wait()
		return errors.Join(err, answer)
	})
}

// object is one of the archive.
type object struct {
	Name           string
	ContentType    string
	Generation     string
	Metageneration string
}

// objects lists the archive by Cloud Storage's API.
func (w *world) objects(prefix string) []object {
	w.t.Helper()
	var page struct{ Items []object }
	body := w.storage("GET", "/storage/v1/b/"+suite.Bucket+"/o?maxResults=5000&prefix="+url.QueryEscape(prefix), nil)
	if err := json.Unmarshal(body, &page); err != nil {
		w.t.Fatal(err)
	}
	return page.Items
}

// content reads an object of the archive.
func (w *world) content(name string) []byte {
	w.t.Helper()
	return w.storage("GET", "/storage/v1/b/"+suite.Bucket+"/o/"+url.PathEscape(name)+"?alt=media", nil)
}

func (w *world) storage(method, path string, content []byte) []byte {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.Addrs.Storage+path, bytes.NewReader(content))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		w.t.Fatalf("Cloud Storage, %s %s: %s %s %v", method, path, resp.Status, body, err)
	}
	return body
}
