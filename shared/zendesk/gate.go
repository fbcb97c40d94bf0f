package zendesk

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// gate remembers until when the account may send nothing.
type gate struct {
	now   func() time.Time
	mu    sync.Mutex
	until time.Time
}

// check refuses a call that the server would refuse.
func (g *gate) check() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if wait := g.until.Sub(g.now()); wait > 0 {
		return &APIError{
			Status: http.StatusTooManyRequests, Code: "NotSent", RetryAfter: wait,
			Description: "the account has no request left in this minute",
		}
	}
	return nil
}

// learn reads the rate-limit headers. A 429 with requests remaining is one ticket's limit, not the account's, and
// must not hold back the others.
func (g *gate) learn(resp *http.Response) {
	h := resp.Header
	remaining, err := strconv.Atoi(h.Get("X-Rate-Limit-Remaining"))
	known := err == nil
	var wait time.Duration
	switch {
	case resp.StatusCode == http.StatusTooManyRequests && (!known || remaining == 0):
		wait = retryAfter(h, g.now())
	case known && remaining == 0:
		wait = seconds(h.Get("Ratelimit-Reset"))
	}
	if wait <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if until := g.now().Add(wait); until.After(g.until) {
		g.until = until
	}
}

// retryAfter reads Retry-After in either form (RFC 9110, 10.2.3); 0 when there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return seconds(v)
}

func seconds(s string) time.Duration {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n < 0 || n > 24*3600 {
		return 0
	}
	return time.Duration(n * float64(time.Second))
}
