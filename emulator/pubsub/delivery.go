package pubsub

import (
	"slices"
	"time"
)

// delivery is one message on its way to one subscription. See the package comment for its states: it is queued
// while in a lane, ready while in ready, out while a subscriber has it, and waits on a timer otherwise.
type delivery struct {
	m        *message
	sub      *subscription
	failures int
	keyed    bool // it heads, or waits in, the lane of its ordering key
	out      bool
	done     bool
	asked    bool  // fault holds for this attempt
	fault    Fault // what goes wrong with this attempt
}

// add takes a new delivery. The broker's mu is held, as for all that follows.
func (s *subscription) add(d *delivery) {
	s.pending++
	key := d.m.pb.OrderingKey
	if s.pb.EnableMessageOrdering && key != "" {
		d.keyed = true
		if lane := s.lanes[key]; lane != nil {
			lane.push(d)
			return
		}
		s.lanes[key] = &fifo[*delivery]{}
	}
	s.makeReady(d)
}

func (s *subscription) makeReady(d *delivery) {
	s.ready.push(d)
	s.dispatch()
}

// later makes a delivery ready after wait, by the suite's clock.
func (s *subscription) later(d *delivery, wait time.Duration) {
	if wait <= 0 {
		s.makeReady(d)
		return
	}
	s.b.opt.Clock.AfterFunc(wait, func() {
		s.b.mu.Lock()
		defer s.b.mu.Unlock()
		if !d.done && !s.b.closed {
			s.makeReady(d)
		}
	})
}

// dispatch starts what takes ready deliveries: push workers, or the pulls that wait.
func (s *subscription) dispatch() {
	if !s.isPush() {
		s.wakePulls()
		return
	}
	for range s.ready.len() {
		if s.running >= s.b.opt.Concurrency || !s.mayPush() {
			return
		}
		s.running++
		s.b.work.Go(s.pushAll)
	}
}

// next takes a delivery out of the ready ones, or returns nil. Delayed and reordered ones go back.
func (s *subscription) next() *delivery {
	for s.ready.len() > 0 {
		d := s.ready.pop()
		if d.done {
			continue // a late ack of an earlier attempt
		}
		if !d.asked {
			d.asked = true
			d.fault = Fault{}
			if s.b.opt.Faults != nil {
				d.fault = s.b.opt.Faults(s.pb.Name)
			}
			if d.fault.Delay > 0 {
				s.later(d, d.fault.Delay)
				continue
			}
			if d.fault.Reorder && !d.keyed && s.ready.len() > 0 {
				s.ready.push(d)
				continue
			}
		}
		d.out = true
		return d
	}
	return nil
}

// finish acknowledges.
func (s *subscription) finish(d *delivery) {
	if d.done {
		return
	}
	s.stats.Acked++
	s.end(d)
}

// end takes the delivery off the books, lets the next of its key go and tells who waits.
func (s *subscription) end(d *delivery) {
	s.b.journal.ack(s.id, d.m.seq)
	s.b.forget(d)
	if d.keyed {
		s.advance(d.m.pb.OrderingKey)
	}
	if s.pending == 0 {
		s.b.journal.drained()
		s.b.notify()
	}
}

func (s *subscription) advance(key string) {
	lane := s.lanes[key]
	switch {
	case lane == nil:
	case lane.len() == 0:
		delete(s.lanes, key)
	default:
		s.makeReady(lane.pop())
	}
}

// forget frees the delivery, and its message with the last one.
func (b *Broker) forget(d *delivery) {
	d.done = true
	d.sub.pending--
	m := d.m
	m.deliveries = slices.DeleteFunc(m.deliveries, func(x *delivery) bool { return x == d })
	if len(m.deliveries) == 0 {
		delete(b.live, m.seq)
	}
}

// fail ends an attempt without an ack: a retry, or the dead letter.
func (s *subscription) fail(d *delivery, reason string) {
	if d.done || !d.out {
		return
	}
	d.out, d.asked = false, false
	d.failures++
	if s.b.closed {
		return
	}
	if s.deadLetter(d, reason) {
		return
	}
	s.later(d, s.backoff(d.failures))
}

// sent counts an attempt that goes out in n copies.
func (s *subscription) sent(d *delivery, n int) {
	s.stats.Delivered += uint64(n)
	if d.failures > 0 {
		s.stats.Redelivered += uint64(n)
	} else {
		s.stats.Redelivered += uint64(n - 1)
	}
}
