package firestore

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/metadata"
)

// Ops counts operations as https://cloud.google.com/firestore/pricing bills them.
type Ops struct {
	Reads   int64 // documents returned or found missing, at least 1 per query; 1 per 1000 index entries of an aggregation
	Writes  int64 // documents set or updated
	Deletes int64 // documents deleted, by a request or by a TTL policy
}

type counters struct{ reads, writes, deletes atomic.Int64 }

// meter keeps the counts per caller.
type meter struct {
	mu      sync.RWMutex
	callers map[string]*counters
}

const callerPrefix = "emailchannel-"

// caller names who sent a request: the rest of the user agent's token "emailchannel-NAME", else "other".
func caller(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, agent := range md.Get("user-agent") {
		for token := range strings.FieldsSeq(agent) {
			if name, ok := strings.CutPrefix(token, callerPrefix); ok {
				name, _, _ = strings.Cut(name, "/")
				return strings.Clone(name)
			}
		}
	}
	return "other"
}

func (m *meter) of(ctx context.Context) *counters {
	name := caller(ctx)
	m.mu.RLock()
	c := m.callers[name]
	m.mu.RUnlock()
	if c != nil {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.callers == nil {
		m.callers = map[string]*counters{}
	}
	if m.callers[name] == nil {
		m.callers[name] = &counters{}
	}
	return m.callers[name]
}

func (c *counters) wrote(s *staged) {
	c.writes.Add(int64(len(s.results) - s.deletes))
	c.deletes.Add(int64(s.deletes))
}

// Stats returns the operations billed since the start or the last ResetStats, per caller: the NAME of the token
// "emailchannel-NAME" in the client's user agent, or "other".
func (s *Server) Stats() map[string]Ops {
	s.meter.mu.RLock()
	defer s.meter.mu.RUnlock()
	out := make(map[string]Ops, len(s.meter.callers))
	for name, c := range s.meter.callers {
		out[name] = Ops{Reads: c.reads.Load(), Writes: c.writes.Load(), Deletes: c.deletes.Load()}
	}
	return out
}

// ResetStats sets all counts to zero.
func (s *Server) ResetStats() {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	s.meter.callers = nil
}
