package zendesk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	fakezendesk "emailchannel.dev/emailchannel/emulator/zendesk"
	"emailchannel.dev/emailchannel/shared/zendesk"
)

const specFile = "../../../shared/specs/zendesk-support-oas.yaml"

// account is the emulator's Zendesk with a standing clock, and a client of it.
type account struct {
	*zendesk.Client
	srv  *fakezendesk.Server
	base string

	mu    sync.Mutex
	now   time.Time
	fault map[string]error // by operation; each is used once
}

func (a *account) Now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

func (a *account) advance(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = a.now.Add(d)
}

func (a *account) failOnce(op string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault[op] = err
}

func newAccount(t *testing.T, perMinute int) *account {
	t.Helper()
	spec := specFile
	if _, err := os.Stat(spec); err != nil {
		t.Logf("requests are not checked against Zendesk's OpenAPI file: %v", err)
		spec = ""
	}
	a := &account{now: time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC), fault: map[string]error{}}
	srv, err := fakezendesk.Open(fakezendesk.Options{
		Dir: t.TempDir(), Now: a.Now, Spec: spec, PerMinute: perMinute, Log: slog.New(slog.DiscardHandler),
		Fault: func(op string) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			err := a.fault[op]
			delete(a.fault, op)
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(srv)
	a.srv, a.base = srv, server.URL
	a.Client = a.client("agent@acme.example", fakezendesk.DefaultToken)
	t.Cleanup(func() {
		server.Close()
		if n := srv.Stats().Violations; n != 0 {
			t.Errorf("%d requests broke Zendesk's OpenAPI file", n)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func (a *account) client(email, token string) *zendesk.Client {
	return zendesk.New(zendesk.Config{BaseURL: a.base, Email: email, Token: token, Now: a.Now})
}

// must ends the test when a call failed that should not.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ticketOf(session string) zendesk.Ticket {
	return zendesk.Ticket{
		ExternalID: session, Subject: "Broken", Status: zendesk.StatusOpen, Priority: "high", Tags: []string{"mail"},
		Requester: &zendesk.Requester{Name: "Ann", Email: "ann@example.org"},
		Comment:   &zendesk.Comment{Body: "It is broken", Public: true},
		Metadata:  map[string]any{"op": "create"},
	}
}

// Every call of the client once, against the fake that checks each request.
func TestEveryCall(t *testing.T) {
	a, ctx := newAccount(t, 0), context.Background()
	me := must[zendesk.User](t)(a.Verify(ctx))
	if me.Email != "agent@acme.example" || me.Role != "admin" {
		t.Errorf("Verify: %+v", me)
	}
	field := must[zendesk.TicketField](t)(a.CreateTicketField(ctx, zendesk.TicketField{Type: "text", Title: "Queue"}))
	if fields := must[[]zendesk.TicketField](t)(a.TicketFields(ctx)); !cmp.Equal(fields, []zendesk.TicketField{field}) {
		t.Errorf("TicketFields: %v, want %v", fields, field)
	}
	ann := must[zendesk.User](t)(a.CreateOrUpdateUser(ctx, zendesk.User{Name: "Ann", Email: "ann@example.org", Phone: "+49 123", ExternalID: "U1", SkipVerify: true}))
	if found := must[*zendesk.User](t)(a.SearchUser(ctx, "ANN@example.org")); found == nil || found.ID != ann.ID {
		t.Errorf("SearchUser: %v", found)
	}
	if found := must[*zendesk.User](t)(a.SearchUser(ctx, "nobody@example.org")); found != nil {
		t.Errorf("SearchUser of nobody: %v", found)
	}
	if found := must[[]zendesk.User](t)(a.SearchUsersByPhone(ctx, "+49 123")); len(found) != 1 || found[0].ID != ann.ID {
		t.Errorf("SearchUsersByPhone: %v", found)
	}
	if u := must[zendesk.User](t)(a.User(ctx, ann.ID)); !cmp.Equal(u, ann) {
		t.Errorf("User: %s", cmp.Diff(ann, u))
	}

	created := must[zendesk.Ticket](t)(a.CreateTicket(ctx, "session-1", ticketOf("S1")))
	if created.ID == 0 || created.RequesterID != ann.ID || created.Description != "It is broken" || created.CreatedAt != a.Now() {
		t.Errorf("CreateTicket: %+v", created)
	}
	if got := must[zendesk.Ticket](t)(a.Ticket(ctx, created.ID)); !cmp.Equal(got, created) {
		t.Errorf("Ticket: %s", cmp.Diff(created, got))
	}
	if got := must[*zendesk.Ticket](t)(a.TicketByExternalID(ctx, "S1")); got == nil || !cmp.Equal(*got, created) {
		t.Errorf("TicketByExternalID: %v", got)
	}
	if got := must[*zendesk.Ticket](t)(a.TicketByExternalID(ctx, "S2")); got != nil {
		t.Errorf("TicketByExternalID of none: %v", got)
	}
	if got := must[[]zendesk.Ticket](t)(a.TicketsOfRequester(ctx, ann.ID)); len(got) != 1 || got[0].ID != created.ID {
		t.Errorf("TicketsOfRequester: %v", got)
	}

	token := must[string](t)(a.Upload(ctx, "a b.pdf", "application/pdf", strings.NewReader("%PDF")))
	updated := must[zendesk.Ticket](t)(a.UpdateTicket(ctx, created.ID, zendesk.TicketUpdate{
		Status: zendesk.StatusPending, AssigneeID: me.ID, SafeUpdate: true, UpdatedStamp: created.UpdatedAt,
		CustomFields: []zendesk.FieldValue{{ID: field.ID, Value: "sales"}},
		Comment:      &zendesk.Comment{HTMLBody: "<p>See file</p>", AuthorID: ann.ID, Uploads: []string{token}},
		Metadata:     map[string]any{"op": "m2"},
	}))
	if updated.Status != zendesk.StatusPending || updated.AssigneeID != me.ID || len(updated.CustomFields) != 1 || updated.CustomFields[0].Value != "sales" {
		t.Errorf("UpdateTicket: %+v", updated)
	}
	if err := a.AddTags(ctx, created.ID, "vip"); err != nil {
		t.Error(err)
	}
	id := must[string](t)(a.UpdateMany(ctx, []zendesk.TicketUpdate{
		{ID: created.ID, AdditionalTags: []string{"batch"}, Comment: &zendesk.Comment{Body: "batched"}}, {ID: 4711, Status: zendesk.StatusOpen},
	}))
	job := must[zendesk.Job](t)(a.Job(ctx, id))
	if !job.Finished() || len(job.Results) != 2 || !job.Results[0].Success || job.Results[1].Success || job.Results[1].Temporary() {
		t.Errorf("Job: %+v", job)
	}
	checkComments(t, must[[]zendesk.Comment](t)(a.Comments(ctx, created.ID)), ann.ID, me.ID)
	if got := must[zendesk.Ticket](t)(a.Ticket(ctx, created.ID)); !cmp.Equal(got.Tags, []string{"batch", "mail", "vip"}) {
		t.Errorf("tags %v", got.Tags)
	}
	if !a.srv.Stats().SpecChecked {
		t.Log("the requests were not checked: no OpenAPI file")
	}
}

func checkComments(t *testing.T, comments []zendesk.Comment, author, agent int64) {
	t.Helper()
	if len(comments) != 3 {
		t.Fatalf("%d comments", len(comments))
	}
	first, second, third := comments[0], comments[1], comments[2]
	if !first.Public || first.AuthorID != agent || first.Metadata["custom"].(map[string]any)["op"] != "create" {
		t.Errorf("first: %+v", first)
	}
	if second.Public || second.AuthorID != author || second.Body != "See file" || len(second.Attachments) != 1 || second.Attachments[0].FileName != "a b.pdf" {
		t.Errorf("second: %+v", second)
	}
	if third.Body != "batched" || third.Public {
		t.Errorf("third: %+v", third)
	}
}

func TestCommentsOfManyPages(t *testing.T) {
	a, ctx := newAccount(t, 0), context.Background()
	ticket := must[zendesk.Ticket](t)(a.CreateTicket(ctx, "", ticketOf("S1")))
	for n := range 250 {
		if n%25 == 0 {
			a.advance(10 * time.Minute) // 30 updates of a ticket in ten minutes
		}
		must[zendesk.Ticket](t)(a.UpdateTicket(ctx, ticket.ID, zendesk.TicketUpdate{Comment: &zendesk.Comment{Body: fmt.Sprint(n)}}))
	}
	comments := must[[]zendesk.Comment](t)(a.Comments(ctx, ticket.ID))
	if len(comments) != 251 || comments[250].Body != "249" || comments[101].Body != "100" {
		t.Errorf("%d comments", len(comments))
	}
}

// The three ways out of a crash between the request and its answer.
func TestLostAnswer(t *testing.T) {
	ctx := context.Background()
	tests := []struct {
		name    string
		fault   *fakezendesk.Fault
		resolve func(*account) error
	}{
		{"nothing happened: sent again", &fakezendesk.Fault{HangUp: true}, func(a *account) error {
			if found, err := a.TicketByExternalID(ctx, "S1"); err != nil || found != nil {
				return fmt.Errorf("found %v: %w", found, err)
			}
			_, err := a.CreateTicket(ctx, "k", ticketOf("S1"))
			return err
		}},
		{"it happened: found by external ID", &fakezendesk.Fault{LoseAnswer: true}, func(a *account) error {
			a.advance(3 * time.Hour) // the key is forgotten
			found, err := a.TicketByExternalID(ctx, "S1")
			if err == nil && found == nil {
				return errors.New("not found")
			}
			return err
		}},
		{"it happened: sent again with the key", &fakezendesk.Fault{LoseAnswer: true}, func(a *account) error {
			ticket, err := a.CreateTicket(ctx, "k", ticketOf("S1"))
			if err == nil && ticket.ID != 1 {
				return fmt.Errorf("ticket %d", ticket.ID)
			}
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(t, 0)
			a.failOnce("CreateTicket", tt.fault)
			if _, err := a.CreateTicket(ctx, "k", ticketOf("S1")); err == nil || !zendesk.Temporary(err) {
				t.Fatalf("the lost answer: %v", err)
			}
			if err := tt.resolve(a); err != nil {
				t.Error(err)
			}
			if n := a.srv.Stats().Tickets; n != 1 {
				t.Errorf("%d tickets, want 1", n)
			}
		})
	}
}

func TestIdempotencyKeyOfAnotherTicket(t *testing.T) {
	a, ctx := newAccount(t, 0), context.Background()
	must[zendesk.Ticket](t)(a.CreateTicket(ctx, "k", ticketOf("S1")))
	_, err := a.CreateTicket(ctx, "k", ticketOf("S2"))
	var api *zendesk.APIError
	if !errors.As(err, &api) || api.Status != 400 || api.Code != "IdempotentRequestError" || zendesk.Temporary(err) {
		t.Errorf("%v", err)
	}
}

func TestMergedInto(t *testing.T) {
	a, ctx := newAccount(t, 0), context.Background()
	source := must[zendesk.Ticket](t)(a.CreateTicket(ctx, "1", ticketOf("S1")))
	target := must[zendesk.Ticket](t)(a.CreateTicket(ctx, "2", ticketOf("S2")))
	if id := must[int64](t)(a.MergedInto(ctx, source.ID)); id != 0 {
		t.Errorf("merged into %d before the merge", id)
	}
	req, err := http.NewRequest("POST", fmt.Sprintf("%s/api/v2/tickets/%d/merge", a.base, target.ID), strings.NewReader(fmt.Sprintf(`{"ids":[%d]}`, source.ID)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth("agent@acme.example/token", fakezendesk.DefaultToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	a.advance(2 * time.Second)

	_, err = a.UpdateTicket(ctx, source.ID, zendesk.TicketUpdate{Comment: &zendesk.Comment{Body: "late"}})
	var api *zendesk.APIError
	if !errors.As(err, &api) || api.Details["status"] == nil || api.Temporary() {
		t.Errorf("update of the merged ticket: %v", err)
	}
	if id := must[int64](t)(a.MergedInto(ctx, source.ID)); id != target.ID {
		t.Errorf("merged into %d, want %d", id, target.ID)
	}
}

func TestVerify(t *testing.T) {
	a, ctx := newAccount(t, 0), context.Background()
	must[zendesk.User](t)(a.CreateOrUpdateUser(ctx, zendesk.User{Name: "Eve", Email: "eve@example.org"}))
	tests := []struct {
		name, email, token string
		bad                bool
	}{
		{"agent", "agent@acme.example", fakezendesk.DefaultToken, false},
		{"OAuth", "", fakezendesk.DefaultToken, false},
		{"wrong token", "agent@acme.example", "x", true},
		{"end user", "eve@example.org", fakezendesk.DefaultToken, true},
		{"no address", "agent", fakezendesk.DefaultToken, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := a.client(tt.email, tt.token).Verify(ctx)
			if bad := errors.Is(err, zendesk.ErrBadCredentials); bad != tt.bad || (err != nil) != tt.bad || bad && zendesk.Temporary(err) {
				t.Errorf("%v, want bad credentials: %t", err, tt.bad)
			}
			if err != nil && strings.Contains(err.Error(), tt.token) && len(tt.token) > 1 {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
	a.failOnce("ShowCurrentUser", &fakezendesk.Fault{Status: 503})
	if _, err := a.Verify(ctx); err == nil || errors.Is(err, zendesk.ErrBadCredentials) {
		t.Errorf("a server that is down says nothing about the credentials: %v", err)
	}
}

func TestAccountLimit(t *testing.T) {
	a, ctx := newAccount(t, 3), context.Background()
	a.advance(15 * time.Second)
	for range 3 {
		must[zendesk.User](t)(a.Verify(ctx))
	}
	// The server said that none is left: the client does not even ask.
	_, err := a.Verify(ctx)
	var api *zendesk.APIError
	if !errors.As(err, &api) || api.Status != 429 || api.Code != "NotSent" || api.RetryAfter != 45*time.Second || !zendesk.Temporary(err) {
		t.Fatalf("fourth call: %v", err)
	}
	if n := a.srv.Stats().Requests; n != 3 {
		t.Errorf("%d requests reached the server, want 3", n)
	}
	a.advance(45 * time.Second)
	must[zendesk.User](t)(a.Verify(ctx))

	// Another client of the account used the rest.
	other := a.client("agent@acme.example", fakezendesk.DefaultToken)
	must[zendesk.User](t)(other.Verify(ctx))
	must[zendesk.User](t)(other.Verify(ctx))
	_, err = a.Verify(ctx)
	if !errors.As(err, &api) || api.Code != "APIRateLimitExceeded" || api.RetryAfter != time.Minute {
		t.Errorf("refused by the server: %v", err)
	}
}

func TestTicketLimit(t *testing.T) {
	a, ctx := newAccount(t, 0), context.Background()
	ticket := must[zendesk.Ticket](t)(a.CreateTicket(ctx, "", ticketOf("S1")))
	update := zendesk.TicketUpdate{Comment: &zendesk.Comment{Body: "x"}}
	for range 30 {
		must[zendesk.Ticket](t)(a.UpdateTicket(ctx, ticket.ID, update))
	}
	_, err := a.UpdateTicket(ctx, ticket.ID, update)
	var api *zendesk.APIError
	if !errors.As(err, &api) || api.Status != 429 || api.RetryAfter != 10*time.Minute {
		t.Fatalf("31st update: %v", err)
	}
	must[zendesk.Ticket](t)(a.CreateTicket(ctx, "", ticketOf("S2"))) // the others are not held back
	job := must[zendesk.Job](t)(a.Job(ctx, must[string](t)(a.UpdateMany(ctx, []zendesk.TicketUpdate{{ID: ticket.ID, Status: zendesk.StatusSolved}}))))
	if r := job.Results[0]; r.Success || !r.Temporary() {
		t.Errorf("batched: %+v", r)
	}
	a.advance(10 * time.Minute)
	must[zendesk.Ticket](t)(a.UpdateTicket(ctx, ticket.ID, update))
}

func TestConcurrentCalls(t *testing.T) {
	a, ctx := newAccount(t, 0), context.Background()
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			session := fmt.Sprintf("S%d", n%10) // each twice, with the same key
			if _, err := a.CreateTicket(ctx, session, ticketOf(session)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if st := a.srv.Stats(); st.Tickets != 10 || st.Replayed != 10 {
		t.Errorf("%+v, want 10 tickets and 10 replays", st)
	}
}

func TestUploadsAreWholeOrNothing(t *testing.T) {
	a, ctx := newAccount(t, 0), context.Background()
	if _, err := a.Upload(ctx, "", "text/plain", strings.NewReader("x")); !errors.Is(err, zendesk.ErrNoName) {
		t.Errorf("no name: %v", err)
	}
	endless := bytes.NewReader(make([]byte, zendesk.MaxUpload+1))
	if _, err := a.Upload(ctx, "big", "", endless); !errors.Is(err, zendesk.ErrUploadTooLarge) || zendesk.Temporary(err) {
		t.Errorf("too large: %v", err)
	}
}
