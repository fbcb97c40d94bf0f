package zendesk

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"time"
)

// keyLife is how long Zendesk remembers an idempotency key.
const keyLife = 2 * time.Hour

// maxKey is the longest Idempotency-Key.
const maxKey = 255

// keptAnswer is the answer to the first request with a key, and the hash of its body.
type keptAnswer struct {
	Key     string          `json:"key"`
	Sum     []byte          `json:"sum"`
	Expires time.Time       `json:"expires"`
	Body    json.RawMessage `json:"body"`
}

type keptKey struct {
	sum     string
	expires time.Time
	answer  ref
}

func (st *state) keep(a *keptAnswer, r ref) {
	st.keys[a.Key] = keptKey{sum: string(a.Sum), expires: a.Expires, answer: r}
}

// replay finds the answer of an earlier request with the same key; nil when there was none.
func (s *Server) replay(c *call) (*answer, error) {
	key := c.r.Header.Get("Idempotency-Key")
	if key == "" {
		return nil, nil
	}
	if len(key) > maxKey {
		return nil, badRequest("IdempotentRequestError", "Idempotency-Key is longer than 255 characters")
	}
	kept, found := s.state.keys[key]
	if !found || !c.now.Before(kept.expires) {
		return nil, nil
	}
	if sum := sha256.Sum256(c.body); kept.sum != string(sum[:]) {
		return nil, badRequest("IdempotentRequestError", "Request parameters don't match the given idempotency key")
	}
	var a keptAnswer
	if err := s.log.read(kept.answer, &a); err != nil {
		return nil, err
	}
	s.stats.Replayed++
	return &answer{status: http.StatusCreated, raw: a.Body, header: map[string]string{"X-Idempotency-Lookup": "hit"}}, nil
}

// remember keeps the answer with the change that it acknowledges, so that a crash loses both or none.
func (s *Server) remember(c *call, b *batch, a *answer) error {
	key := c.r.Header.Get("Idempotency-Key")
	if key == "" {
		return nil
	}
	body, err := json.Marshal(a.body)
	if err != nil {
		return err
	}
	s.forgetExpired(c.now)
	sum := sha256.Sum256(c.body)
	s.state.lastSeq++
	b.answer(&keptAnswer{Key: key, Sum: sum[:], Expires: c.now.Add(keyLife), Body: body}, s.state.lastSeq)
	a.header["X-Idempotency-Lookup"] = "miss"
	return nil
}

// forgetExpired sweeps when the number of keys has doubled since the last sweep, so each key costs little.
func (s *Server) forgetExpired(now time.Time) {
	if len(s.state.keys) < max(1024, 2*s.state.keysSwept) {
		return
	}
	for k, v := range s.state.keys {
		if !now.Before(v.expires) {
			delete(s.state.keys, k)
		}
	}
	s.state.keysSwept = len(s.state.keys)
}
