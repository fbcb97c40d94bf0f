package channel_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// TestSweepAmongPeople holds that sweeps, one of them delivered twice, the end
// users' mail and the agents' acts may meet on the same sessions: whoever comes
// first, a timer strikes a session at most once, and once one that was left
// alone or only changed hands, and the agents' counters are right.
func TestSweepAmongPeople(t *testing.T) {
	const sessions = 60
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	d := newDesks(t)
	ctx := t.Context()
	ids := make([]string, sessions)
	for i := range ids {
		ids[i] = d.receives(mail{id: fmt.Sprintf("%d@customer.example", i), from: fmt.Sprintf("cleo%d@customer.example", i), to: "support@example.com", subject: "Lamp", text: "It broke.", uid: uint32(i + 1)})
		who := []channel.Actor{ana, ben}[i%2]
		d.ok(d.desk.Assign(ctx, sam, ids[i], who.ID))
		d.ok(d.desk.Open(ctx, who, ids[i]))
		if i%3 > 0 {
			d.ok(d.desk.SetState(ctx, who, ids[i], []session.State{session.Paused, session.Resolved}[i%3-1]))
		}
	}
	d.pass(61 * day)
	acts := []func(i int) error{
		func(int) error { return nil }, // left alone
		func(i int) error {
			m := mail{id: fmt.Sprintf("again%d@customer.example", i), from: fmt.Sprintf("cleo%d@customer.example", i), to: "support@example.com", subject: "Re: Lamp", text: "And?", inReplyTo: fmt.Sprintf("%d@customer.example", i), uid: uint32(1000 + i)}
			return d.receiver().Handle(ctx, d.archived(m), 1)
		},
		func(i int) error {
			_, err := d.desk.Reply(ctx, sam, ids[i], channel.Words{Key: fmt.Sprint(i), Text: "Sorry."})
			return err
		},
		func(i int) error { _, err := d.desk.SetState(ctx, sam, ids[i], session.Active); return err },
		func(i int) error { _, err := d.desk.Transfer(ctx, sam, ids[i], "", ana.ID); return err },
	}
	var jobs []func() error
	for i := range ids {
		jobs = append(jobs, func() error { return acts[i/3%len(acts)](i) })
	}
	for range 4 {
		s := channel.Sweep{Docs: d.docs, Bus: d.bus, Config: d.fresh(), Now: d.clock}
		jobs = append(jobs, func() error { return s.Handle(ctx) })
	}
	r := rand.New(rand.NewPCG(seed, 1))
	r.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
	var wg sync.WaitGroup
	free := make(chan struct{}, 6)
	for _, job := range jobs {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			var refused *session.TransitionError // the timer was faster
			if err := job(); err != nil && !errors.As(err, &refused) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := channel.Sweep{Docs: d.docs, Bus: d.bus, Config: d.fresh(), Now: d.clock}
	if err := s.Handle(ctx); err != nil { // takes up what was changed while it was read
		t.Error(err)
	}
	open := map[string]int{}
	for i, id := range ids {
		v := d.session(id)
		if session.Counted(v.State) {
			open[v.Agent]++
		}
		act := i / 3 % len(acts)
		d.oneTimer(v, act == 0 || act == len(acts)-1)
	}
	for _, who := range []channel.Actor{ana, ben} {
		if got := d.open(who.ID); got != open[who.ID] {
			t.Errorf("%s counts %d open sessions and has %d", who.ID, got, open[who.ID])
		}
	}
}

// oneTimer holds that a timer struck at most once, and once where nothing else
// was activity.
func (d *desks) oneTimer(v channel.Session, idle bool) {
	d.Helper()
	p, err := d.read.History(d.Context(), sam, v.ID, channel.PageRequest{})
	if err != nil {
		d.Fatal(err)
	}
	var struck []channel.History
	for _, h := range p.Items {
		if strings.HasPrefix(h.Rule, "timer_") {
			struck = append(struck, h)
		}
	}
	if len(struck) > 1 || idle && len(struck) != 1 {
		d.Errorf("session %s, which is %s and was idle: %t, was moved by timers: %+v", v.ID, v.State, idle, struck)
	}
	if len(struck) == 1 && idle && string(v.State) != struck[0].To {
		d.Errorf("session %s is %s after %+v", v.ID, v.State, struck[0])
	}
}
