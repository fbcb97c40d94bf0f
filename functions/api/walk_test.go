package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/emulator/firestore"
	"emailchannel.dev/emailchannel/shared/auth"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/store"
)

// around is what the API's use cases need besides the database.
type around struct {
	mu      sync.Mutex
	objects map[string][]byte
	secrets map[string]string
	sent    map[string]int
}

func (a *around) Publish(_ context.Context, topic string, ms ...event.Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[topic] += len(ms)
	return nil
}

func (a *around) Verify(_ context.Context, acc channel.Account, secret string) error {
	if channel.ParseCredentials(secret).Password != "demo" {
		return fmt.Errorf("535 5.7.8 no such user %s", acc.User)
	}
	return nil
}

func (a *around) Pause(context.Context) error  { return nil }
func (a *around) Resume(context.Context) error { return nil }

type vault struct{ *around }

func (v vault) Get(_ context.Context, name string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.secrets[name], nil
}

func (v vault) Put(_ context.Context, name, value string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.secrets[name] = value
	return nil
}

func (v vault) Delete(_ context.Context, name string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.secrets, name)
	return nil
}

type files struct{ *around }

func (f files) Put(_ context.Context, name, _ string, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects[name] = b
	return nil
}

func (f files) Open(_ context.Context, name string) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.objects[name]
	if !ok {
		return nil, fmt.Errorf("object %s: %w", name, os.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// client calls the API and holds each request that should work, and every
// answer, against the document.
type client struct {
	*testing.T
	url     string
	docs    *store.Store
	around  *around
	receive channel.Receive
	router  routers.Router
	seen    *sync.Map // operations that answered well
}

func newClient(t *testing.T) *client {
	t.Helper()
	indexes, err := os.ReadFile("../../terraform/firestore.indexes.json")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := firestore.Open(firestore.Options{Indexes: indexes})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	srv.Register(g)
	go g.Serve(ln)
	t.Cleanup(func() { g.Stop(); srv.Close() })
	docs, err := store.Open(t.Context(), "demo", "", option.WithEndpoint(ln.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())), option.WithTelemetryDisabled())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docs.Close() })
	a := &around{objects: map[string][]byte{}, secrets: map[string]string{}, sent: map[string]int{}}
	config := channel.NewConfiguration(docs)
	tokens := auth.StaticTokens{}
	for _, who := range []string{"agent:ana", "agent:dora", "supervisor:sam", "admin:adam", "admin:eve", "service:svc"} {
		role, name, _ := strings.Cut(who, ":")
		tokens[name] = auth.Identity{Email: name + "@example.com", Role: auth.Role(role)}
	}
	receive := channel.Receive{Docs: docs, Archive: files{a}, Bus: a, Config: config, Now: time.Now, Limits: email.DefaultLimits()}
	admin := &channel.Admin{Docs: docs, Secrets: vault{a}, Bus: a, Mail: a, Schedule: a, Now: time.Now}
	web := httptest.NewServer(New(Deps{
		Desk:    &channel.Desk{Docs: docs, Archive: files{a}, Bus: a, Config: config, Now: time.Now},
		Admin:   admin,
		Storage: &channel.AdminStorage{Admin: admin, Probe: a.probe},
		Read:    &channel.Read{Docs: docs, Archive: files{a}, Config: config, Now: time.Now},
		Erase:   &channel.Erase{Docs: docs, Objects: files{a}, Now: time.Now},
		Remail:  &channel.Remail{Receive: &receive},
		Auth:    &auth.Authenticator{Bearer: []auth.Tokens{tokens}},
	}))
	t.Cleanup(web.Close)
	router, err := legacy.NewRouter(load(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, mediaType := range []string{"message/rfc822", "application/yaml", "image/png", "image/gif", "text/calendar"} {
		openapi3filter.RegisterBodyDecoder(mediaType, openapi3filter.FileBodyDecoder)
	}
	return &client{T: t, url: web.URL, docs: docs, around: a, router: router, seen: new(sync.Map), receive: receive}
}

// do sends a request and returns the status, the header and the body.
func (c *client) do(who, method, path string, body any, header ...string) (int, http.Header, []byte) {
	c.Helper()
	var content []byte
	switch body := body.(type) {
	case nil:
	case string:
		content = []byte(body)
	default:
		var err error
		if content, err = json.Marshal(body); err != nil {
			c.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(c.Context(), method, c.url+path, bytes.NewReader(content))
	if err != nil {
		c.Fatal(err)
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatal(err)
	}
	if method != http.MethodHead {
		c.hold(req, content, resp, got)
	}
	return resp.StatusCode, resp.Header, got
}

// hold validates the exchange with the document.
func (c *client) hold(req *http.Request, content []byte, resp *http.Response, got []byte) {
	c.Helper()
	if resp.Header.Get(requestID) == "" {
		c.Errorf("%s %s: no request ID", req.Method, req.URL.Path)
	}
	if resp.StatusCode >= 400 && resp.Header.Get("Content-Type") != "application/problem+json" {
		c.Errorf("%s %s: %d as %q: %s", req.Method, req.URL.Path, resp.StatusCode, resp.Header.Get("Content-Type"), got)
	}
	plain := req.Clone(c.Context())
	plain.URL.Scheme, plain.URL.Host, plain.Host = "", "", ""
	plain.Body = io.NopCloser(bytes.NewReader(content))
	rt, params, err := c.router.FindRoute(plain)
	if err != nil {
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
			c.Errorf("%s %s: %v", req.Method, req.URL.Path, err)
		}
		return
	}
	in := &openapi3filter.RequestValidationInput{Request: plain, PathParams: params, Route: rt, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if err := openapi3filter.ValidateRequest(c.Context(), in); err != nil && resp.StatusCode < 400 {
		c.Errorf("%s %s was taken, and the document does not allow it: %v", req.Method, req.URL.Path, err)
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Options: &openapi3filter.Options{IncludeResponseStatus: true}}
	out.SetBodyBytes(got)
	if err := openapi3filter.ValidateResponse(c.Context(), out); err != nil {
		c.Errorf("%s %s: %d is not as described: %v\n%s", req.Method, req.URL.Path, resp.StatusCode, err, got)
	}
	if resp.StatusCode < 400 {
		c.seen.Store(rt.Operation.OperationID, true)
	}
}

// want sends a request that must be answered with the status, and decodes the answer.
func (c *client) want(status int, who, method, path string, body any, header ...string) map[string]any {
	c.Helper()
	got, _, b := c.do(who, method, path, body, header...)
	if got != status {
		c.Errorf("%s %s by %q: %d, want %d: %s", method, path, who, got, status, b)
	}
	var v map[string]any
	_ = json.Unmarshal(b, &v) // what is no JSON has been held against the document
	return v
}

type obj = map[string]any

// configure makes two queues with an agent each, all over the API.
func (c *client) configure() {
	c.Helper()
	at := obj{"host": "mail.example.com", "port": 993, "security": "tls"}
	set := c.want(200, "adam", "GET", "/v1/settings", nil)
	set["email"], set["company"] = true, "Example & Co"
	c.want(200, "adam", "PUT", "/v1/settings", set)
	c.want(200, "adam", "PUT", "/v1/teams/first", obj{"name": "First line"})
	c.want(200, "adam", "PUT", "/v1/agents/ana@example.com", obj{"name": "Ana Silva", "role": "agent", "teams": []string{"first"}})
	c.want(200, "adam", "PUT", "/v1/agents/dora@example.com", obj{"name": "Dora Lang", "role": "agent"})
	for _, id := range []string{"support", "billing"} {
		c.want(200, "adam", "PUT", "/v1/accounts/"+id, obj{"user": id, "address": id + "@example.com", "password": "demo", "incoming": at, "outgoing": at})
	}
	c.want(200, "adam", "PUT", "/v1/queues/support", obj{
		"name": "Support", "language": "en", "on": true, "order": 1, "accounts": []string{"support"}, "teams": []string{"first"},
		"hours":     obj{"zone": "Europe/Berlin", "week": []obj{{"day": 1, "from": "09:00", "to": "24:00"}}, "holidays": []obj{{"name": "New Year", "date": "2026-01-01", "recurring": true}}},
		"signature": obj{"on": true, "html": "<p>@{agent}</p>"},
	})
	c.want(200, "adam", "PUT", "/v1/queues/billing", obj{"name": "Billing", "language": "de", "on": true, "order": 2, "accounts": []string{"billing"}, "agents": []string{"dora@example.com"}})
}

// inbound is a mail with a picture, received, and the ID of its session.
func (c *client) inbound(n int) string {
	c.Helper()
	raw := fmt.Sprintf("From: Cleo <cleo@customer.example>\r\nTo: support@example.com\r\nSubject: Lamp %d\r\nMessage-ID: <%d@customer.example>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nIt broke.\r\n"+
		"--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=\"l\xc3\xa4mp.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n"+
		"--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=x.html\r\n\r\n<script>alert(1)</script>\r\n--b--\r\n", n, n)
	e := event.Received{Source: event.Source{Account: "support", Folder: "INBOX", UIDValidity: 1, UID: uint32(n)}, Object: fmt.Sprintf("raw/%d.eml", n)}
	if err := (files{c.around}).Put(c.Context(), e.Object, "", strings.NewReader(raw)); err != nil {
		c.Fatal(err)
	}
	if err := c.receive.Handle(c.Context(), e, 1); err != nil {
		c.Fatal(err)
	}
	list := c.want(200, "sam", "GET", "/v1/sessions?limit=1", nil)
	return list["items"].([]any)[0].(obj)["id"].(string)
}

// TestWalk lives a day with the API, until every operation of the document has
// answered well once. Each exchange is held against the document.
func TestWalk(t *testing.T) {
	c := newClient(t)
	c.want(200, "", "GET", "/v1/openapi.yaml", nil)
	c.configure()
	c.want(200, "adam", "POST", "/v1/accounts/support/verify", nil)
	c.want(204, "adam", "POST", "/v1/accounts/support/reconcile", nil)
	c.want(404, "adam", "POST", "/v1/accounts/nobody/reconcile", nil)
	c.want(200, "sam", "GET", "/v1/accounts/support/reconciliations", nil)
	if v := c.want(200, "sam", "GET", "/v1/accounts/support", nil); v["secret"] != nil || v["password"] != nil || v["status"].(obj)["valid"] != true {
		t.Errorf("an account: %v", v)
	}
	for _, list := range []string{"accounts", "queues", "agents", "teams"} {
		if v := c.want(200, "sam", "GET", "/v1/"+list, nil); len(v["items"].([]any)) == 0 {
			t.Errorf("no %s", list)
		}
	}
	// What an answer says may be sent back as it is.
	for _, path := range []string{"accounts/support", "queues/support", "agents/ana@example.com", "teams/first", "settings"} {
		c.want(200, "adam", "PUT", "/v1/"+path, c.want(200, "adam", "GET", "/v1/"+path, nil))
	}
	c.holidays()
	c.audited()
	c.setup()
	c.keeping()
	c.want(200, "ana", "POST", "/v1/agents/me/login", nil)
	c.want(200, "ana", "POST", "/v1/agents/me/heartbeat", nil)
	c.want(200, "ana", "PUT", "/v1/agents/me/status", obj{"status": "in-email"})
	c.want(422, "ana", "PUT", "/v1/agents/me/status", obj{"status": "asleep"})
	c.want(403, "ana", "PUT", "/v1/agents/dora@example.com/status", obj{"status": "available"})
	c.want(404, "sam", "POST", "/v1/agents/nobody@example.com/heartbeat", nil)
	c.want(200, "ana", "POST", "/v1/agents/me/logout", nil)
	c.want(409, "ana", "POST", "/v1/agents/me/heartbeat", nil)

	first, second := c.inbound(1), c.inbound(2)
	page := c.want(200, "ana", "GET", "/v1/sessions?waiting=true&state=unopened&limit=1", nil)
	page = c.want(200, "ana", "GET", "/v1/sessions?waiting=true&state=unopened&limit=1&cursor="+page["next"].(string), nil)
	if id := page["items"].([]any)[0].(obj)["id"]; id != first || page["next"] != nil {
		t.Errorf("the second page: %v", page)
	}
	at := "/v1/sessions/" + first
	c.want(200, "svc", "GET", "/v1/sessions/"+strings.ToLower(first), nil)
	c.want(200, "ana", "POST", at+"/assign", obj{"agent": "me"})
	if v := c.want(200, "ana", "POST", at+"/open", nil); v["state"] != "active" || v["agent"] != "ana@example.com" {
		t.Errorf("opened: %v", v)
	}
	sent := c.want(202, "ana", "POST", at+"/reply", obj{"html": "<p>Which lamp?</p>", "cc": []obj{{"addr": "boss@customer.example"}}}, "Idempotency-Key", "r1")
	again := c.want(202, "ana", "POST", at+"/reply", obj{"html": "<p>Which lamp?</p>", "cc": []obj{{"addr": "boss@customer.example"}}}, "Idempotency-Key", "r1")
	if sent["outbound"].(obj)["id"] != again["outbound"].(obj)["id"] || c.around.sent[event.TopicOutbound] != 1 {
		t.Errorf("sent twice: %v", again)
	}
	c.viewers(at)
	c.reports()
	c.want(201, "ana", "POST", at+"/note", obj{"text": "A regular."}, "Idempotency-Key", "n1")
	for _, step := range []string{"pause", "activate", "resolve", "activate", "unassign"} {
		c.want(200, "ana", "POST", at+"/"+step, nil)
	}
	c.want(200, "ana", "POST", at+"/transfer", obj{"queue": "billing"})
	c.want(200, "dora", "POST", at+"/assign", obj{"agent": "dora@example.com"})
	messages := c.want(200, "dora", "GET", at+"/messages", nil)["items"].([]any)
	if len(messages) != 3 {
		t.Fatalf("%d messages", len(messages))
	}
	c.want(200, "dora", "GET", at+"/history?limit=200", nil)
	if why := c.want(200, "svc", "GET", at+"/decisions", nil); why["items"].([]any)[0].(obj)["rule"] != "new" || why["waits"] != nil {
		t.Errorf("decisions: %v", why)
	}
	if why := c.want(200, "ana", "GET", "/v1/sessions/"+second+"/decisions", nil); why["waits"].(obj)["reason"] != "assignment-off" {
		t.Errorf("decisions of what waits: %v", why)
	}
	c.files(at + "/messages/" + messages[0].(obj)["id"].(string))
	results := c.want(200, "svc", "POST", "/v1/bulk/session-states", obj{"sessions": []string{first, second, "nothing"}, "state": "paused"})["results"].([]any)
	for i, want := range []string{"updated", "invalid_transition", "not_found"} {
		if got := results[i].(obj)["result"]; got != want {
			t.Errorf("bulk result %d: %v, want %s", i, got, want)
		}
	}
	c.want(201, "ana", "POST", "/v1/sessions", obj{"queue": "support", "to": []obj{{"name": "Cleo", "addr": "cleo@customer.example"}}, "subject": "News", "text": "It is ready."}, "Idempotency-Key", "s1")
	c.enclose(second)
	c.trouble(sent["outbound"].(obj)["id"].(string))
	c.forgetting(first, messages[0].(obj)["id"].(string))

	c.want(204, "adam", "DELETE", "/v1/queues/billing?move_to=support", nil)
	c.want(204, "adam", "DELETE", "/v1/accounts/billing", nil)
	c.want(204, "adam", "DELETE", "/v1/agents/dora@example.com", nil)
	c.want(204, "adam", "DELETE", "/v1/teams/first", nil)
	for _, path := range load(t).Paths.Map() {
		for _, op := range path.Operations() {
			if _, ok := c.seen.Load(op.OperationID); !ok {
				t.Errorf("the walk does not come by %s", op.OperationID)
			}
		}
	}
}

// audited reads the audit log in pages, and narrowed.
func (c *client) audited() {
	c.Helper()
	page := c.want(200, "sam", "GET", "/v1/audit?limit=1", nil)
	newest := page["items"].([]any)[0].(obj)
	if newest["kind"] != "queue" || newest["thing"] != "support" || newest["actor"] != "adam@example.com" || newest["role"] != "admin" || newest["act"] != "changed" || newest["changes"].([]any)[0].(obj)["field"] != "hours.holidays" {
		c.Errorf("the last change: %v", newest)
	}
	c.want(200, "sam", "GET", "/v1/audit?limit=1&cursor="+page["next"].(string), nil)
	for query, n := range map[string]int{"kind=team&thing=first&actor=adam@example.com": 1, "actor=channel": 0, "from=2100-01-01T00:00:00Z": 0, "kind=account&before=2100-01-01T00:00:00Z": 2} {
		if list := c.want(200, "sam", "GET", "/v1/audit?"+query, nil)["items"].([]any); len(list) != n {
			c.Errorf("%s: %d entries, want %d", query, len(list), n)
		}
	}
	c.want(422, "sam", "GET", "/v1/audit?kind=cat&from=yesterday", nil)
	c.want(403, "ana", "GET", "/v1/audit", nil)
}

// setup exports the configuration and imports it: as it is, with a change that
// is only tried, with the change, and once more from the version before.
func (c *client) setup() {
	c.Helper()
	status, h, file := c.do("sam", "GET", "/v1/settings:export", nil)
	tag := h.Get("ETag")
	if status != 200 || h.Get("Content-Type") != "application/yaml" || !strings.Contains(string(file), "queues:\n  billing:\n") {
		c.Errorf("export: %d %v %s", status, h, file)
	}
	if status, _, _ := c.do("sam", "GET", "/v1/settings:export", nil, "If-None-Match", tag); status != 304 {
		c.Errorf("exported again: %d", status)
	}
	yaml := func(more ...string) []string { return append(more, "Content-Type", "application/yaml") }
	changed := strings.Replace(string(file), "name: Billing\n", "name: Bills\n", 1)
	for _, step := range []struct {
		query, file string
		changes     int
	}{{"", string(file), 0}, {"?dry_run=true&prune=false", changed, 1}, {"", changed, 1}, {"?prune=true", changed, 0}} {
		v := c.want(200, "adam", "PUT", "/v1/settings:import"+step.query, step.file, yaml()...)
		if n := len(v["changes"].([]any)); n != step.changes || v["dry_run"] != strings.HasPrefix(step.query, "?dry_run=true") {
			c.Errorf("import%s: %v", step.query, v)
		}
	}
	p := c.want(412, "eve", "PUT", "/v1/settings:import", string(file), yaml("If-Match", tag)...)
	if what := p["changes"].([]any)[0].(obj); what["thing"] != "queue billing" || what["actor"] != "adam@example.com" {
		c.Errorf("from an old export: %v", p)
	}
	p = c.want(422, "adam", "PUT", "/v1/settings:import", "queues: {support: {name: S, language: en, accounts: [nobody]}, x: {nmae: X}}", yaml()...)
	if p["errors"].([]any)[0].(obj)["field"] != "queues.x.nmae" {
		c.Errorf("a bad file: %v", p)
	}
	c.want(422, "adam", "PUT", "/v1/settings:import?prune=maybe", "", yaml()...)
	c.want(415, "adam", "PUT", "/v1/settings:import", obj{})
	c.want(413, "adam", "PUT", "/v1/settings:import", strings.Repeat("#", maxSetup+1), yaml()...)
	c.want(403, "sam", "PUT", "/v1/settings:import", changed, yaml()...)
}

// holidays imports a calendar twice.
func (c *client) holidays() {
	c.Helper()
	const calendar = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\nSUMMARY:Christmas\r\nEND:VEVENT\r\n" +
		"BEGIN:VEVENT\r\nDTSTART:20261224T100000Z\r\nSUMMARY:Lunch\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	for _, want := range [][3]int{{1, 0, 1}, {0, 1, 1}} {
		v := c.want(200, "adam", "POST", "/v1/queues/support/holidays:import", calendar, "Content-Type", "text/calendar; charset=utf-8")
		if got := [3]int{len(v["added"].([]any)), len(v["present"].([]any)), len(v["skipped"].([]any))}; got != want {
			c.Errorf("imported %v, want %v", v, want)
		}
	}
	const folder = "?folder=Germany%2F2026"
	v := c.want(200, "adam", "POST", "/v1/queues/support/holidays:import"+folder, calendar, "Content-Type", "text/calendar")
	if len(v["added"].([]any)) != 1 {
		c.Errorf("imported %v into a folder", v)
	}
	if l := c.want(200, "dora", "GET", "/v1/queues/support/holidays"+folder, nil)["items"].([]any); len(l) != 1 || l[0].(obj)["folder"] != "Germany/2026" {
		c.Errorf("the folder has %v", l)
	}
	if l := c.want(200, "dora", "GET", "/v1/queues/support/holidays", nil)["items"].([]any); len(l) != 3 {
		c.Errorf("the queue has %v", l)
	}
	c.want(204, "adam", "DELETE", "/v1/queues/support/holidays"+folder, nil)
	if q := c.want(200, "adam", "GET", "/v1/queues/support", nil); len(q["hours"].(obj)["holidays"].([]any)) != 2 {
		c.Errorf("the queue has %v", q["hours"])
	}
}

// files downloads what belongs to a message.
func (c *client) files(message string) {
	c.Helper()
	status, h, raw := c.do("dora", "GET", message+"/raw", nil)
	if status != 200 || h.Get("Content-Type") != "message/rfc822" || !strings.Contains(string(raw), "It broke.") {
		c.Errorf("raw: %d %v", status, h)
	}
	status, h, png := c.do("dora", "GET", message+"/attachments/0", nil)
	if status != 200 || h.Get("Content-Type") != "image/png" || len(png) != 8 || !strings.Contains(h.Get("Content-Disposition"), "filename*=utf-8''l%C3%A4mp.png") {
		c.Errorf("picture: %d %v", status, h)
	}
	status, h, _ = c.do("dora", "GET", message+"/attachments/1", nil)
	if status != 200 || h.Get("Content-Type") != "application/octet-stream" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || h.Get("X-Content-Type-Options") != "nosniff" {
		c.Errorf("a script must not run: %d %v", status, h)
	}
	c.want(404, "dora", "GET", message+"/attachments/2", nil)
	c.want(404, "dora", "GET", message+"/attachments/x", nil)
}

// trouble makes one of everything that gets stuck, and cures it.
func (c *client) trouble(outbound string) {
	c.Helper()
	if err := c.docs.Write(c.Context(), func(tx channel.Tx) {
		now := time.Now()
		tx.Patch("outbound/"+outbound, map[string]any{"state": channel.Uncertain, "due": nil})
		tx.Set("quarantine/q1", channel.Quarantined{ID: "q1", Reason: "broken", At: now, Event: event.Received{Object: "raw/1.eml", ReceivedAt: now}})
		for _, id := range []string{"d1", "d2"} {
			tx.Set("deadletters/"+id, channel.DeadLetter{ID: id, Topic: "session-changed", Subscription: "session-changed.route", Data: []byte("{}"), Attributes: map[string]string{"kind": "received"}, At: now})
		}
		tx.Set("crmops/o1", channel.Operation{ID: "o1", Record: "r", Kind: crm.Comment, State: channel.OpParked, At: now})
		tx.Set("records/r", channel.CRMRecord{Session: "r"})
	}); err != nil {
		c.Fatal(err)
	}
	for _, list := range []string{"outbound", "quarantine", "dead-letters", "crm/operations"} {
		if v := c.want(200, "sam", "GET", "/v1/"+list, nil); len(v["items"].([]any)) == 0 {
			c.Errorf("no %s", list)
		}
	}
	c.want(200, "dora", "POST", "/v1/outbound/"+outbound+"/resolve", obj{"resolution": "resend"})
	c.want(204, "adam", "POST", "/v1/quarantine/q1/retry", nil)
	c.want(204, "adam", "POST", "/v1/dead-letters/d1/replay", nil)
	c.want(204, "adam", "DELETE", "/v1/dead-letters/d2", nil)
	c.want(200, "adam", "POST", "/v1/crm/operations/o1/replay", nil)
}

// viewers are two who have the same session before them (AG-2).
func (c *client) viewers(at string) {
	c.Helper()
	c.want(200, "ana", "PUT", at+"/viewers/me", obj{"doing": "replying"})
	others := c.want(200, "sam", "PUT", at+"/viewers/me", obj{"doing": "viewing"})["items"].([]any)
	if len(others) != 1 || others[0].(obj)["agent"] != "ana@example.com" || others[0].(obj)["doing"] != "replying" {
		c.Errorf("sam sees %v", others)
	}
	c.want(422, "ana", "PUT", at+"/viewers/me", obj{"doing": "sleeping"})
	c.want(403, "dora", "PUT", at+"/viewers/me", obj{"doing": "viewing"})
	c.want(204, "ana", "DELETE", at+"/viewers/me", nil)
	if others := c.want(200, "sam", "GET", at+"/viewers", nil)["items"].([]any); len(others) != 0 {
		c.Errorf("sam sees %v, who left", others)
	}
}

// reports are counted, and come as JSON and as CSV (AG-6).
func (c *client) reports() {
	c.Helper()
	count := channel.Count{Docs: c.docs, Config: channel.NewConfiguration(c.docs), Now: time.Now}
	if err := count.Handle(c.Context()); err != nil {
		c.Fatal(err)
	}
	states := c.want(200, "sam", "GET", "/v1/reports/states?by=queue,agent", nil)["items"].([]any)
	if len(states) != 2 || states[1].(obj)["agent"] != "ana@example.com" || states[1].(obj)["active"] != 1.0 || states[0].(obj)["unopened"] != 1.0 {
		c.Errorf("states: %v", states)
	}
	lines := c.want(200, "sam", "GET", "/v1/reports/activity?by=", nil)["items"].([]any)
	if len(lines) != 1 || lines[0].(obj)["arrived"] != 2.0 || lines[0].(obj)["responses"] != 1.0 {
		c.Errorf("activity: %v", lines)
	}
	status, header, body := c.do("sam", "GET", "/v1/reports/activity?by=queue", nil, "Accept", "text/csv")
	if !strings.HasPrefix(string(body), "queue,arrived,started,") || !strings.Contains(string(body), "\r\nsupport,2,0,1,") || !strings.HasPrefix(header.Get("Content-Type"), "text/csv") {
		c.Errorf("CSV: %d %v %s", status, header, body)
	}
	for path, field := range map[string]string{"states?by=day": "by", "activity?by=mood": "by", "activity?from=yesterday": "from", "activity?from=2026-02-02&to=2026-01-01": "to", "activity?from=2020-01-01&to=2026-01-01": "to"} {
		problem := c.want(422, "sam", "GET", "/v1/reports/"+path, nil)
		if errs := problem["errors"].([]any); len(errs) != 1 || errs[0].(obj)["field"] != field {
			c.Errorf("%s: %v", path, problem)
		}
	}
	c.want(403, "ana", "GET", "/v1/reports/states", nil)
}
