package pubsub

import (
	"net/url"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// deletedTopic is what a subscription names once its topic is gone.
const deletedTopic = "_deleted-topic_"

// subscription is guarded by its broker's mu.
type subscription struct {
	b      *Broker
	id     uint32 // stands for the name in the journal
	pb     *pubsubpb.Subscription
	filter filter
	gone   bool // deleted

	ready   fifo[*delivery]
	lanes   map[string]*fifo[*delivery] // per ordering key: what waits behind the one at its head
	pending int                         // deliveries not done
	running int                         // push workers

	leases    map[string]*lease // by ack ID
	lastLease uint64
	wake      chan struct{} // closed and replaced when a pull may find something
	stats     SubscriptionStats
}

// EnsureSubscription creates the subscription, or gives the existing one this configuration, whatever of it
// changed; messages that it holds already stay. Its topics must exist.
func (b *Broker) EnsureSubscription(pb *pubsubpb.Subscription) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.putSub(proto.CloneOf(pb))
	return err
}

// putSub stores pb, which it keeps and completes. b.mu is held, as for all that follows.
func (b *Broker) putSub(pb *pubsubpb.Subscription) (*subscription, error) {
	f, err := checkSub(pb)
	if err != nil {
		return nil, err
	}
	if _, err := b.topic(pb.Topic); err != nil && pb.Topic != deletedTopic {
		return nil, err
	}
	if dl := pb.DeadLetterPolicy; dl != nil {
		if _, err := b.topic(dl.DeadLetterTopic); err != nil {
			return nil, err
		}
	}
	id := b.lastSub + 1
	if old := b.subs[pb.Name]; old != nil {
		id = old.id
	}
	if err := b.journal.putSub(id, pb); err != nil {
		return nil, err
	}
	s := b.addSub(id, pb, f)
	s.dispatch()
	b.notify()
	return s, nil
}

func (b *Broker) addSub(id uint32, pb *pubsubpb.Subscription, f filter) *subscription {
	s := b.subs[pb.Name]
	if s == nil {
		s = &subscription{
			b:      b,
			id:     id,
			lanes:  map[string]*fifo[*delivery]{},
			leases: map[string]*lease{},
			wake:   make(chan struct{}),
		}
		b.subs[pb.Name], b.byID[id] = s, s
		b.lastSub = max(b.lastSub, id)
	} else if t := b.topics[s.pb.Topic]; t != nil {
		delete(t.subs, s.id)
	}
	s.pb, s.filter = pb, f
	if t := b.topics[pb.Topic]; t != nil {
		t.subs[s.id] = s
	}
	return s
}

func (b *Broker) subscription(name string) (*subscription, error) {
	s := b.subs[name]
	if s == nil {
		return nil, status.Errorf(codes.NotFound, "Resource not found (resource=%s).", name)
	}
	return s, nil
}

// deleteSub forgets the subscription and all that it holds.
func (b *Broker) deleteSub(name string) error {
	s, err := b.subscription(name)
	if err != nil {
		return err
	}
	if err := b.journal.deleteSub(s.id); err != nil {
		return err
	}
	b.dropSub(s)
	b.notify()
	return nil
}

func (b *Broker) dropSub(s *subscription) {
	s.gone = true
	delete(b.subs, s.pb.Name)
	delete(b.byID, s.id)
	if t := b.topics[s.pb.Topic]; t != nil {
		delete(t.subs, s.id)
	}
	s.discard()
	s.wakePulls()
}

// discard drops everything the subscription holds, without an ack.
func (s *subscription) discard() {
	for _, m := range s.b.live {
		for _, d := range m.deliveries {
			if d.sub == s {
				s.b.forget(d)
				break
			}
		}
	}
	for _, l := range s.leases {
		l.timer.Stop()
	}
	s.leases = map[string]*lease{}
	s.lanes = map[string]*fifo[*delivery]{}
	s.ready = fifo[*delivery]{}
}

// detach stops the subscription and drops what it holds.
func (b *Broker) detach(name string) error {
	s, err := b.subscription(name)
	if err != nil {
		return err
	}
	pb := proto.CloneOf(s.pb)
	pb.Detached = true
	if err := b.journal.putSub(s.id, pb); err != nil {
		return err
	}
	for _, m := range b.live {
		for _, d := range m.deliveries {
			if d.sub == s {
				b.journal.ack(s.id, m.seq)
			}
		}
	}
	s.pb = pb
	s.discard()
	s.wakePulls()
	b.notify()
	return nil
}

