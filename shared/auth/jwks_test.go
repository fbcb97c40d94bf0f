package auth_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"emailchannel.dev/emailchannel/shared/auth"
	"emailchannel.dev/emailchannel/shared/auth/authtest"
)

// issuer publishes keys and counts who asks.
type issuer struct {
	*auth.JWKS
	mu      sync.Mutex
	now     time.Time
	body    []byte
	status  int
	cache   string
	fetches int
}

func publish(t *testing.T, signers ...*authtest.Signer) *issuer {
	t.Helper()
	i := &issuer{now: noon, status: http.StatusOK, cache: "public, max-age=600"}
	i.set(t, signers...)
	ts := httptest.NewServer(i)
	t.Cleanup(ts.Close)
	i.JWKS = &auth.JWKS{URL: ts.URL, Now: func() time.Time { return i.now }}
	return i
}

func (i *issuer) set(t *testing.T, signers ...*authtest.Signer) {
	t.Helper()
	var all jose.JSONWebKeySet
	for _, s := range signers {
		var one jose.JSONWebKeySet
		if err := json.Unmarshal(s.JWKS(), &one); err != nil {
			t.Fatal(err)
		}
		all.Keys = append(all.Keys, one.Keys...)
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	i.body = body
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetches++
	w.Header().Set("Cache-Control", i.cache)
	w.WriteHeader(i.status)
	w.Write(i.body)
}

func (i *issuer) expect(t *testing.T, step, kid string, want error, fetches int) {
	t.Helper()
	key, err := i.Key(t.Context(), kid)
	switch {
	case want == nil && (err != nil || key == nil):
		t.Errorf("%s: %v", step, err)
	case want != nil && !errors.Is(err, want):
		t.Errorf("%s: %v", step, err)
	}
	if i.fetches != fetches {
		t.Errorf("%s: %d fetches, want %d", step, i.fetches, fetches)
	}
}

func TestKeysAreCached(t *testing.T) {
	s := signer(t, google)
	i := publish(t, s)
	for range 3 {
		i.expect(t, "first minutes", s.KeyID(), nil, 1)
	}
	i.now = noon.Add(599 * time.Second)
	i.expect(t, "before max-age", s.KeyID(), nil, 1)
	i.now = noon.Add(600 * time.Second)
	i.expect(t, "after max-age", s.KeyID(), nil, 2)
}

func TestCacheControl(t *testing.T) {
	s := signer(t, google)
	for header, want := range map[string]time.Duration{
		"": time.Hour, "public, MAX-AGE=7200, must-revalidate": 2 * time.Hour, `max-age="120"`: 2 * time.Minute,
		"max-age=x": time.Hour, "max-age=-1": time.Hour, "max-age=0": time.Minute, "no-store": time.Minute, "no-cache, max-age=600": time.Minute,
	} {
		i := publish(t, s)
		i.cache = header
		i.expect(t, header, s.KeyID(), nil, 1)
		i.now = noon.Add(want - time.Second)
		i.expect(t, header+" before", s.KeyID(), nil, 1)
		i.now = noon.Add(want)
		i.expect(t, header+" after", s.KeyID(), nil, 2)
	}
}

func TestUnknownKeyIsLookedForOnceAMinute(t *testing.T) {
	old, fresh := signer(t, google), signer(t, google)
	i := publish(t, old)
	i.expect(t, "known", old.KeyID(), nil, 1)
	for range 5 {
		i.expect(t, "unknown at once", "invented", auth.ErrInvalid, 1)
	}
	i.now = noon.Add(time.Minute)
	for range 5 {
		i.expect(t, "unknown a minute later", "invented", auth.ErrInvalid, 2)
	}
	i.set(t, old, fresh)
	i.expect(t, "rotated, same minute", fresh.KeyID(), auth.ErrInvalid, 2)
	i.now = noon.Add(2 * time.Minute)
	i.expect(t, "rotated, next minute", fresh.KeyID(), nil, 3)
	i.expect(t, "the old one holds", old.KeyID(), nil, 3)
	i.set(t, fresh)
	i.now = noon.Add(time.Hour)
	i.expect(t, "withdrawn", old.KeyID(), auth.ErrInvalid, 4)
}

// Invented keys while the issuer is away do not keep those with a known key waiting.
func TestUnknownKeyWhileTheIssuerIsAway(t *testing.T) {
	s := signer(t, google)
	i := publish(t, s)
	i.expect(t, "known", s.KeyID(), nil, 1)
	i.status = http.StatusServiceUnavailable
	i.now = noon.Add(time.Minute)
	if _, err := i.Key(t.Context(), "invented"); err == nil || errors.Is(err, auth.ErrInvalid) {
		t.Errorf("the issuer is away: %v", err)
	}
	i.expect(t, "again", "invented too", auth.ErrInvalid, 2)
	i.expect(t, "known meanwhile", s.KeyID(), nil, 2)
}

// A failed fetch is nobody's fault: not ErrInvalid, and tried again at once.
func TestFailedFetchIsNotCached(t *testing.T) {
	s := signer(t, google)
	for name, broken := range map[string]struct {
		status int
		body   string
	}{"error": {http.StatusServiceUnavailable, ""}, "no JSON": {http.StatusOK, "<html>"}, "no keys": {http.StatusOK, `{"keys":[]}`}} {
		i := publish(t, s)
		good := i.body
		i.status, i.body = broken.status, []byte(broken.body)
		if _, err := i.Key(t.Context(), s.KeyID()); err == nil || errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		i.status, i.body = http.StatusOK, good
		i.expect(t, name+": repaired", s.KeyID(), nil, 2)
	}
}

func TestConcurrentCallersShareAFetch(t *testing.T) {
	s := signer(t, google)
	i := publish(t, s)
	v := newGoogle(t, i, noon)
	token := sign(t, s, nil)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if i.fetches != 1 {
		t.Errorf("%d fetches", i.fetches)
	}
}

// An outage of the issuer's server does not lock everybody out; for ever it is not believed.
func TestKnownKeysOutliveAnOutage(t *testing.T) {
	s := signer(t, google)
	i := publish(t, s)
	i.expect(t, "known", s.KeyID(), nil, 1)
	i.status = http.StatusServiceUnavailable
	i.now = noon.Add(10 * time.Minute)
	for range 3 {
		i.expect(t, "expired, asked once", s.KeyID(), nil, 2)
	}
	i.now = noon.Add(24 * time.Hour)
	i.expect(t, "a day later", s.KeyID(), nil, 3)
	i.now = noon.Add(24*time.Hour + 10*time.Minute)
	if _, err := i.Key(t.Context(), s.KeyID()); err == nil || errors.Is(err, auth.ErrInvalid) {
		t.Errorf("too old: %v", err)
	}
	i.status = http.StatusOK
	i.expect(t, "back again", s.KeyID(), nil, 5)
}
