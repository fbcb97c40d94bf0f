package zendesk

import (
	"net/http"
	"strconv"
	"time"
)

// Zendesk's limit of updates of one ticket.
const (
	updatesPerTicket = 30
	updatePeriod     = 10 * time.Minute
)

// window counts the account's requests in the current minute of the suite's clock.
type window struct {
	minute time.Time
	used   int
}

// admit counts a request against the account's minute and sets the headers that tell the client about it.
func (s *Server) admit(w http.ResponseWriter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests++
	now := s.opts.Now()
	if minute := now.Truncate(time.Minute); !minute.Equal(s.account.minute) {
		s.account = window{minute: minute}
	}
	s.account.used++
	reset := s.account.minute.Add(time.Minute).Sub(now)
	h := w.Header()
	h.Set("X-Rate-Limit", strconv.Itoa(s.opts.PerMinute))
	h.Set("X-Rate-Limit-Remaining", strconv.Itoa(max(0, s.opts.PerMinute-s.account.used)))
	h.Set("Ratelimit-Reset", strconv.Itoa(wholeSeconds(reset)))
	if s.account.used > s.opts.PerMinute {
		return &failure{
			status: http.StatusTooManyRequests, code: "APIRateLimitExceeded", retryAfter: reset,
			description: "Number of allowed API requests per minute exceeded",
		}
	}
	return nil
}

// countUpdate takes one of the ticket's 30 updates in ten minutes, or says when the next one is free.
// The record does not survive a restart, as the limit is about speed.
func (st *state) countUpdate(id int64, now time.Time) error {
	recent := st.updates[id]
	for len(recent) > 0 && !now.Before(recent[0].Add(updatePeriod)) {
		recent = recent[1:]
	}
	if len(recent) >= updatesPerTicket {
		st.updates[id] = recent
		return &failure{
			status: http.StatusTooManyRequests, code: "TooManyTicketUpdates",
			description: "Number of updates of this ticket exceeded, 30 in 10 minutes",
			retryAfter:  recent[0].Add(updatePeriod).Sub(now),
		}
	}
	st.updates[id] = append(recent, now)
	return nil
}
