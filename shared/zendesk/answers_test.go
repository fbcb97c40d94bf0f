package zendesk_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"emailchannel.dev/emailchannel/shared/zendesk"
)

// against returns a client of a server that answers as told.
func against(t *testing.T, answer http.HandlerFunc) *zendesk.Client {
	t.Helper()
	srv := httptest.NewServer(answer)
	t.Cleanup(srv.Close)
	now := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	return zendesk.New(zendesk.Config{BaseURL: srv.URL + "/", Email: "a@acme.example", Token: "s3cret", Now: func() time.Time { return now }})
}

func TestErrorMapping(t *testing.T) {
	tests := []struct {
		name      string
		status    int
		header    map[string]string
		body      string
		want      zendesk.APIError
		temporary bool
	}{
		{"validation", 422, nil, `{"error":"RecordInvalid","description":"Record validation errors","details":{"status":[{"description":"Status: closed prevents ticket update"}]}}`,
			zendesk.APIError{Status: 422, Code: "RecordInvalid", Description: "Record validation errors", Details: map[string][]string{"status": {"Status: closed prevents ticket update"}}}, false},
		{"error as an object", 403, nil, `{"error":{"title":"Forbidden","message":"You do not have access"}}`,
			zendesk.APIError{Status: 403, Code: "Forbidden", Description: "You do not have access"}, false},
		{"details of another shape", 422, nil, `{"error":"X","details":"text"}`, zendesk.APIError{Status: 422, Code: "X"}, false},
		{"credentials", 401, nil, `{"error":"Couldn't authenticate you"}`, zendesk.APIError{Status: 401, Code: "Couldn't authenticate you"}, false},
		{"limit in seconds", 429, map[string]string{"Retry-After": "93"}, `Number of allowed API requests`,
			zendesk.APIError{Status: 429, Code: "Too Many Requests", RetryAfter: 93 * time.Second}, true},
		{"limit as a date", 429, map[string]string{"Retry-After": "Thu, 05 Mar 2026 12:02:00 GMT"}, ``,
			zendesk.APIError{Status: 429, Code: "Too Many Requests", RetryAfter: 2 * time.Minute}, true},
		{"limit without a time", 429, map[string]string{"Retry-After": "soon"}, ``, zendesk.APIError{Status: 429, Code: "Too Many Requests"}, true},
		{"conflict", 409, nil, `{"error":"UpdateConflict"}`, zendesk.APIError{Status: 409, Code: "UpdateConflict"}, true},
		{"proxy page", 502, nil, `<html>bad gateway</html>`, zendesk.APIError{Status: 502, Code: "Bad Gateway"}, true},
		{"maintenance", 503, map[string]string{"Retry-After": "60"}, `{}`, zendesk.APIError{Status: 503, Code: "Service Unavailable", RetryAfter: time.Minute}, true},
		{"redirect", 302, map[string]string{"Location": "https://elsewhere.example/"}, ``, zendesk.APIError{Status: 302, Code: "Found"}, false},
		{"long words", 400, nil, `{"error":"X","description":"` + strings.Repeat("é", 400) + `"}`,
			zendesk.APIError{Status: 400, Code: "X", Description: strings.Repeat("é", 250) + "…"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := against(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range tt.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := c.Ticket(context.Background(), 5)
			var got *zendesk.APIError
			if !errors.As(err, &got) {
				t.Fatalf("%v is no APIError", err)
			}
			if d := cmp.Diff(tt.want, *got); d != "" {
				t.Error(d)
			}
			if got.Temporary() != tt.temporary || zendesk.Temporary(err) != tt.temporary {
				t.Errorf("temporary %t, want %t", got.Temporary(), tt.temporary)
			}
			if errors.Is(err, zendesk.ErrBadCredentials) != (tt.status == 401) {
				t.Errorf("%v as ErrBadCredentials", err)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

func TestRequestsNotSent(t *testing.T) {
	c := against(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	ctx := context.Background()
	big := &zendesk.Comment{Body: strings.Repeat("x", zendesk.MaxComment+1)}
	tests := []struct {
		name string
		want error
		call func() error
	}{
		{"create", zendesk.ErrCommentTooLarge, func() error { _, err := c.CreateTicket(ctx, "k", zendesk.Ticket{Comment: big}); return err }},
		{"update", zendesk.ErrCommentTooLarge, func() error { _, err := c.UpdateTicket(ctx, 1, zendesk.TicketUpdate{Comment: big}); return err }},
		{"batch", zendesk.ErrCommentTooLarge, func() error { _, err := c.UpdateMany(ctx, []zendesk.TicketUpdate{{ID: 1, Comment: big}}); return err }},
		{"empty batch", zendesk.ErrTooMany, func() error { _, err := c.UpdateMany(ctx, nil); return err }},
		{"large batch", zendesk.ErrTooMany, func() error { _, err := c.UpdateMany(ctx, make([]zendesk.TicketUpdate, 101)); return err }},
		{"tags of a batch", zendesk.ErrBatchTags, func() error {
			_, err := c.UpdateTicket(ctx, 1, zendesk.TicketUpdate{RemoveTags: []string{"a"}})
			return err
		}},
	}
	for _, tt := range tests {
		if err := tt.call(); !errors.Is(err, tt.want) || zendesk.Temporary(err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	ctx := context.Background()
	t.Run("gzip", func(t *testing.T) {
		c := against(t, func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				t.Error("gzip is not asked for")
			}
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, `{"ticket":{"id":5,"external_id":null,"assignee_id":null}}`)
			_ = z.Close()
		})
		if got, err := c.Ticket(ctx, 5); err != nil || got.ID != 5 {
			t.Errorf("%+v %v", got, err)
		}
	})
	t.Run("endless", func(t *testing.T) {
		c := against(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip") // 17 MB in a few KB
			z := gzip.NewWriter(w)
			_, _ = z.Write(make([]byte, 17<<20))
			_ = z.Close()
		})
		if _, err := c.Ticket(ctx, 5); !errors.Is(err, zendesk.ErrAnswerTooLarge) || zendesk.Temporary(err) {
			t.Errorf("%v", err)
		}
	})
	t.Run("no JSON", func(t *testing.T) {
		c := against(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
		if _, err := c.Ticket(ctx, 5); err == nil || zendesk.Temporary(err) {
			t.Errorf("%v", err)
		}
	})
	t.Run("cursor that stands still", func(t *testing.T) {
		calls := 0
		c := against(t, func(w http.ResponseWriter, _ *http.Request) {
			calls++
			fmt.Fprint(w, `{"comments":[{"id":1,"public":true}],"meta":{"has_more":true,"after_cursor":"x"}}`)
		})
		if got, err := c.Comments(ctx, 5); err != nil || len(got) != 2 || calls != 2 {
			t.Errorf("%d comments of %d calls, %v", len(got), calls, err)
		}
	})
	t.Run("anonymous user", func(t *testing.T) {
		c := against(t, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"user":{"id":null,"name":"Anonymous user","role":"end-user"}}`)
		})
		if _, err := c.Verify(ctx); !errors.Is(err, zendesk.ErrBadCredentials) {
			t.Errorf("%v", err)
		}
	})
	t.Run("job without a list", func(t *testing.T) {
		c := against(t, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"job_status":{"id":"x","status":"failed","results":{"success":false},"message":null,"total":null}}`)
		})
		if j, err := c.Job(ctx, "x"); err != nil || !j.Finished() || len(j.Results) != 0 {
			t.Errorf("%+v %v", j, err)
		}
	})
}

func TestContextEndsACall(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	asked, release := make(chan struct{}), make(chan struct{})
	c := against(t, func(http.ResponseWriter, *http.Request) { close(asked); <-release })
	defer close(release)
	go func() { <-asked; cancel() }()
	_, err := c.SearchUser(ctx, "ann@example.org")
	if !errors.Is(err, context.Canceled) || !zendesk.Temporary(err) {
		t.Errorf("%v", err)
	}
	if strings.Contains(err.Error(), "ann") {
		t.Errorf("the error tells the address: %v", err)
	}
}
