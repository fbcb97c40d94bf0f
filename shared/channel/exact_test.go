package channel_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/route"
	"emailchannel.dev/emailchannel/shared/session"
)

// crowd is how much happens at once.
type crowd struct{ agents, queues, arrivals, burst, workers int }

// The rank is exact under concurrency (AS-6): whatever was committed, in the
// order of the commits, is what a sequential model does.
func TestAssignmentIsExact(t *testing.T) {
	crowd{agents: 40, queues: 8, arrivals: 500, burst: 100, workers: 16}.run(t)
}

// The size of a large centre, which takes minutes:
//
//	EXACT=full go test ./shared/channel -run TestAssignmentIsExactInALargeCentre -v
func TestAssignmentIsExactInALargeCentre(t *testing.T) {
	if os.Getenv("EXACT") != "full" {
		t.Skip("takes minutes; EXACT=full runs it")
	}
	crowd{agents: 500, queues: 50, arrivals: 20_000, burst: 400, workers: 8}.run(t)
}

func (c crowd) run(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := &rush{desks: newDesks(t), crowd: c, rnd: rand.New(rand.NewPCG(seed, 0)), start: time.Now()}
	r.staff()
	began := time.Now()
	r.storm()
	took := time.Since(began)
	events := r.committed()
	m := newModel(t, r.seed)
	for _, e := range events {
		m.replay(e)
	}
	m.settled(r)
	t.Logf("%d agents, %d queues, %d arrivals, %d workers: %d assignments (%d by hand), %d deviations, %.0f assignments/s, %d deliveries again",
		c.agents, c.queues, c.arrivals, c.workers, m.assigned, m.byHand, m.wrong, float64(m.assigned)/took.Seconds(), r.again.Load())
	if m.assigned < c.arrivals/2 {
		t.Errorf("only %d assignments of %d arrivals: the test shows little", m.assigned, c.arrivals)
	}
}

// rush is a crowd at work.
type rush struct {
	*desks
	crowd
	seed  channel.Seed
	rnd   *rand.Rand // of the one who makes the work
	start time.Time
	jump  atomic.Int64 // by how much the clock was put forward
	n     int          // arrivals so far
	jobs  sync.WaitGroup
	queue chan func(*channel.Assign) error
	again atomic.Int64
	noted atomic.Int64
}

// clock is the real one in another year, so that workers differ by as little as they do.
func (r *rush) clock() time.Time {
	return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).Add(time.Since(r.start)).Add(time.Duration(r.jump.Load()))
}

// staff makes agents who serve several queues, by themselves and by teams.
func (r *rush) staff() {
	r.desk.Now, r.admin.Now = r.clock, r.clock
	s := channel.Seed{Settings: channel.Defaults()}
	s.Settings.Email = true
	for i := range r.queues {
		id := fmt.Sprintf("q%02d", i)
		s.Teams = append(s.Teams, channel.Team{ID: id, Name: id})
		p := route.Policy{On: true, OnlyLoggedIn: i%3 == 0}
		if i%4 == 1 {
			p.DailyLimit = max(2, r.arrivals/r.queues/8)
		}
		zone := []string{"UTC", "Asia/Tokyo", "America/New_York"}[i%3]
		s.Queues = append(s.Queues, channel.Queue{ID: id, Name: id, Language: "en", On: true, Teams: []string{id}, Assign: p, Hours: hours.Hours{Zone: zone}})
	}
	for i := range r.agents {
		ag := channel.Agent{ID: fmt.Sprintf("a%03d@example.com", r.rnd.IntN(2)*500+i), Name: "A", Role: "agent", LoggedIn: i%5 > 0, Teams: []string{s.Teams[i%r.queues].ID}}
		if i%3 == 0 {
			ag.Teams = append(ag.Teams, s.Teams[(i*7+1)%r.queues].ID)
		}
		q := &s.Queues[(i*3+2)%r.queues]
		q.Agents = append(q.Agents, ag.ID)
		s.Agents = append(s.Agents, ag)
	}
	if err := r.admin.Seed(r.Context(), s); err != nil {
		r.Fatal(err)
	}
	r.seed = s
}

// storm brings the arrivals in bursts, with all that moves the rank between
// them, and ends when everybody is back and nothing is under way.
func (r *rush) storm() {
	r.queue = make(chan func(*channel.Assign) error, 4*r.burst)
	var workers sync.WaitGroup
	for range r.workers {
		a := &channel.Assign{Docs: r.docs, Bus: r.bus, Config: channel.NewConfiguration(r.docs), Now: r.clock}
		workers.Go(func() {
			for job := range r.queue {
				r.deliver(a, job)
			}
		})
	}
	for r.n < r.arrivals {
		jobs := r.arrive(min(r.burst, r.arrivals-r.n))
		jobs = append(jobs, r.work()...)
		r.rnd.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
		for _, job := range jobs {
			r.do(job)
		}
		if r.n == r.arrivals/2 {
			r.jump.Add(int64(24 * time.Hour)) // a new day for the limits, while all are at work
		}
	}
	r.jobs.Wait()
	for _, ag := range r.seed.Agents {
		r.do(r.presence(ag.ID, true))
	}
	r.jobs.Wait()
	r.do(func(a *channel.Assign) error { return a.Queue(r.Context(), event.Queue{}) })
	r.jobs.Wait()
	close(r.queue)
	workers.Wait()
}

