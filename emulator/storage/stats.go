package storage

import (
	"maps"
	"net/http"
	"strings"
	"sync"
)

// Ops counts billed object operations: a resumable upload is one write however
// many chunks it has, a page of a listing is one list. Refused requests count,
// as the cloud bills them. Bucket operations do not.
// https://cloud.google.com/storage/pricing#operations-by-class
type Ops struct {
	Writes, Reads, Deletes, Lists int64
}

// Stats are the operations since Open, in all and by caller. A caller is the
// User-Agent's first token that starts with "emailchannel-", up to its slash;
// requests without one are under "".
type Stats struct {
	Total    Ops
	ByCaller map[string]Ops
}

type op int

const (
	opWrite op = iota
	opRead
	opDelete
	opList
)

type counters struct {
	mu       sync.Mutex
	byCaller map[string]Ops
}

func (c *counters) count(r *http.Request, o op) {
	who := caller(r.UserAgent())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byCaller == nil {
		c.byCaller = map[string]Ops{}
	}
	ops := c.byCaller[who]
	switch o {
	case opWrite:
		ops.Writes++
	case opRead:
		ops.Reads++
	case opDelete:
		ops.Deletes++
	case opList:
		ops.Lists++
	}
	c.byCaller[who] = ops
}

func caller(userAgent string) string {
	for token := range strings.FieldsSeq(userAgent) {
		if strings.HasPrefix(token, "emailchannel-") {
			name, _, _ := strings.Cut(token, "/")
			return name
		}
	}
	return ""
}

// Stats tells what was counted so far.
func (s *Server) Stats() Stats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	st := Stats{ByCaller: maps.Clone(s.stats.byCaller)}
	for _, ops := range st.ByCaller {
		st.Total.Writes += ops.Writes
		st.Total.Reads += ops.Reads
		st.Total.Deletes += ops.Deletes
		st.Total.Lists += ops.Lists
	}
	return st
}
