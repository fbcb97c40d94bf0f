package pubsub

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"emailchannel.dev/emailchannel/emulator/clock"
)

// lease is a delivery in the hands of a pulling subscriber, under an ack ID of its own.
type lease struct {
	id       string
	d        *delivery
	failures int          // of d, when it was leased
	timer    *clock.Timer // the ack deadline
	flow     *flow
	size     int
}

// flow is how much a stream has out and may have out; a limit <= 0 is none.
type flow struct {
	messages, bytes       int
	maxMessages, maxBytes int
	deadline              time.Duration
}

func (f *flow) full() bool {
	return f.maxMessages > 0 && f.messages >= f.maxMessages || f.maxBytes > 0 && f.bytes >= f.maxBytes
}

// mayPull is asked under the broker's mu, as all that follows is called.
func (s *subscription) mayPull() error {
	switch {
	case s.b.closed:
		return status.Error(codes.Unavailable, errClosed.Error())
	case s.gone:
		return status.Errorf(codes.NotFound, "Resource not found (resource=%s).", s.pb.Name)
	case s.pb.Detached:
		return status.Errorf(codes.FailedPrecondition, "%s is detached", s.pb.Name)
	case s.isPush():
		return status.Errorf(codes.FailedPrecondition, "%s is a push subscription", s.pb.Name)
	}
	return nil
}

// take leases up to limit ready messages.
func (s *subscription) take(limit int, f *flow) []*pubsubpb.ReceivedMessage {
	var out []*pubsubpb.ReceivedMessage
	for len(out) < limit && !f.full() {
		d := s.next()
		if d == nil {
			break
		}
		copies := 1 + max(0, d.fault.Duplicate)
		s.sent(d, copies)
		for range copies {
			out = append(out, s.lease(d, f))
		}
	}
	return out
}

func (s *subscription) lease(d *delivery, f *flow) *pubsubpb.ReceivedMessage {
	s.lastLease++
	l := &lease{id: fmt.Sprintf("%d-%d-%d", s.id, s.lastLease, d.m.seq), d: d, failures: d.failures, flow: f, size: proto.Size(d.m.pb)}
	s.leases[l.id] = l
	f.messages++
	f.bytes += l.size
	s.expireAfter(l, f.deadline)
	rm := &pubsubpb.ReceivedMessage{AckId: l.id, Message: d.m.pb}
	if s.pb.DeadLetterPolicy != nil {
		rm.DeliveryAttempt = int32(d.failures + 1)
	}
	return rm
}

func (s *subscription) expireAfter(l *lease, deadline time.Duration) {
	l.timer = s.b.opt.Clock.AfterFunc(deadline, func() {
		s.b.mu.Lock()
		defer s.b.mu.Unlock()
		// The timer may have been replaced, or the lease ended, while this call waited for mu.
		if s.leases[l.id] == l && !l.timer.Due().After(s.b.opt.Clock.Now()) {
			s.nack(l, errAckDeadline.Error())
		}
	})
}

func (s *subscription) release(l *lease) {
	l.timer.Stop()
	delete(s.leases, l.id)
	l.flow.messages--
	l.flow.bytes -= l.size
	s.wakePulls() // its stream may have room again
}

// nack fails the lease's attempt, unless another copy of it has failed already.
func (s *subscription) nack(l *lease, reason string) {
	s.release(l)
	if l.failures == l.d.failures {
		s.fail(l.d, reason)
	}
}

// ack acknowledges what the IDs stand for. Unknown ones have expired, which is no error.
func (s *subscription) ack(ids []string) {
	for _, id := range ids {
		l := s.leases[id]
		if l == nil || l.d.out && l.d.fault.DropAck {
			continue
		}
		s.release(l)
		s.finish(l.d)
	}
}

// modify gives the ack IDs a new deadline from now; 0 returns them at once.
func (s *subscription) modify(ids []string, deadline time.Duration) {
	for _, id := range ids {
		l := s.leases[id]
		switch {
		case l == nil:
		case deadline <= 0:
			s.nack(l, "nack")
		default:
			l.timer.Stop()
			s.expireAfter(l, deadline)
		}
	}
}

// wakePulls lets waiting pulls look again.
func (s *subscription) wakePulls() {
	close(s.wake)
	s.wake = make(chan struct{})
}

// await leases messages as soon as there are any, or returns none when ctx ends or beat fires.
func (s *subscription) await(ctx context.Context, limit int, f *flow, beat <-chan struct{}) ([]*pubsubpb.ReceivedMessage, error) {
	for {
		s.b.mu.Lock()
		if err := s.mayPull(); err != nil {
			s.b.mu.Unlock()
			return nil, err
		}
		got, wake := s.take(limit, f), s.wake
		s.b.mu.Unlock()
		if len(got) > 0 {
			return got, nil
		}
		select {
		case <-wake:
		case <-beat:
			return nil, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
}