func (r *rush) do(job func(*channel.Assign) error) {
	r.jobs.Add(1)
	r.queue <- job
}

// deliver runs a job until it succeeds, as the broker does.
func (r *rush) deliver(a *channel.Assign, job func(*channel.Assign) error) {
	defer r.jobs.Done()
	for try := 1; ; try++ {
		err := job(a)
		if err == nil {
			return
		}
		if r.again.Add(1); try == 20 {
			r.Errorf("given up after %d deliveries: %v", try, err)
			return
		}
	}
}

func sessionID(n int) string { return fmt.Sprintf("%011d", n) }

// arrive stores waiting sessions and returns the deliveries of their events,
// every fifth twice. One writer, in order: so what waits longer was committed earlier.
func (r *rush) arrive(n int) []func(*channel.Assign) error {
	var jobs []func(*channel.Assign) error
	err := r.docs.Write(r.Context(), func(tx channel.Tx) {
		for range n {
			now, id, q := r.clock().Truncate(time.Microsecond), sessionID(r.n), r.seed.Queues[r.rnd.IntN(r.queues)].ID
			s := channel.Session{ID: id, State: session.Unopened, Queue: q, Waiting: true, WaitingSince: now.Add(time.Duration(r.n) * time.Microsecond), CreatedAt: now, UpdatedAt: now}
			tx.Set("sessions/"+id, s)
			tx.Set("sessions/"+id+"/history/received", channel.History{ID: "received", Session: id, Kind: session.KindReceived, Queue: q, At: s.WaitingSince})
			job := func(a *channel.Assign) error {
				return a.Session(r.Context(), event.Session{ID: "received", Session: id, Queue: q, Waiting: true})
			}
			jobs = append(jobs, job)
			if r.n%5 == 0 {
				jobs = append(jobs, job)
			}
			r.n++
		}
	})
	if err != nil {
		r.Fatal(err)
	}
	return jobs
}

// work is what people do meanwhile: they resolve, give by hand, come and go.
func (r *rush) work() []func(*channel.Assign) error {
	var jobs []func(*channel.Assign) error
	for range r.burst / 4 {
		id := sessionID(r.rnd.IntN(r.n))
		jobs = append(jobs, func(*channel.Assign) error { return r.resolve(id) })
	}
	for range max(2, r.burst/20) {
		id, q := sessionID(r.rnd.IntN(r.n)), r.rnd.Uint64()
		jobs = append(jobs, func(*channel.Assign) error { return r.byHand(id, q) })
		ag := r.seed.Agents[r.rnd.IntN(r.agents)]
		jobs = append(jobs, r.presence(ag.ID, r.rnd.IntN(2) == 0))
	}
	return append(jobs, func(a *channel.Assign) error { return a.Queue(r.Context(), event.Queue{}) })
}

func (r *rush) resolve(id string) error {
	s, err := r.desk.Open(r.Context(), sam, id)
	if err != nil || s.State != session.Active {
		return err
	}
	_, err = r.desk.SetState(r.Context(), sam, id, session.Resolved)
	return err
}

// byHand gives a session to one of its queue's agents.
func (r *rush) byHand(id string, pick uint64) error {
	s, err := r.read.Session(r.Context(), sam, id)
	if err != nil {
		return err
	}
	agents := r.serving(s.Queue)
	_, err = r.desk.Assign(r.Context(), sam, id, agents[pick%uint64(len(agents))])
	return err
}

func (r *rush) serving(queue string) (ids []string) {
	q := r.seed.Queues[slices.IndexFunc(r.seed.Queues, func(q channel.Queue) bool { return q.ID == queue })]
	for _, ag := range r.seed.Agents {
		if slices.Contains(q.Agents, ag.ID) || slices.ContainsFunc(q.Teams, func(t string) bool { return slices.Contains(ag.Teams, t) }) {
			ids = append(ids, ag.ID)
		}
	}
	return ids
}

// presence logs an agent in or out, and has what waits looked at.
func (r *rush) presence(agent string, in bool) func(*channel.Assign) error {
	return func(a *channel.Assign) error {
		admin := r.admin
		admin.Docs = &noting{Docs: r.docs, id: fmt.Sprint(r.noted.Add(1)), change: presence{agent, in}}
		ag, err := admin.SetPresence(r.Context(), sam, agent, in)
		if err != nil || !in {
			return err
		}
		for _, q := range ag.Queues {
			if err := a.Queue(r.Context(), event.Queue{Queue: q}); err != nil {
				return err
			}
		}
		return nil
	}
}

// presence is a change that has no history of its own.
type presence struct {
	Agent string `json:"agent"`
	In    bool   `json:"in"`
}

// noting stores the change with the commit that makes it, which so has a time.
type noting struct {
	channel.Docs
	id     string
	change presence
}

func (n *noting) note(tx channel.Tx) { tx.Set("presence/"+n.id, n.change) }

func (n *noting) Write(ctx context.Context, f func(channel.Tx)) error {
	return n.Docs.Write(ctx, func(tx channel.Tx) { f(tx); n.note(tx) })
}

func (n *noting) Update(ctx context.Context, f func(context.Context, channel.Tx) error) error {
	return n.Docs.Update(ctx, func(ctx context.Context, tx channel.Tx) error {
		err := f(ctx, tx)
		if err == nil {
			n.note(tx)
		}
		return err
	})
}
