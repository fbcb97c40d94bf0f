package auth

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	defaultAge = time.Hour      // of keys that came without Cache-Control
	retryAfter = time.Minute    // between fetches for the sake of an unknown key, and after one that failed
	maxStale   = 24 * time.Hour // after their age, while no others can be fetched
	maxKeySet  = 1 << 20        // bytes
)

// JWKS are an issuer's published keys (RFC 7517 §5), fetched when first needed
// and kept as long as their Cache-Control allows. A key that is not among them
// may be new: it has them fetched again, but at most once a minute, as anybody
// can invent a key ID. While they cannot be fetched, keys are good for another
// day: an outage of the issuer's server is none of ours. Safe for concurrent use.
type JWKS struct {
	URL    string
	Client *http.Client     // nil means one that gives up after 10 s
	Now    func() time.Time // nil means time.Now

	mu      sync.Mutex // also one fetch at a time
	keys    map[string]crypto.PublicKey
	tried   time.Time // to fetch, with or without success
	expires time.Time
}

// Key finds a key by its ID. The error is ErrInvalid when the issuer does not
// publish it, and otherwise that of the fetch.
func (j *JWKS) Key(ctx context.Context, kid string) (crypto.PublicKey, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	key, known := j.keys[kid]
	fresh, late := now.Before(j.expires), now.Sub(j.tried) >= retryAfter
	usable := known && now.Before(j.expires.Add(maxStale))
	if known && fresh || usable && !late {
		return key, nil
	}
	if !fresh || late {
		j.tried = now
		err := j.fetch(ctx, now)
		switch {
		case err != nil && usable:
			return key, nil
		case err != nil:
			return nil, fmt.Errorf("auth: keys of %s: %w", j.URL, err)
		}
	}
	if key, known = j.keys[kid]; !known {
		return nil, invalid("unknown key")
	}
	return key, nil
}

func (j *JWKS) now() time.Time {
	if j.Now == nil {
		return time.Now()
	}
	return j.Now()
}

func (j *JWKS) client() *http.Client {
	if j.Client == nil {
		return &http.Client{Timeout: 10 * time.Second} // connections are the default transport's
	}
	return j.Client
}

func (j *JWKS) fetch(ctx context.Context, now time.Time) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.URL, nil)
	if err != nil {
		return err
	}
	res, err := j.client().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answer %s", res.Status)
	}
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(res.Body, maxKeySet)).Decode(&set); err != nil {
		return err
	}
	keys := map[string]crypto.PublicKey{}
	for _, k := range set.Keys {
		if k.KeyID != "" && k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			keys[k.KeyID] = k.Key
		}
	}
	if len(keys) == 0 {
		return fmt.Errorf("no usable keys in the answer")
	}
	j.keys, j.expires = keys, now.Add(maxAge(res.Header.Get("Cache-Control")))
	return nil
}

// maxAge reads RFC 9111 §5.2.2.1. Less than a minute, also no-store, counts as a
// minute: a fetch per request would hand our latency to the issuer.
func maxAge(cacheControl string) time.Duration {
	age := defaultAge
	for directive := range strings.SplitSeq(strings.ToLower(cacheControl), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return retryAfter
		case "max-age":
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(n) * time.Second
			}
		}
	}
	return max(age, retryAfter)
}
