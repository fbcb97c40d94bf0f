package channel_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/reply"
	"emailchannel.dev/emailchannel/shared/session"
)

// TestModel shows SE-2 … SE-8, AS-1 … AS-6, AR-3, AR-6 and OP-4 together: mail, agents' acts, moves of the clock,
// changed settings and faults, interleaved at random, with events that come late, in any order and twice. After each
// step every session and every agent must be as a simple model says; at the end nothing that is owed is missing.
//
// The seed is in the log; -rapid.seed repeats a run.
func TestModel(t *testing.T) {
	want := 10_000 // steps, not counting those that could not be taken
	if testing.Short() {
		want = 1000
	}
	for _, name := range []string{"rapid.seed", "rapid.steps", "rapid.checks"} {
		was := flag.Lookup(name).Value.String()
		t.Cleanup(func() { flag.Set(name, was) })
	}
	set := func(name string, v uint64) {
		if err := flag.Set(name, strconv.FormatUint(v, 10)); err != nil {
			t.Fatal(err)
		}
	}
	seed, err := strconv.ParseUint(flag.Lookup("rapid.seed").Value.String(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-rapid.seed=%d", seed)
	set("rapid.steps", 200)
	set("rapid.checks", 10)
	logger := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // every trouble leaves a line
	t.Cleanup(func() { slog.SetDefault(logger) })
	taken := 0
	run := func(r *rapid.T) {
		p := newPlay(t, r)
		r.Repeat(map[string]func(*rapid.T){
			"new mail": p.newMail, "another new mail": p.newMail, "answer": p.customerAnswers, "another answer": p.customerAnswers,
			"deliver 1": p.deliver, "deliver 2": p.deliver, "deliver 3": p.deliver, "deliver 4": p.deliver,
			"open": p.open, "state": p.setState, "state again": p.setState, "assign": p.assign, "unassign": p.unassign, "transfer": p.transfer,
			"agent answers": p.agentAnswers, "agent writes": p.agentWrites,
			"time": p.time, "sweep": p.sweep, "count": p.count, "settings": p.settings, "queue": p.queue, "presence": p.presence,
			"": func(r *rapid.T) { taken++; p.compare(r) },
		})
		p.r = r
		p.calm()
	}
	for ; taken < want; seed += 1000 { // rapid counts up from the seed
		set("rapid.seed", seed)
		rapid.Check(t, run)
	}
	t.Logf("%d steps and as many comparisons", taken)
}

// play is a run of the test: the world, the model of it, and what the customers know.
type play struct {
	w     *world
	m     *rules
	r     *rapid.T // of the step under way
	n     int      // mails so far
	sent  []letterIn
	event map[string]event.Session // by mail, of its arrival
}

var (
	customers = []string{"cleo@customer.example", "carl@customer.example", "cora@customer.example"}
	actors    = []channel.Actor{ana, ben, dora, sam}
)

func newPlay(t *testing.T, r *rapid.T) *play {
	d := newDesks(t)
	w := newWorld(d)
	p := &play{w: w, r: r, event: map[string]event.Session{}, m: &rules{queues: map[string]*channel.Queue{}, mails: map[string]*modelMail{}}}
	zones := map[string]string{"support": "Europe/Berlin", "billing": "America/New_York"}
	for _, id := range []string{"support", "billing"} {
		q := doc[channel.Queue](d, "queues/"+id)
		q.Assign.On, q.Response.On, q.Response.HTML = true, true, "<p>Thank you, @{consumer}.</p>"
		q.Hours.Zone = zones[id]
		for day := time.Monday; day <= time.Friday; day++ {
			q.Hours.Week = append(q.Hours.Week, hours.Interval{Day: day, From: 9 * 60, To: 17 * 60})
		}
		if id == "billing" { // ben serves both
			q.Agents = append(q.Agents, "ben@example.com")
		}
		saved, err := w.admins().PutQueue(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		p.m.queues[id] = saved
	}
	p.m.set = doc[channel.Settings](d, "settings/channel")
	for id, queues := range map[string][]string{"ana@example.com": {"support"}, "ben@example.com": {"billing", "support"}, "dora@example.com": {"billing"}} {
		p.m.agents = append(p.m.agents, &modelAgent{id: id, queues: queues, today: map[string]map[string]int{}})
	}
	w.bus.parcels = nil
	return p
}

// begin begins a step.
func (p *play) begin(r *rapid.T) {
	p.r = r
	p.w.pass(0)
	p.m.now = p.w.step
}

func pick[T any](r *rapid.T, what string, from ...T) T { return rapid.SampledFrom(from).Draw(r, what) }

// trouble draws what goes wrong; mostly nothing does.
func (p *play) trouble() trouble {
	return pick(p.r, "trouble", trouble{}, trouble{}, trouble{}, trouble{}, trouble{before: true}, trouble{after: true}, trouble{down: true}, trouble{crash: 1}, trouble{crash: 2}, trouble{crash: 3})
}

func (p *play) newMail(r *rapid.T) {
	p.begin(r)
	p.mail(pick(r, "from", customers...), nil)
}

// customerAnswers sends an answer to a mail that was processed; now and then it comes from a stranger.
func (p *play) customerAnswers(r *rapid.T) {
	p.begin(r)
	if len(p.m.mails) == 0 {
		r.Skip("nothing to answer")
	}
	known := slices.SortedFunc(maps.Values(p.m.mails), func(a, b *modelMail) int { return a.n - b.n })
	parent := known[rapid.IntRange(0, len(known)-1).Draw(r, "parent")]
	from := parent.in.customer
	if rapid.IntRange(0, 9).Draw(r, "stranger") == 0 {
		from = "eve@stranger.example"
	}
	p.mail(from, parent)
}

func (p *play) mail(from string, parent *modelMail) {
	p.n++
	l := letterIn{id: fmt.Sprintf("%04d@customer.example", p.n), from: from, queue: pick(p.r, "to", "support", "billing"), n: p.n, auto: rapid.IntRange(0, 9).Draw(p.r, "auto") == 0}
	if parent != nil {
		l.answers, l.parent = parent.messageID, email.Fingerprint(parent.messageID)
	}
	p.sent = append(p.sent, l)
	p.w.post(l)
}

// deliver hands one of the parcels on its way to its consumer. It stays on its way when that fails, and now and then
// although it does not.
func (p *play) deliver(r *rapid.T) {
	p.begin(r)
	if len(p.w.bus.parcels) == 0 {
		r.Skip("nothing is on its way")
	}
	i := rapid.IntRange(0, len(p.w.bus.parcels)-1).Draw(r, "parcel")
	p.hand(i, p.trouble(), rapid.IntRange(0, 9).Draw(r, "twice") == 0)
}

func (p *play) hand(i int, t trouble, twice bool) {
	c := p.w.bus.parcels[i]
	p.w.bus.parcels = slices.Delete(p.w.bus.parcels, i, i+1)
	var err error
	switch c.to {
	case "receive":
		err = p.receive(decoded[event.Received](p.w, c.m), t)
	case "assign":
		e := decoded[event.Session](p.w, c.m)
		err = p.drain(e.Queue, e.Session, t)
	case "drain":
		for _, q := range p.queuesOf(decoded[event.Queue](p.w, c.m)) {
			err = errors.Join(err, p.drain(q, "", t))
		}
	case "respond":
		err = p.respond(decoded[event.Session](p.w, c.m), t)
	}
	if err != nil && t.none() {
		p.r.Fatalf("%s: %v", c.to, err)
	}
	if err != nil || twice {
		p.w.bus.parcels = append(p.w.bus.parcels, c)
	}
}

// queuesOf are the queues that the event asks for, all of them in the order of their names.
func (p *play) queuesOf(e event.Queue) []string {
	if e.Queue != "" {
		return []string{e.Queue}
	}
	return []string{"billing", "support"}
}

func (p *play) receive(e event.Received, t trouble) error {
	use := channel.Receive{Docs: p.w.docs, Archive: p.w.archive, Bus: p.w.bus, Config: p.w.config(), Now: p.w.clock, Limits: email.DefaultLimits()}
	committed, err := p.w.try(t, func(ctx context.Context) error { return use.Handle(ctx, e, 1) })
	l := p.sent[e.UID-1]
	if _, known := p.m.mails[l.fingerprint()]; committed == 0 || known {
		return err
	}
	p.m.receive(l, p.unknown())
	return err
}

// unknown is the ID of the session that the model does not have yet, "" when it has all.
func (p *play) unknown() string {
	for id := range p.w.sessions() {
		if p.m.find(id) == nil {
			return id
		}
	}
	return ""
}

func (p *play) drain(queue, until string, t trouble) error {
	use := channel.Assign{Docs: p.w.docs, Bus: p.w.bus, Config: p.w.config(), Now: p.w.clock}
	committed, err := p.w.try(t, func(ctx context.Context) error {
		if until != "" {
			return use.Session(ctx, event.Session{Session: until, Queue: queue})
		}
		return use.Queue(ctx, event.Queue{Queue: queue})
	})
	most := math.MaxInt
	if err != nil {
		most = committed
	}
	p.m.drain(queue, until, most)
	return err
}

func (p *play) respond(e event.Session, t trouble) error {
	p.event[e.Message] = e
	mail := p.m.mails[e.Message]
	if mail == nil || !mail.owed {
		p.r.Fatalf("an auto-response to %+v is due, and none is owed", e)
	}
	use := channel.Respond{Docs: p.w.docs, Archive: p.w.archive, Bus: p.w.bus, Secrets: p.w.secrets, Config: p.w.config(), Now: p.w.clock}
	committed, err := p.w.try(t, func(ctx context.Context) error { return use.Handle(ctx, e) })
	if err == nil || committed > 0 {
		p.m.respond(mail, e.Queue, e.Scenario == string(reply.First))
	}
	return err
}

// one draws a session and an actor.
func (p *play) one() (*modelSession, channel.Actor) {
	if len(p.m.sessions) == 0 {
		p.r.Skip("there is no session")
	}
	return p.m.sessions[rapid.IntRange(0, len(p.m.sessions)-1).Draw(p.r, "session")], pick(p.r, "actor", actors...)
}

func (p *play) serves(who channel.Actor, queue string) bool {
	a := p.m.agent(who.ID)
	return a == nil || slices.Contains(a.queues, queue)
}

// act does an act on a session with a trouble. It may be refused, as the model says; done is what it means there.
func (p *play) act(who channel.Actor, s *modelSession, refused func(error) bool, do func(context.Context, *channel.Desk) error, done func()) {
	t := p.trouble()
	committed, err := p.w.try(t, func(ctx context.Context) error { return do(ctx, p.w.agents()) })
	switch {
	case !p.serves(who, s.queue):
		if committed > 0 || t.none() && !errors.Is(err, channel.ErrForbidden) {
			p.r.Fatalf("%s acts in queue %s: %v", who.ID, s.queue, err)
		}
	case refused != nil:
		if !refused(err) && (t.none() || committed > 0) {
			p.r.Fatalf("should be refused: %v", err)
		}
	case err != nil && t.none():
		p.r.Fatal(err)
	case err == nil || committed > 0:
		done()
		s.settle()
	}
}

func (p *play) open(r *rapid.T) {
	p.begin(r)
	s, who := p.one()
	p.act(who, s, nil, func(ctx context.Context, d *channel.Desk) error {
		_, err := d.Open(ctx, who, s.id)
		return err
	}, func() {
		if s.state == session.Unopened || s.state == session.Reopened {
			p.m.enter(s, session.Active, true)
		}
	})
}

// byHand are the moves that people may make (SE-3).
var byHand = map[[2]session.State]bool{
	{session.Unopened, session.Active}: true, {session.Reopened, session.Active}: true, {session.Active, session.Paused}: true,
	{session.Active, session.Resolved}: true, {session.Paused, session.Active}: true, {session.Resolved, session.Active}: true,
}

func (p *play) setState(r *rapid.T) {
	p.begin(r)
	s, who := p.one()
	to := pick(r, "to", session.Active, session.Paused, session.Resolved, session.Closed, session.Unopened, session.Reopened)
	var refused func(error) bool
	if s.state != to && !byHand[[2]session.State{s.state, to}] {
		refused = func(err error) bool {
			var e *session.TransitionError
			return errors.As(err, &e)
		}
	}
	p.act(who, s, refused, func(ctx context.Context, d *channel.Desk) error {
		_, err := d.SetState(ctx, who, s.id, to)
		return err
	}, func() {
		if s.state == to {
			return
		}
		from := s.state
		p.m.enter(s, to, true)
		if from == session.Paused || from == session.Resolved {
			p.m.wait(s)
		}
	})
}

func invalid(err error) bool {
	var e *channel.Invalid
	return errors.As(err, &e)
}

func (p *play) assign(r *rapid.T) {
	p.begin(r)
	s, who := p.one()
	to := p.m.agents[rapid.IntRange(0, len(p.m.agents)-1).Draw(r, "to")]
	var refused func(error) bool
	if s.agent != to.id && !slices.Contains(to.queues, s.queue) {
		refused = invalid
	}
	p.act(who, s, refused, func(ctx context.Context, d *channel.Desk) error {
		_, err := d.Assign(ctx, who, s.id, to.id)
		return err
	}, func() {
		if s.agent != to.id {
			p.m.give(s, to.id)
		}
	})
}

func (p *play) unassign(r *rapid.T) {
	p.begin(r)
	s, who := p.one()
	p.act(who, s, nil, func(ctx context.Context, d *channel.Desk) error {
		_, err := d.Unassign(ctx, who, s.id)
		return err
	}, func() {
		if s.agent != "" {
			p.m.take(s)
		}
	})
}

func (p *play) transfer(r *rapid.T) {
	p.begin(r)
	s, who := p.one()
	to := pick(r, "to", "support", "billing")
	p.act(who, s, nil, func(ctx context.Context, d *channel.Desk) error {
		_, err := d.Transfer(ctx, who, s.id, to, "")
		return err
	}, func() {
		if s.queue != to {
			s.queue = to
			p.m.take(s)
		}
	})
}

func (p *play) agentAnswers(r *rapid.T) {
	p.begin(r)
	s, who := p.one()
	p.n++
	var sent *channel.Sent
	p.act(who, s, nil, func(ctx context.Context, d *channel.Desk) (err error) {
		sent, err = d.Reply(ctx, who, s.id, channel.Words{Key: fmt.Sprint(p.n), Text: "Try this."})
		return err
	}, func() { p.known(sent, p.m.mailed(s, who.ID, p.unknown())) })
	p.sent = append(p.sent, letterIn{}) // its number is used
}

func (p *play) agentWrites(r *rapid.T) {
	p.begin(r)
	p.n++
	who, to := pick(r, "actor", actors...), pick(r, "to", customers...)
	s := &modelSession{queue: pick(r, "queue", "support", "billing")}
	var sent *channel.Sent
	p.act(who, s, nil, func(ctx context.Context, d *channel.Desk) (err error) {
		sent, err = d.Start(ctx, who, s.queue, channel.Words{Key: fmt.Sprint(p.n), To: []email.Address{{Addr: to}}, Subject: "News", Text: "Good news."})
		return err
	}, func() { p.known(sent, p.m.start(s.queue, to, who.ID, p.unknown())) })
	p.sent = append(p.sent, letterIn{})
}

// known lets customers answer an agent's mail, unless the caller of it does not know how that went.
func (p *play) known(sent *channel.Sent, s *modelSession) {
	if sent != nil {
		p.m.mails[sent.Message.ID] = &modelMail{messageID: sent.Message.MessageID, n: p.n, in: s}
	}
}

func (p *play) time(r *rapid.T) {
	p.r = r
	p.w.pass(pick(r, "for", time.Hour, 5*time.Hour, 26*time.Hour, 6*24*time.Hour, 16*24*time.Hour, 31*24*time.Hour))
	p.m.now = p.w.step
}

func (p *play) sweep(r *rapid.T) {
	p.begin(r)
	p.sweeps(pick(r, "trouble", trouble{}, trouble{}, trouble{down: true}))
}

func (p *play) sweeps(t trouble) {
	use := channel.Sweep{Docs: p.w.docs, Bus: p.w.bus, Config: p.w.config(), Now: p.w.clock}
	if _, err := p.w.try(t, use.Handle); err != nil && t.none() {
		p.r.Fatalf("sweep: %v", err)
	}
	p.m.sweep()
}

// count adds up the reports, which changes nothing else.
func (p *play) count(r *rapid.T) {
	p.begin(r)
	t := p.trouble()
	use := channel.Count{Docs: p.w.docs, Config: p.w.config(), Now: p.w.clock}
	if _, err := p.w.try(t, use.Handle); err != nil && t.none() {
		r.Fatalf("count: %v", err)
	}
}

func (p *play) settings(r *rapid.T) {
	p.begin(r)
	set := p.m.set
	days := func(what string) session.Threshold {
		return session.Threshold{On: rapid.IntRange(0, 4).Draw(r, what+" on") > 0, Days: pick(r, what, 1, 10, 30, 60)}
	}
	switch pick(r, "setting", "channel", "tile", "timers", "caps") {
	case "channel":
		set.Email = !set.Email
	case "tile":
		set.Queues = !set.Queues
	case "timers":
		set.Session = session.Settings{PausedClose: days("paused"), ResolvedClose: days("resolved"), ActivePause: days("active"), ClosedReopen: days("closed")}
	case "caps":
		set.Caps = reply.Caps{PerAddress: pick(r, "address", 1, 3, 10), PerSession: pick(r, "session", 0, 1, 5), Window: pick(r, "window", time.Hour, 3*time.Hour)}
	}
	saved, err := p.w.admins().PutSettings(p.w.Context(), set, "")
	if err != nil {
		r.Fatal(err)
	}
	p.m.set = *saved
}

func (p *play) queue(r *rapid.T) {
	p.begin(r)
	q := *p.m.queues[pick(r, "queue", "support", "billing")]
	switch pick(r, "setting", "on", "response", "assign", "policy") {
	case "on":
		q.On = !q.On
	case "response":
		q.Response.On = !q.Response.On
	case "assign":
		q.Assign.On = !q.Assign.On
	case "policy":
		q.Assign.DailyLimit = pick(r, "limit", 0, 1, 2, 5)
		q.Assign.OnlyInHours, q.Assign.OnlyLoggedIn = rapid.Bool().Draw(r, "hours"), rapid.Bool().Draw(r, "logged in")
	}
	saved, err := p.w.admins().PutQueue(p.w.Context(), q)
	if err != nil {
		r.Fatal(err)
	}
	p.m.queues[q.ID] = saved
}

func (p *play) presence(r *rapid.T) {
	p.begin(r)
	a := p.m.agents[rapid.IntRange(0, len(p.m.agents)-1).Draw(r, "agent")]
	if _, err := p.w.admins().SetPresence(p.w.Context(), sam, a.id, !a.in); err != nil {
		r.Fatal(err)
	}
	a.in = !a.in
}
