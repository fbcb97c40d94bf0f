package trigger

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/fault"
)

func TestPush(t *testing.T) {
	data := base64.StdEncoding.EncodeToString([]byte(`{"id":"o1"}`))
	wrapped := fmt.Sprintf(`{"message":{"data":%q,"attributes":{"kind":"received"},"messageId":"7","orderingKey":"q"},"subscription":"projects/p/subscriptions/mail-outbound.send","deliveryAttempt":3}`, data)
	for _, tt := range []struct {
		name, contentType, body string
		fail                    error
		status                  int
		called                  bool
	}{
		{"wrapped", "application/json", wrapped, nil, 204, true},
		{"cloudevent", "application/cloudevents+json; charset=utf-8", `{"specversion":"1.0","data":` + wrapped + `}`, nil, 204, true},
		{"retryable", "application/json", wrapped, errors.New("database away"), 503, true},
		{"permanent", "application/json", wrapped, fmt.Errorf("send: %w", fault.Permanentf("no such account")), 204, true},
		{"no message", "application/json", `{"subscription":"s"}`, nil, 400, false},
		{"not JSON", "application/json", `hello`, nil, 400, false},
		{"too large", "application/json", `{"message":{"data":"` + strings.Repeat("A", maxBody) + `"}}`, nil, 400, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			called := false
			h := Push("test", func(_ context.Context, d Delivery) error {
				called = true
				if string(d.Data) != `{"id":"o1"}` || d.Attempt != 3 || d.Subscription != "mail-outbound.send" || d.Key != "q" || d.Attributes["kind"] != "received" || d.ID != "7" {
					t.Errorf("delivery = %+v", d)
				}
				return tt.fail
			})
			r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.contentType)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || called != tt.called {
				t.Errorf("status %d called %v, want %d %v", w.Code, called, tt.status, tt.called)
			}
		})
	}
}

// Nobody has stored what could not be read: an acknowledgement would lose it.
func TestUnreadableEventIsNotAcknowledged(t *testing.T) {
	h := Push("test", Each(func(context.Context, struct{ ID string }) error { t.Error("called"); return nil }))
	for _, data := range []string{"hello", `{"id":7}`, `{"id":"o1"`, ""} {
		w := httptest.NewRecorder()
		body := fmt.Sprintf(`{"message":{"data":%q,"messageId":"7"}}`, base64.StdEncoding.EncodeToString([]byte(data)))
		h.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(body)))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%q: %d", data, w.Code)
		}
	}
}

func TestLazyDoesNotRememberAFailure(t *testing.T) {
	builds := 0
	h := Lazy(func(context.Context) (http.Handler, error) {
		if builds++; builds == 1 {
			return nil, errors.New("the database is away")
		}
		return http.NotFoundHandler(), nil
	})
	for i, want := range []int{503, 404, 404} {
		w := httptest.NewRecorder()
		h(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != want {
			t.Errorf("request %d: %d, want %d", i, w.Code, want)
		}
	}
	if builds != 2 {
		t.Errorf("built %d times, want 2", builds)
	}
}
