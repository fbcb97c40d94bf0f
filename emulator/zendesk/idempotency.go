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

// key is an idempotency key in use and the hash of the body that it came with.
type key struct {
	Key     string    `json:"key"`
	Seq     int64     `json:"seq"`
	Sum     []byte    `json:"sum"`
	Expires time.Time `json:"expires"`
}

// keptKey is a key in memory with the place of its answer.
type keptKey struct {
	sum     string
	expires time.Time
	answer  ref
}

// keep takes the key into use; its answer's place was noted before.
func (st *state) keep(k *key) {
	st.keys[k.Key] = keptKey{sum: string(k.Sum), expires: k.Expires, answer: st.answers[k.Seq]}
	delete(st.answers, k.Seq)
}

// replay finds the answer of an earlier request with the same key; nil when there was none.
func (s *Server) replay(c *call) (*answer, error) {
	name := c.r.Header.Get("Idempotency-Key")
	if name == "" {
		return nil, nil
	}
	if len(name) > maxKey {
		return nil, badRequest("IdempotentRequestError", "Idempotency-Key is longer than 255 characters")
	}
	kept, found := s.state.keys[name]
	if !found || !c.now.Before(kept.expires) {
		return nil, nil
	}
	if sum := sha256.Sum256(c.body); kept.sum != string(sum[:]) {
		return nil, badRequest("IdempotentRequestError", "Request parameters don't match the given idempotency key")
	}
	var body json.RawMessage
	if err := s.log.read(kept.answer, &body); err != nil {
		return nil, err
	}
	s.stats.Replayed++
	return &answer{status: http.StatusCreated, raw: body, header: map[string]string{"X-Idempotency-Lookup": "hit"}}, nil
}

// remember keeps the answer with the change that it acknowledges, so that a crash loses both or none.
func (s *Server) remember(c *call, b *batch, a *answer) error {
	name := c.r.Header.Get("Idempotency-Key")
	if name == "" {
		return nil
	}
	body, err := json.Marshal(a.body)
	if err != nil {
		return err
	}
	s.forgetExpired(c.now)
	sum := sha256.Sum256(c.body)
	s.state.lastSeq++
	b.key(&key{Key: name, Seq: s.state.lastSeq, Sum: sum[:], Expires: c.now.Add(keyLife)}, body)
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
