package channel

import (
	"context"
	"fmt"
	"time"

	"emailchannel.dev/emailchannel/shared/route"
)

// Wait tells why a session waits for an agent (AS-5).
type Wait struct {
	Since  time.Time     `json:"since"`
	Reason route.Refusal `json:"reason,omitempty"` // empty: somebody qualifies, and it is the session's turn after those ahead
	Opens  time.Time     `json:"opens,omitzero"`   // when the queue opens next, if it is outside its hours
	Ahead  int           `json:"ahead"`            // sessions of the queue that wait longer, at most 1000
	Agents Standing      `json:"agents"`           // of those who serve the queue
}

// Standing counts agents by whether they may be assigned something now.
type Standing struct {
	Looked      int  `json:"looked"` // at how many agents, in the order of their rank
	More        bool `json:"more"`   // there are others, who were not looked at
	Qualify     int  `json:"qualify"`
	NotLoggedIn int  `json:"not_logged_in"`
	Unavailable int  `json:"unavailable"` // logged in, with a status that takes no mail
	DailyLimit  int  `json:"daily_limit"`
}

// maxLooked is at how many agents is looked, so that the answer costs no more
// reads in a queue of ten thousand.
const maxLooked = 500

// waits tells why the session waits, nil if it does not.
func (r *Read) waits(ctx context.Context, s *Session) (*Wait, error) {
	if !s.Waiting {
		return nil, nil
	}
	cat, err := r.Config.Load(ctx)
	if err != nil {
		return nil, err
	}
	q, known := cat.ByQueue[s.Queue]
	w := &Wait{Since: s.WaitingSince}
	if !known {
		w.Reason = route.NoQueue
		return w, nil
	}
	ahead := Query{Collection: "sessions", Where: []Where{{"queue", "==", q.ID}, {"waiting", "==", true}, {"waiting_since", "<", s.WaitingSince}}, Order: []Order{{Field: "waiting_since"}}}
	if w.Ahead, err = r.Docs.Count(ctx, ahead, maxCounted); err != nil {
		return nil, fmt.Errorf("sessions before %s: %w", s.ID, err)
	}
	now := r.Now()
	ranks, err := r.ranks(ctx, q, cat.Presence, now)
	if err != nil {
		return nil, err
	}
	if w.Agents.More = len(ranks) > maxLooked; w.Agents.More {
		ranks = ranks[:maxLooked]
	}
	w.explain(cat, q, ranks, now)
	return w, nil
}

// ranks are the first of the queue's agents and one more, if there are more.
func (r *Read) ranks(ctx context.Context, q Queue, p Presence, now time.Time) ([]route.Agent, error) {
	agents, err := find[Agent](ctx, r.Docs, Query{
		Collection: "agents", Where: []Where{{"queues", "array-contains", q.ID}, {"role", "==", RoleAgent}},
		Order: []Order{{Field: "open"}, {Field: "last_assigned"}, {Field: "id"}}, Limit: maxLooked + 1,
	})
	var out []route.Agent
	for _, ag := range agents {
		out = append(out, ag.rank(q, p, now))
	}
	return out, err
}

// explain fills in the reason: what is OFF comes before what the policy says.
func (w *Wait) explain(cat *Catalog, q Queue, agents []route.Agent, now time.Time) {
	inHours := q.Hours.Open(now)
	why, standing := q.Assign.Why(inHours, agents)
	w.Agents.Looked, w.Agents.Qualify = len(agents), standing[""]
	w.Agents.NotLoggedIn, w.Agents.Unavailable, w.Agents.DailyLimit = standing[route.NotLoggedIn], standing[route.Unavailable], standing[route.DailyLimit]
	switch {
	case !cat.Email:
		w.Reason = route.ChannelOff
	case !cat.Queues:
		w.Reason = route.QueuesOff
	case !q.On:
		w.Reason = route.QueueOff
	default:
		w.Reason = why
	}
	if q.Assign.OnlyInHours && !inHours {
		w.Opens, _ = q.Hours.NextOpen(now)
	}
}
