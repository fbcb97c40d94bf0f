package zendesk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const specFile = "../../../shared/specs/zendesk-support-oas.yaml"

// specPath is Zendesk's OpenAPI file, "" when it is not there.
func specPath(t testing.TB) string {
	t.Helper()
	if _, err := os.Stat(specFile); err != nil {
		t.Logf("requests are not checked: %v", err)
		return ""
	}
	return specFile
}

// clock is a clock that stands until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fake is a server under test with the means to talk to it.
type fake struct {
	t     testing.TB
	srv   *Server
	http  *httptest.Server
	clock *clock
}

func start(t testing.TB, opts Options) *fake {
	t.Helper()
	f := &fake{t: t, clock: newClock()}
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	if opts.Now == nil {
		opts.Now = f.clock.Now
	}
	opts.Log = slog.New(slog.DiscardHandler)
	srv, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	f.srv, f.http = srv, httptest.NewServer(srv)
	t.Cleanup(func() {
		f.http.Close()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// reply is an answer that has been read.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

// at walks to a value: "ticket.id", "job_status.results.0.success".
func (r reply) at(path string) any {
	var v any = r.json
	for _, key := range strings.Split(path, ".") {
		switch node := v.(type) {
		case map[string]any:
			v = node[key]
		case []any:
			var i int
			if _, err := fmt.Sscan(key, &i); err != nil || i >= len(node) {
				return nil
			}
			v = node[i]
		default:
			return nil
		}
	}
	return v
}

func (f *fake) do(method, path, body string, header ...string) reply {
	f.t.Helper()
	req, err := http.NewRequest(method, f.http.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.SetBasicAuth("agent@acme.example/token", DefaultToken)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := f.http.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, header: resp.Header, body: string(raw)}
	if err := json.Unmarshal(raw, &r.json); err != nil && strings.HasPrefix(path, apiRoot) {
		f.t.Fatalf("%s %s: %d is no JSON: %q", method, path, r.status, raw)
	}
	return r
}

func (f *fake) must(status int, method, path, body string, header ...string) reply {
	f.t.Helper()
	r := f.do(method, path, body, header...)
	if r.status != status {
		f.t.Fatalf("%s %s: %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

const simpleTicket = `{"ticket":{"subject":"Broken","external_id":"8F3K2M4Q7Z","comment":{"body":"It is broken","public":false}}}`

func TestCreateShowUpdate(t *testing.T) {
	f := start(t, Options{Spec: specPath(t)})
	f.must(201, "POST", "/api/v2/ticket_fields.json", `{"ticket_field":{"type":"text","title":"Queue"}}`)
	created := f.must(201, "POST", "/api/v2/tickets.json", simpleTicket)
	for path, want := range map[string]any{
		"ticket.id": 1.0, "ticket.status": "new", "ticket.external_id": "8F3K2M4Q7Z", "ticket.description": "It is broken",
		"ticket.created_at": "2026-03-05T12:00:00Z", "ticket.custom_fields.0.value": nil, "ticket.priority": nil,
	} {
		if got := created.at(path); got != want {
			t.Errorf("%s = %v, want %v", path, got, want)
		}
	}
	f.clock.Advance(time.Minute)
	field := int64(f.must(200, "GET", "/api/v2/ticket_fields", "").at("ticket_fields.0.id").(float64))
	body := fmt.Sprintf(`{"ticket":{"status":"open","tags":["vip","EMail"],"custom_fields":[{"id":%d,"value":"sales"},{"id":7,"value":"x"}],
		"comment":{"html_body":"<p>Hello <b>you</b></p>","public":true},"metadata":{"op":"k1"}}}`, field)
	updated := f.must(200, "PUT", "/api/v2/tickets/1", body)
	for path, want := range map[string]any{
		"ticket.status": "open", "ticket.tags.0": "email", "ticket.tags.1": "vip", "ticket.updated_at": "2026-03-05T12:01:00Z",
		"ticket.custom_fields.0.value": "sales", "ticket.custom_fields.1": nil, "ticket.description": "It is broken",
	} {
		if got := updated.at(path); got != want {
			t.Errorf("%s = %v, want %v", path, got, want)
		}
	}
	comments := f.must(200, "GET", "/api/v2/tickets/1/comments", "")
	for path, want := range map[string]any{
		"count": 2.0, "comments.0.public": false, "comments.1.public": true, "comments.1.plain_body": "Hello you",
		"comments.1.metadata.custom.op": "k1", "comments.1.created_at": "2026-03-05T12:01:00Z",
	} {
		if got := comments.at(path); got != want {
			t.Errorf("%s = %v, want %v", path, got, want)
		}
	}
	if n := f.srv.Stats().Violations; n != 0 {
		t.Errorf("%d violations", n)
	}
}

func TestRefusals(t *testing.T) {
	f := start(t, Options{})
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	f.must(200, "PUT", "/api/v2/tickets/2", `{"ticket":{"status":"closed"}}`)
	f.must(201, "POST", "/api/v2/users/create_or_update", `{"user":{"name":"Eve","email":"eve@example.org"}}`)
	big := strings.Repeat("x", maxComment+1)
	tests := []struct {
		name, method, path, body string
		status                   int
		code, field              string
	}{
		{"unknown ticket", "GET", "/api/v2/tickets/99", "", 404, "RecordNotFound", ""},
		{"no number", "GET", "/api/v2/tickets/abc", "", 404, "RecordNotFound", ""},
		{"unknown call", "GET", "/api/v2/nothing", "", 404, "InvalidEndpoint", ""},
		{"no JSON", "POST", "/api/v2/tickets", "{", 400, "InvalidJSON", ""},
		{"no comment", "POST", "/api/v2/tickets", `{"ticket":{"subject":"x"}}`, 422, "RecordInvalid", "base"},
		{"blank comment", "POST", "/api/v2/tickets", `{"ticket":{"comment":{"body":" "}}}`, 422, "RecordInvalid", "comment"},
		{"large comment", "PUT", "/api/v2/tickets/1", `{"ticket":{"comment":{"body":"` + big + `"}}}`, 422, "RecordInvalid", "comment"},
		{"closed", "PUT", "/api/v2/tickets/2", `{"ticket":{"status":"open"}}`, 422, "RecordInvalid", "status"},
		{"bad status", "PUT", "/api/v2/tickets/1", `{"ticket":{"status":"asleep"}}`, 422, "RecordInvalid", "status"},
		{"unknown requester", "POST", "/api/v2/tickets", `{"ticket":{"requester_id":5,"comment":{"body":"x"}}}`, 422, "RecordInvalid", "requester"},
		{"unknown author", "PUT", "/api/v2/tickets/1", `{"ticket":{"comment":{"body":"x","author_id":5}}}`, 422, "RecordInvalid", "author"},
		{"end user as assignee", "PUT", "/api/v2/tickets/1", `{"ticket":{"assignee_email":"eve@example.org"}}`, 422, "RecordInvalid", "assignee"},
		{"unknown upload", "PUT", "/api/v2/tickets/1", `{"ticket":{"comment":{"body":"x","uploads":["no"]}}}`, 422, "RecordInvalid", "uploads"},
		{"old stamp", "PUT", "/api/v2/tickets/1", `{"ticket":{"safe_update":true,"updated_stamp":"2020-01-01T00:00:00Z"}}`, 409, "UpdateConflict", ""},
		{"upload without name", "POST", "/api/v2/uploads", "x", 400, "MissingParameter", ""},
		{"user without name", "POST", "/api/v2/users/create_or_update", `{"user":{"email":"n@example.org"}}`, 422, "RecordInvalid", "name"},
		{"empty batch", "PUT", "/api/v2/tickets/update_many", `{"tickets":[]}`, 400, "MissingParameter", ""},
		{"unknown job", "GET", "/api/v2/job_statuses/x", "", 404, "RecordNotFound", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := f.do(tt.method, tt.path, tt.body)
			if r.status != tt.status || r.at("error") != tt.code {
				t.Fatalf("%d %v, want %d %s: %s", r.status, r.at("error"), tt.status, tt.code, r.body)
			}
			if tt.field != "" && r.at("details."+tt.field) == nil {
				t.Errorf("details do not name %s: %s", tt.field, r.body)
			}
		})
	}
	if r := f.must(200, "GET", "/api/v2/tickets/1/comments", ""); r.at("count") != 1.0 {
		t.Errorf("refused updates left comments: %s", r.body)
	}
}

func TestLogin(t *testing.T) {
	f := start(t, Options{Token: "s3cret", Agents: []string{"Agent@acme.example"}})
	basic := func(user, password string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth(user, password)
		return r.Header.Get("Authorization")
	}
	tests := []struct {
		name, header string
		status       int
		email        any
	}{
		{"token", basic("agent@acme.example/token", "s3cret"), 200, "agent@acme.example"},
		{"bearer", "Bearer s3cret", 200, systemAddress},
		{"wrong token", basic("agent@acme.example/token", "S3cret"), 401, nil},
		{"wrong bearer", "Bearer x", 401, nil},
		{"password login", basic("agent@acme.example", "s3cret"), 401, nil},
		{"unknown agent", basic("other@acme.example/token", "s3cret"), 401, nil},
		{"no address", basic("/token", "s3cret"), 401, nil},
		{"nobody", "", 200, "invalid@example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := f.must(tt.status, "GET", "/api/v2/users/me", "", "Authorization", tt.header)
			if got := r.at("user.email"); got != tt.email {
				t.Errorf("user %v, want %v", got, tt.email)
			}
		})
	}
	f.must(401, "GET", "/api/v2/tickets", "", "Authorization", "")
}

func TestIdempotencyKey(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Options{Dir: dir})
	first := f.must(201, "POST", "/api/v2/tickets", simpleTicket, "Idempotency-Key", "k")
	again := f.must(201, "POST", "/api/v2/tickets", simpleTicket, "Idempotency-Key", "k")
	if strings.TrimSpace(again.body) != strings.TrimSpace(first.body) {
		t.Errorf("answers differ:\n%s\n%s", first.body, again.body)
	}
	if a, b := first.header.Get("X-Idempotency-Lookup"), again.header.Get("X-Idempotency-Lookup"); a != "miss" || b != "hit" {
		t.Errorf("lookup %q then %q, want miss then hit", a, b)
	}
	other := f.must(400, "POST", "/api/v2/tickets", strings.Replace(simpleTicket, "Broken", "Other", 1), "Idempotency-Key", "k")
	if other.at("error") != "IdempotentRequestError" {
		t.Errorf("other body: %s", other.body)
	}
	f.must(400, "POST", "/api/v2/tickets", simpleTicket, "Idempotency-Key", strings.Repeat("k", 256))

	f.clock.Advance(keyLife - time.Second)
	f.must(201, "POST", "/api/v2/tickets", simpleTicket, "Idempotency-Key", "k")
	if n := f.srv.Stats().Tickets; n != 1 {
		t.Errorf("%d tickets within two hours, want 1", n)
	}
	f.clock.Advance(time.Second)
	f.must(201, "POST", "/api/v2/tickets", simpleTicket, "Idempotency-Key", "k")
	if st := f.srv.Stats(); st.Tickets != 2 || st.Replayed != 2 {
		t.Errorf("after two hours %+v, want 2 tickets, 2 replayed", st)
	}
	// The same key after a restart.
	g := start(t, Options{Dir: dir, Now: f.clock.Now})
	g.must(201, "POST", "/api/v2/tickets", simpleTicket, "Idempotency-Key", "k")
	if n := g.srv.Stats().Tickets; n != 2 {
		t.Errorf("%d tickets after a restart, want 2", n)
	}
}

func TestUpdateMany(t *testing.T) {
	f := start(t, Options{Spec: specPath(t)})
	for range 3 {
		f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	}
	f.must(200, "PUT", "/api/v2/tickets/3", `{"ticket":{"status":"closed"}}`)
	queued := f.must(200, "PUT", "/api/v2/tickets/update_many",
		`{"tickets":[{"id":1,"comment":{"body":"one"},"additional_tags":["a"]},{"id":3,"status":"open"},{"id":9,"status":"open"},{"id":1,"comment":{"body":"two"}}]}`)
	if queued.at("job_status.status") != "queued" || queued.at("job_status.results") != nil {
		t.Fatalf("queued: %s", queued.body)
	}
	if r := f.must(200, "GET", "/api/v2/tickets/1/comments", ""); r.at("count") != 1.0 {
		t.Error("the job ran before its time")
	}
	done := f.must(200, "GET", "/api/v2/job_statuses/"+queued.at("job_status.id").(string), "")
	for path, want := range map[string]any{
		"job_status.status": "completed", "job_status.results.0.success": true, "job_status.results.1.success": false,
		"job_status.results.1.details": "Status: closed prevents ticket update", "job_status.results.2.error": "RecordNotFound",
		"job_status.results.3.success": true, "job_status.total": 4.0,
	} {
		if got := done.at(path); got != want {
			t.Errorf("%s = %v, want %v", path, got, want)
		}
	}
	comments := f.must(200, "GET", "/api/v2/tickets/1/comments", "")
	if comments.at("comments.1.body") != "one" || comments.at("comments.2.body") != "two" || comments.at("count") != 3.0 {
		t.Errorf("comments after the job: %s", comments.body)
	}
	if again := f.must(200, "GET", "/api/v2/job_statuses/"+done.at("job_status.id").(string), ""); again.body != done.body {
		t.Error("a second poll answers otherwise")
	}

	f.must(200, "PUT", "/api/v2/tickets/update_many?ids=1,2", `{"ticket":{"status":"solved"}}`)
	f.clock.Advance(jobDelay)
	for _, id := range []int{1, 2} { // nobody polled: it ran when its second was over
		if r := f.must(200, "GET", fmt.Sprintf("/api/v2/tickets/%d", id), ""); r.at("ticket.status") != "solved" {
			t.Errorf("ticket %d: %v", id, r.at("ticket.status"))
		}
	}
	many := `{"tickets":[` + strings.TrimSuffix(strings.Repeat(`{"id":1},`, 101), ",") + `]}`
	f.must(422, "PUT", "/api/v2/tickets/update_many", many)
	for range maxJobs {
		f.must(200, "PUT", "/api/v2/tickets/update_many?ids=2", `{"ticket":{"priority":"low"}}`)
	}
	if r := f.must(429, "PUT", "/api/v2/tickets/update_many?ids=2", `{"ticket":{}}`); r.header.Get("Retry-After") != "1" {
		t.Errorf("31st job: Retry-After %q", r.header.Get("Retry-After"))
	}
}

func TestMerge(t *testing.T) {
	f := start(t, Options{Spec: specPath(t)})
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	job := f.must(200, "POST", "/api/v2/tickets/2/merge", `{"ids":[1]}`)
	f.must(200, "GET", "/api/v2/job_statuses/"+job.at("job_status.id").(string), "")
	source := f.must(200, "GET", "/api/v2/tickets/1", "")
	if source.at("ticket.status") != "closed" || source.at("ticket.tags.0") != mergedTag {
		t.Errorf("source: %s", source.body)
	}
	if r := f.must(200, "GET", "/api/v2/tickets/1/comments", ""); r.at("comments.1.body") != `This request was closed and merged into request #2 "Broken".` {
		t.Errorf("comment of the source: %s", r.body)
	}
	f.must(422, "POST", "/api/v2/tickets/2/merge", `{"ids":[1]}`)
}

func TestUploads(t *testing.T) {
	f := start(t, Options{Spec: specPath(t)})
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	up := f.must(201, "POST", "/api/v2/uploads?filename=a.pdf", "%PDF-1", "Content-Type", "application/pdf")
	token := up.at("upload.token").(string)
	if up.at("upload.attachment.size") != 6.0 || up.at("upload.attachment.content_type") != "application/pdf" {
		t.Errorf("upload: %s", up.body)
	}
	f.must(201, "POST", "/api/v2/uploads?filename=b.txt&token="+token, "hello", "Content-Type", "text/plain")
	use := `{"ticket":{"comment":{"body":"files","uploads":["` + token + `"]}}}`
	f.must(200, "PUT", "/api/v2/tickets/1", use)
	r := f.must(200, "GET", "/api/v2/tickets/1/comments", "")
	url, _ := r.at("comments.1.attachments.1.content_url").(string)
	if got := f.must(200, "GET", strings.TrimPrefix(url, f.http.URL), ""); got.body != "hello" {
		t.Errorf("second file reads %q", got.body)
	}
	f.must(422, "PUT", "/api/v2/tickets/1", use) // used up

	late := f.must(201, "POST", "/api/v2/uploads?filename=c.txt", "late").at("upload.token").(string)
	f.clock.Advance(uploadLife - time.Second)
	f.must(201, "POST", "/api/v2/uploads?filename=d.txt&token="+late, "in time")
	f.clock.Advance(time.Second)
	f.must(422, "PUT", "/api/v2/tickets/1", `{"ticket":{"comment":{"body":"x","uploads":["`+late+`"]}}}`)
	f.must(422, "POST", "/api/v2/uploads?filename=d.txt&token="+late, "too late")
	f.must(422, "POST", "/api/v2/uploads?filename=d.txt&token=none", "of no upload")
	f.clock.Advance(time.Hour)
	f.must(201, "POST", "/api/v2/uploads?filename=e.txt", "sweeps")
	files, err := filepath.Glob(filepath.Join(f.srv.opts.Dir, "files", "*"))
	if err != nil || len(files) != 3 {
		t.Errorf("files left: %v %v, want the two of the comment and the new one", files, err)
	}
}

func TestRateLimits(t *testing.T) {
	f := start(t, Options{PerMinute: 5})
	f.clock.Advance(20 * time.Second)
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	for want := 3; want >= 0; want-- {
		r := f.must(200, "GET", "/api/v2/tickets/1", "")
		if got := r.header.Get("X-Rate-Limit-Remaining"); got != fmt.Sprint(want) {
			t.Errorf("remaining %s, want %d", got, want)
		}
	}
	r := f.must(429, "GET", "/api/v2/tickets/1", "")
	if r.header.Get("Retry-After") != "40" || r.header.Get("X-Rate-Limit") != "5" {
		t.Errorf("headers of the 429: %v", r.header)
	}
	f.clock.Advance(39 * time.Second)
	f.must(429, "GET", "/api/v2/tickets/1", "")
	f.clock.Advance(time.Second)
	f.must(200, "GET", "/api/v2/tickets/1", "")
	if n := f.srv.Stats().RateLimited; n != 2 {
		t.Errorf("%d counted, want 2", n)
	}
}

func TestUpdatesOfOneTicket(t *testing.T) {
	f := start(t, Options{})
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	for range updatesPerTicket {
		f.must(200, "PUT", "/api/v2/tickets/1", `{"ticket":{"comment":{"body":"x"}}}`)
		f.clock.Advance(time.Second)
	}
	r := f.must(429, "PUT", "/api/v2/tickets/1", `{"ticket":{"comment":{"body":"x"}}}`)
	if got := r.header.Get("Retry-After"); got != "570" {
		t.Errorf("Retry-After %s, want 570: ten minutes after the first", got)
	}
	f.must(200, "PUT", "/api/v2/tickets/2", `{"ticket":{"comment":{"body":"x"}}}`)
	f.clock.Advance(569 * time.Second)
	f.must(429, "PUT", "/api/v2/tickets/1", `{"ticket":{"status":"open"}}`)
	f.clock.Advance(time.Second)
	f.must(200, "PUT", "/api/v2/tickets/1", `{"ticket":{"status":"open"}}`)
	if r := f.must(200, "GET", "/api/v2/tickets/1/comments", ""); r.at("count") != float64(1+updatesPerTicket) {
		t.Errorf("%v comments", r.at("count"))
	}
}

func TestSearch(t *testing.T) {
	f := start(t, Options{Spec: specPath(t)})
	f.must(201, "POST", "/api/v2/users/create_or_update", `{"user":{"name":"Ann Lee","email":"Ann@example.org","phone":"+4912345","external_id":"U1"}}`)
	for i, status := range []string{"open", "solved", "pending"} {
		f.must(201, "POST", "/api/v2/tickets", fmt.Sprintf(
			`{"ticket":{"subject":"Order %d","external_id":"S%d","status":%q,"tags":["mail"],"requester":{"name":"Ann","email":"ann@example.org"},"comment":{"body":"x"}}}`, i, i, status))
		f.clock.Advance(time.Hour)
	}
	tests := []struct {
		query string
		want  []float64
	}{
		{`type:ticket external_id:S1`, []float64{2}},
		{`type:ticket status<solved`, []float64{3, 1}},
		{`type:ticket requester:ann@example.org status:open`, []float64{1}},
		{`type:ticket requester:"Ann Lee" -status:open`, []float64{3, 2}},
		{`type:ticket tags:mail created>2026-03-05T12:30:00Z`, []float64{3, 2}},
		{`type:ticket "order 1"`, []float64{2}},
		{`type:ticket tags:none`, nil},
	}
	for _, tt := range tests {
		r := f.must(200, "GET", "/api/v2/search?query="+strings.NewReplacer(" ", "%20", `"`, "%22", "<", "%3C", ">", "%3E", "+", "%2B").Replace(tt.query), "")
		var got []float64
		for _, v := range r.at("results").([]any) {
			got = append(got, v.(map[string]any)["id"].(float64))
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: %v, want %v", tt.query, got, tt.want)
		}
	}
	for _, q := range []string{"query=email:ANN@example.org", "query=phone:%22%2B4912345%22", "external_id=u1", "query=ann"} {
		if r := f.must(200, "GET", "/api/v2/users/search?"+q, ""); r.at("users.0.name") != "Ann Lee" {
			t.Errorf("%s: %s", q, r.body)
		}
	}
	f.must(422, "GET", "/api/v2/search?query=type:ticket%20mood:bad", "")
	if r := f.must(200, "GET", "/api/v2/tickets?external_id=S2", ""); r.at("tickets.0.id") != 3.0 || r.at("count") != 1.0 {
		t.Errorf("by external ID: %s", r.body)
	}
	if r := f.must(200, "GET", "/api/v2/tickets/show_many?ids=3,77,1", ""); r.at("tickets.0.id") != 3.0 || r.at("tickets.1.id") != 1.0 || r.at("count") != 2.0 {
		t.Errorf("show_many: %s", r.body)
	}
}

func TestTags(t *testing.T) {
	f := start(t, Options{Spec: specPath(t)})
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	f.must(201, "POST", "/api/v2/tickets/1/tags", `{"tags":["b","a"]}`)
	f.must(200, "PUT", "/api/v2/tickets/1/tags", `{"tags":["c"]}`)
	f.must(409, "PUT", "/api/v2/tickets/1/tags", `{"tags":["d"],"safe_update":"true","updated_stamp":"2019-09-12T21:45:16Z"}`)
	f.must(200, "DELETE", "/api/v2/tickets/1/tags", `{"tags":["b"]}`)
	if r := f.must(200, "GET", "/api/v2/tickets/1/tags", ""); fmt.Sprint(r.at("tags")) != "[a c]" {
		t.Errorf("tags %v", r.at("tags"))
	}
}

func TestPaging(t *testing.T) {
	f := start(t, Options{})
	for range 7 {
		f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	}
	seen := 0
	path := "/api/v2/tickets?page[size]=3"
	for path != "" {
		r := f.must(200, "GET", path, "")
		seen += len(r.at("tickets").([]any))
		next, _ := r.at("links.next").(string)
		if (next != "") != r.at("meta.has_more").(bool) {
			t.Errorf("has_more %v, next %q", r.at("meta.has_more"), next)
		}
		path = strings.TrimPrefix(next, f.http.URL)
	}
	if seen != 7 {
		t.Errorf("%d tickets by cursor, want 7", seen)
	}
	r := f.must(200, "GET", "/api/v2/tickets?per_page=3&page=3", "")
	if r.at("tickets.0.id") != 7.0 || r.at("next_page") != nil || r.at("count") != 7.0 {
		t.Errorf("third page: %s", r.body)
	}
	for _, page := range []string{"4", "9223372036854775807"} {
		if r := f.must(200, "GET", "/api/v2/tickets?per_page=3&page="+page, ""); len(r.at("tickets").([]any)) != 0 {
			t.Errorf("page %s: %s", page, r.body)
		}
	}
	f.must(400, "GET", "/api/v2/tickets?page[after]=!", "")
}

func TestPages(t *testing.T) {
	f := start(t, Options{})
	f.must(201, "POST", "/api/v2/tickets", strings.Replace(simpleTicket, "It is broken", "<script>alert(1)</script>", 1))
	if r := f.must(200, "GET", "/", ""); !strings.Contains(r.body, `<a href="/agent/tickets/1">Broken</a>`) {
		t.Errorf("index: %s", r.body)
	}
	r := f.must(200, "GET", "/agent/tickets/1", "")
	if !strings.Contains(r.body, "&lt;script&gt;alert(1)") || strings.Contains(r.body, "<script") {
		t.Errorf("ticket: %s", r.body)
	}
	f.must(404, "GET", "/agent/tickets/2", "")
}

func TestFaults(t *testing.T) {
	var next atomic.Pointer[Fault]
	f := start(t, Options{Fault: func(op string) error {
		if op == "CreateTicket" {
			return next.Load()
		}
		return nil
	}})
	next.Store(&Fault{Status: 503, RetryAfter: 90 * time.Second})
	if r := f.must(503, "POST", "/api/v2/tickets", simpleTicket); r.header.Get("Retry-After") != "90" {
		t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
	}
	for _, tt := range []struct {
		fault *Fault
		after int
	}{{&Fault{HangUp: true}, 0}, {&Fault{LoseAnswer: true}, 1}} {
		next.Store(tt.fault)
		req, err := http.NewRequest("POST", f.http.URL+"/api/v2/tickets", bytes.NewBufferString(simpleTicket))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("agent@acme.example/token", DefaultToken)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			t.Errorf("%v: answered %d", tt.fault, resp.StatusCode)
		}
		if n := f.srv.Stats().Tickets; n != tt.after {
			t.Errorf("%v: %d tickets, want %d", tt.fault, n, tt.after)
		}
	}
}

func TestParseQuery(t *testing.T) {
	for q, want := range map[string][]term{
		`  two  words `:         {{value: "two"}, {value: "words"}},
		`"one phrase" x`:        {{value: "one phrase"}, {value: "x"}},
		`subject:"a b" -tags:x`: {{property: "subject", op: ':', value: "a b"}, {property: "tags", op: ':', value: "x", negated: true}},
		`"no end`:               {{value: "no end"}},
		``:                      nil,
	} {
		if got := parseQuery(q); !slices.Equal(got, want) {
			t.Errorf("%q: %+v, want %+v", q, got, want)
		}
	}
}
