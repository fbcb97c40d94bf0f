package sim

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Report is what a run predicts. Times are in seconds.
type Report struct {
	Seed     uint64        `json:"seed"`
	Arrivals int           `json:"arrivals"`
	Assigned int           `json:"assigned"`
	Waiting  int           `json:"still_waiting"`
	From     time.Time     `json:"from"` // first arrival
	Until    time.Time     `json:"until"`
	Fairness float64       `json:"fairness"` // Jain's index over the agents' assigned
	Queues   []QueueReport `json:"queues"`
	Agents   []AgentReport `json:"agents"`
}

// QueueReport is the wait in one queue.
type QueueReport struct {
	ID       string  `json:"id"`
	Arrivals int     `json:"arrivals"`
	Assigned int     `json:"assigned"`
	Waiting  int     `json:"still_waiting"`
	Wait     Spread  `json:"wait"`     // from the arrival to the assignment
	Start    Spread  `json:"start"`    // from the arrival until somebody begins
	Fairness float64 `json:"fairness"` // Jain's index over the queue's agents
}

// Spread are percentiles of times in seconds.
type Spread struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// AgentReport is the load of one agent.
type AgentReport struct {
	ID       string  `json:"id"`
	Assigned int     `json:"assigned"`
	MaxOpen  int     `json:"max_open"`
	Open     int     `json:"still_open"`
	Worked   float64 `json:"worked"`
}

func (r *run) report(s Scenario, arrivals []Arrival, seed uint64) Report {
	out := Report{Seed: seed, Arrivals: len(arrivals), Until: r.now}
	if len(arrivals) > 0 {
		out.From = slices.MinFunc(arrivals, func(a, b Arrival) int { return a.Time.Compare(b.Time) }).Time.UTC()
	}
	for _, q := range s.Queues {
		l := r.queues[q.ID]
		var share []int
		for _, p := range l.people {
			share = append(share, l.byPerson[p])
		}
		out.Queues = append(out.Queues, QueueReport{q.ID, l.arrivals, len(l.waits), len(l.waiting), spread(l.waits), spread(l.starts), jain(share)})
		out.Assigned += len(l.waits)
		out.Waiting += len(l.waiting)
	}
	var share []int
	for _, p := range r.people {
		out.Agents = append(out.Agents, AgentReport{p.ID, p.assigned, p.most, p.open, seconds(p.worked)})
		share = append(share, p.assigned)
	}
	out.Fairness = jain(share)
	slices.SortFunc(out.Queues, func(a, b QueueReport) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(out.Agents, func(a, b AgentReport) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// jain is Jain's fairness index, to four digits; 1 where nobody has anything.
func jain(share []int) float64 {
	var sum, squares float64
	for _, x := range share {
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	if squares == 0 {
		return 1
	}
	return math.Round(sum*sum/(float64(len(share))*squares)*1e4) / 1e4
}

// spread takes percentiles by nearest rank: the smallest value that so many are not above.
func spread(all []time.Duration) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	slices.Sort(all)
	at := func(percent int) float64 { return seconds(all[(len(all)*percent+99)/100-1]) }
	return Spread{at(50), at(90), at(95), at(99), at(100)}
}

// seconds are to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
