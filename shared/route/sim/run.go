package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"emailchannel.dev/emailchannel/shared/route"
)

// After is for how long after the last arrival the simulation goes on.
const After = 7 * 24 * time.Hour

// Run plays the arrivals against the scenario. The error names an arrival whose
// queue the scenario does not have, by its number from 1.
func Run(s Scenario, arrivals []Arrival, seed uint64) (Report, error) {
	r := newRun(s)
	last := time.Time{}
	for i, a := range arrivals {
		q := r.queues[a.Queue]
		if q == nil {
			return Report{}, fmt.Errorf("arrival %d: queue: the policy has no queue %q", i+1, a.Queue)
		}
		w := &work{arrived: a.Time.UTC(), takes: handling(a, q.Handling, seed, i)}
		r.at(w.arrived, func() { q.arrive(r, w) })
		if w.arrived.After(last) {
			last = w.arrived
		}
	}
	end := last.Add(After)
	for len(r.events) > 0 && !r.events[0].at.After(end) {
		e := heap.Pop(&r.events).(event)
		r.now = e.at
		e.do()
	}
	return r.report(s, arrivals, seed), nil
}

// work is one session.
type work struct {
	arrived time.Time
	takes   time.Duration
}

// handling is how long the arrival of that number takes.
func handling(a Arrival, h Handling, seed uint64, number int) time.Duration {
	seconds := a.Handling
	switch {
	case seconds > 0:
	case h.Distribution == Exponential:
		seconds = h.Seconds * rand.New(rand.NewPCG(seed, uint64(number))).ExpFloat64()
	default:
		seconds = h.Seconds
	}
	return time.Duration(min(seconds, maxHandling)*1000) * time.Millisecond
}

// run is a simulation under way.
type run struct {
	now      time.Time
	assigned time.Time // of the last assignment
	queues   map[string]*line
	people   []*person
	events   events
	number   int // of events so far
}

func newRun(s Scenario) *run {
	r := &run{queues: map[string]*line{}}
	same := calendars{}
	for _, a := range s.Agents {
		r.people = append(r.people, &person{Agent: a, calendar: same.of(a.Hours), today: map[*line]count{}})
	}
	for _, q := range s.Queues {
		l := &line{Queue: q, calendar: same.of(q.Hours), byPerson: map[*person]int{}}
		for _, p := range r.people {
			if q.serves(p.Agent) {
				l.people = append(l.people, p)
			}
		}
		r.queues[q.ID] = l
	}
	return r
}

// line is a queue with what waits in it.
type line struct {
	Queue
	calendar *calendar
	people   []*person
	waiting  []*work // the oldest first
	wakes    time.Time
	arrivals int
	waits    []time.Duration // until assigned
	starts   []time.Duration // until somebody begins
	byPerson map[*person]int
}

func (l *line) arrive(r *run, w *work) {
	l.arrivals++
	l.waiting = append(l.waiting, w)
	l.drain(r)
}

// drain assigns the oldest until nothing waits or nobody qualifies, and then
// comes back when somebody may.
func (l *line) drain(r *run) {
	for len(l.waiting) > 0 {
		open, _ := l.calendar.at(r.now)
		if _, ok := l.Assign.Queue(open); !ok {
			break
		}
		p := l.first(r.now)
		if p == nil {
			break
		}
		w := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.waits = append(l.waits, r.now.Sub(w.arrived))
		p.take(r, l, w)
	}
	l.wake(r)
}

// first is who ranks first among those who qualify.
func (l *line) first(now time.Time) *person {
	var best *person
	var rank route.Agent
	for _, p := range l.people {
		a := p.rank(l, now)
		if _, ok := l.Assign.Agent(a); ok && (best == nil || route.Compare(a, rank) < 0) {
			best, rank = p, a
		}
	}
	return best
}

// wake has the queue looked at again when it opens, when somebody comes to
// work, or when the day of a limit ends, whichever is first.
func (l *line) wake(r *run) {
	if len(l.waiting) == 0 || !l.Assign.On {
		return
	}
	var next time.Time
	sooner := func(t time.Time, ok bool) {
		if ok && t.After(r.now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if open, _ := l.calendar.at(r.now); l.Assign.OnlyInHours && !open {
		sooner(l.Hours.NextOpen(r.now))
	} else {
		for _, p := range l.people {
			switch why, _ := l.Assign.Agent(p.rank(l, r.now)); why {
			case route.NotLoggedIn:
				sooner(p.opens(r.now))
			case route.DailyLimit:
				sooner(l.Hours.DayEnd(r.now), true)
			}
		}
	}
	if next.IsZero() || l.wakes.After(r.now) && !next.Before(l.wakes) {
		return
	}
	l.wakes = next
	r.at(next, func() { l.drain(r) })
}

// events is a heap of what will happen, in the order in which it was planned
// where it happens at the same time.
type events []event

type event struct {
	at     time.Time
	number int
	do     func()
}

func (r *run) at(t time.Time, do func()) {
	r.number++
	heap.Push(&r.events, event{t, r.number, do})
}

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].number < e[j].number
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
