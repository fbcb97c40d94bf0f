// Package report counts what became of sessions (AG-6): how many there are in
// each state, how many arrived, how soon they were first answered, and how long
// agents worked on them.
//
// A report is a sum over sessions, and [Of] is what one session adds to it. So
// a report needs no look at all sessions: whoever knows what a session added
// before takes that away and adds what it adds now, and sessions that were
// moved, reopened or merged are right by themselves.
//
// # What is counted
//
//   - A session arrives on the day of its first mail, in the queue that it is in
//     now. One that an agent began with a mail counts as started instead, for the
//     agent whose it is, and has no first response.
//   - The first response is the first mail of a person, not an auto-response. Its
//     time runs from the session's beginning, by the clock, also outside the
//     hours of operation. It counts on the day of the response, for who wrote it.
//   - A session is resolved on the day when an agent last resolved it, for the
//     agent whose it is; one that was reopened since is not. Handling time is
//     what it has spent in state active until then.
//   - Days are those of the queue's time zone.
package report

import (
	"time"

	"emailchannel.dev/emailchannel/shared/session"
)

// Facts are what a report needs of a session. Times that are zero are not known.
type Facts struct {
	State      session.State
	Queue      string
	Agent      string // whose it is
	Started    bool   // by an agent's mail
	CreatedAt  time.Time
	AnsweredAt time.Time // the first response
	AnsweredBy string
	ResolvedAt time.Time     // zero again when it is reopened
	Handling   time.Duration // in state active so far
}

// Key is one line of the finest report. Without a day it tells how things are
// now, with one what happened on that day.
type Key struct {
	Day   string // "2026-11-29"
	Queue string
	Agent string
}

// Now tells whether the line is about the present.
func (k Key) Now() bool { return k.Day == "" }

// Counts are the numbers of a line: those of the present in a line about that,
// those of a day in the others.
type Counts struct {
	States
	Activity
}

// States are how many sessions are in each state now.
type States struct {
	Unopened int `json:"unopened"`
	Active   int `json:"active"`
	Paused   int `json:"paused"`
	Resolved int `json:"resolved"`
	Closed   int `json:"closed"`
	Reopened int `json:"reopened"`
}

// Activity is what happened on a day. Times are whole seconds, summed up.
type Activity struct {
	Arrived         int `json:"arrived"`
	Started         int `json:"started"`
	Responses       int `json:"responses"` // first ones
	ResponseSeconds int `json:"response_seconds"`
	Within1h        int `json:"within_1h"` // responses
	Within4h        int `json:"within_4h"`
	Within8h        int `json:"within_8h"`
	Within24h       int `json:"within_24h"`
	Resolutions     int `json:"resolutions"`
	HandlingSeconds int `json:"handling_seconds"` // of what was resolved
}

// fields are the numbers, for what is done with all of them.
func (c *Counts) fields() []*int {
	return []*int{&c.Unopened, &c.Active, &c.Paused, &c.Resolved, &c.Closed, &c.Reopened, &c.Arrived, &c.Started, &c.Responses, &c.ResponseSeconds,
		&c.Within1h, &c.Within4h, &c.Within8h, &c.Within24h, &c.Resolutions, &c.HandlingSeconds}
}

// Add adds other n times; -1 takes it away.
func (c *Counts) Add(other Counts, n int) {
	have := c.fields()
	for i, v := range other.fields() {
		*have[i] += n * *v
	}
}

// Sum is a report, or a part of one.
type Sum map[Key]Counts

// Add adds to a line.
func (s Sum) Add(k Key, c Counts, n int) {
	have := s[k]
	have.Add(c, n)
	s[k] = have
}

// Less takes other away and leaves out what is then nothing.
func (s Sum) Less(other Sum) Sum {
	out := Sum{}
	for k, c := range s {
		out.Add(k, c, 1)
	}
	for k, c := range other {
		out.Add(k, c, -1)
	}
	for k, c := range out {
		if c == (Counts{}) {
			delete(out, k)
		}
	}
	return out
}

// Of returns what a session adds to the report; day names the day of a time in
// the queue's zone.
func Of(f Facts, day func(time.Time) string) Sum {
	s := Sum{}
	s.Add(Key{Queue: f.Queue, Agent: f.Agent}, state(f.State), 1)
	began, by := Activity{Arrived: 1}, ""
	if f.Started {
		began, by = Activity{Started: 1}, f.Agent
	}
	s.Add(Key{day(f.CreatedAt), f.Queue, by}, Counts{Activity: began}, 1)
	if !f.AnsweredAt.IsZero() && !f.Started {
		s.Add(Key{day(f.AnsweredAt), f.Queue, f.AnsweredBy}, response(f.AnsweredAt.Sub(f.CreatedAt)), 1)
	}
	if !f.ResolvedAt.IsZero() {
		s.Add(Key{day(f.ResolvedAt), f.Queue, f.Agent}, Counts{Activity: Activity{Resolutions: 1, HandlingSeconds: seconds(f.Handling)}}, 1)
	}
	return s
}

func state(s session.State) (c Counts) {
	switch s {
	case session.Unopened:
		c.Unopened = 1
	case session.Active:
		c.Active = 1
	case session.Paused:
		c.Paused = 1
	case session.Resolved:
		c.Resolved = 1
	case session.Closed:
		c.Closed = 1
	case session.Reopened:
		c.Reopened = 1
	}
	return c
}

func response(d time.Duration) Counts {
	within := func(most time.Duration) int {
		if d <= most {
			return 1
		}
		return 0
	}
	return Counts{Activity: Activity{Responses: 1, ResponseSeconds: seconds(d), Within1h: within(time.Hour), Within4h: within(4 * time.Hour), Within8h: within(8 * time.Hour), Within24h: within(24 * time.Hour)}}
}

// seconds are never negative: the clocks of two machines may differ a little.
func seconds(d time.Duration) int { return int(max(0, d).Round(time.Second) / time.Second) }
