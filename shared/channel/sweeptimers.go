package channel

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/session"
)

// timers moves the sessions that are due by the thresholds of today (SE-4,
// SE-7). A session is read once, by the query that finds it due, and written
// on condition that it is still the same: of two sweeps that find it one moves
// it, and one in which something happened meanwhile is left to the next sweep,
// should it still be due.
func (s *Sweep) timers(ctx context.Context, cat *Catalog, until time.Time) error {
	var steps []func(time.Time) error
	for _, c := range session.Cutoffs(cat.Session, s.Now().UTC()) {
		q := Query{Collection: "sessions", Where: []Where{{"state", "==", c.State}, {"since", "<=", c.Since}}, Order: []Order{{Field: "since"}}}
		steps = append(steps, func(until time.Time) error {
			return inPages(ctx, s.Docs, q, until, func(page []found[Session], t *troubles) {
				m := timer{Sweep: s, troubles: t, event: c.Event, settings: cat.Session, until: until}
				m.page(ctx, page)
			})
		})
	}
	return inTurn(until, steps...)
}

// timer moves a page of sessions by one event.
type timer struct {
	*Sweep
	*troubles
	event    session.Event
	settings session.Settings
	until    time.Time
	now      time.Time // no session of the page was changed later
}

// timerLanes is how many sessions are moved at a time.
const timerLanes = 8

func (m *timer) page(ctx context.Context, page []found[Session]) {
	m.now = m.Now().UTC()
	var byAgent [timerLanes][]found[Session]
	for _, d := range page {
		n := lane(d.v)
		byAgent[n] = append(byAgent[n], d)
	}
	lanes(ctx, timerLanes, func(ctx context.Context, n int) { m.lane(ctx, byAgent[n]) })
}

// lane keeps the sessions of an agent together: each move writes how many he
// has open, and two at a time would wait for each other.
func lane(s Session) int {
	h := fnv.New32a()
	if s.Agent != "" {
		h.Write([]byte(s.Agent))
	} else {
		h.Write([]byte(s.ID))
	}
	return int(h.Sum32() % timerLanes)
}

// lane moves sessions one after another, and announces all of them at once.
func (m *timer) lane(ctx context.Context, list []found[Session]) {
	var moved []History
	for _, d := range list {
		if ctx.Err() != nil || time.Now().After(m.until) {
			break
		}
		h, err := m.move(ctx, d)
		if err != nil {
			m.add(fmt.Errorf("%s of session %s: %w", m.event, d.id, err))
		}
		if h != nil {
			moved = append(moved, *h)
		}
	}
	m.add(announce(ctx, m.Bus, m.Docs, "sweep", moved...))
}

var timerKinds = map[session.State]session.Kind{session.Paused: session.KindPaused, session.Closed: session.KindClosed}

// move writes the session's next state with what belongs to it, and returns
// the entry; none when somebody else was faster.
func (m *timer) move(ctx context.Context, d found[Session]) (*History, error) {
	v := d.v
	if err := v.apply(m.event, m.settings, m.now); err != nil {
		return nil, err
	}
	v.Waiting = false
	h := entry(&v, timerKinds[v.State], fmt.Sprintf("%s-%d", m.event, d.v.Since.UnixNano()), ActorChannel, m.now)
	h.From, h.To, h.Rule = string(d.v.State), string(v.State), string(m.event)
	err := m.Docs.Write(ctx, func(tx Tx) {
		tx.PatchAt(sessionPath(d.id), d.version, map[string]any{"state": v.State, "entered_at": v.EnteredAt, "handling_seconds": v.Handling, "since": v.Since, "waiting": v.Waiting, "updated_at": v.UpdatedAt})
		tx.Set(historyPath(d.id, h.ID), h)
		load(tx, d.v, v)
	})
	if errors.Is(err, ErrChanged) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	fault.Step(ctx, "sweep.moved")
	return &h, nil
}