func (s *subscription) isPush() bool { return s.pb.GetPushConfig().GetPushEndpoint() != "" }

func (s *subscription) ackDeadline() time.Duration {
	return time.Duration(s.pb.AckDeadlineSeconds) * time.Second
}

// backoff is how long a delivery waits after its n-th failure.
func (s *subscription) backoff(n int) time.Duration {
	lo, hi := 100*time.Millisecond, time.Minute
	policy := s.pb.RetryPolicy
	switch {
	case policy == nil && !s.isPush():
		return 0
	case policy != nil:
		lo = max(lo, policy.MinimumBackoff.AsDuration()) // a minimum of 0 shall not spin
		hi = max(lo, policy.MaximumBackoff.AsDuration())
	}
	for ; n > 1 && lo < hi; n-- {
		lo *= 2
	}
	return min(lo, hi)
}

// checkSub refuses what the cloud refuses, and what this broker does not do, and fills in the defaults.
func checkSub(pb *pubsubpb.Subscription) (filter, error) {
	if err := checkName(pb.GetName(), "subscriptions"); err != nil {
		return nil, err
	}
	if err := checkSupported(pb); err != nil {
		return nil, err
	}
	if pb.AckDeadlineSeconds == 0 {
		pb.AckDeadlineSeconds = 10
	}
	if pb.AckDeadlineSeconds < 10 || pb.AckDeadlineSeconds > 600 {
		return nil, invalid("ack_deadline_seconds must be 10 to 600, not %d", pb.AckDeadlineSeconds)
	}
	if err := checkPush(pb.PushConfig); err != nil {
		return nil, err
	}
	if err := checkPolicies(pb); err != nil {
		return nil, err
	}
	if pb.MessageRetentionDuration == nil {
		pb.MessageRetentionDuration = durationpb.New(7 * 24 * time.Hour)
	}
	pb.State = pubsubpb.Subscription_ACTIVE
	f, err := parseFilter(pb.Filter)
	if err != nil {
		return nil, invalid("%v", err)
	}
	return f, nil
}

func checkSupported(pb *pubsubpb.Subscription) error {
	switch {
	case pb.EnableExactlyOnceDelivery:
		return unsupported("enable_exactly_once_delivery")
	case pb.BigqueryConfig != nil, pb.CloudStorageConfig != nil, pb.BigtableConfig != nil:
		return unsupported("an export subscription")
	case len(pb.MessageTransforms) > 0:
		return unsupported("message_transforms")
	case pb.RetainAckedMessages:
		return unsupported("retain_acked_messages")
	case pb.PushConfig.GetNoWrapper() != nil:
		return unsupported("push_config.no_wrapper")
	}
	return nil
}

func checkPush(pb *pubsubpb.PushConfig) error {
	if pb.GetPushEndpoint() == "" {
		return nil
	}
	u, err := url.Parse(pb.PushEndpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return invalid("push_endpoint %q is not an HTTP URL", pb.PushEndpoint)
	}
	return nil
}

func checkPolicies(pb *pubsubpb.Subscription) error {
	if r := pb.RetryPolicy; r != nil {
		if r.MinimumBackoff == nil {
			r.MinimumBackoff = durationpb.New(10 * time.Second)
		}
		if r.MaximumBackoff == nil {
			r.MaximumBackoff = durationpb.New(600 * time.Second)
		}
		lo, hi := r.MinimumBackoff.AsDuration(), r.MaximumBackoff.AsDuration()
		if lo < 0 || hi < lo || hi > 600*time.Second {
			return invalid("retry_policy: want 0s <= minimum_backoff <= maximum_backoff <= 600s, have %v and %v", lo, hi)
		}
	}
	if d := pb.DeadLetterPolicy; d != nil {
		if err := checkName(d.DeadLetterTopic, "topics"); err != nil {
			return err
		}
		if d.MaxDeliveryAttempts == 0 {
			d.MaxDeliveryAttempts = 5
		}
		if d.MaxDeliveryAttempts < 5 || d.MaxDeliveryAttempts > 100 {
			return invalid("max_delivery_attempts must be 5 to 100, not %d", d.MaxDeliveryAttempts)
		}
	}
	return nil
}
