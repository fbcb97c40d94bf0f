package pubsub

import (
	"context"
	"strconv"
	"unicode/utf8"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The cloud's limits: https://cloud.google.com/pubsub/quotas#resource_limits.
const (
	maxBatch       = 1000
	maxRequest     = 10 << 20
	maxAttributes  = 100
	maxAttrKey     = 256
	maxAttrValue   = 1024
	maxOrderingKey = 1024
)

type topic struct {
	pb    *pubsubpb.Topic
	subs  map[uint32]*subscription
	stats TopicStats
}

// message is held while a delivery of it is pending.
type message struct {
	seq        uint64
	pb         *pubsubpb.PubsubMessage
	deliveries []*delivery
}

// EnsureTopic creates the topic, or gives the existing one this configuration.
func (b *Broker) EnsureTopic(pb *pubsubpb.Topic) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.putTopic(proto.CloneOf(pb))
}

// putTopic stores pb, which it keeps. b.mu is held, as for all that follows.
func (b *Broker) putTopic(pb *pubsubpb.Topic) error {
	if err := checkTopic(pb); err != nil {
		return err
	}
	pb.State = pubsubpb.Topic_ACTIVE
	if err := b.journal.putTopic(pb); err != nil {
		return err
	}
	b.addTopic(pb)
	return nil
}

func (b *Broker) addTopic(pb *pubsubpb.Topic) {
	if t := b.topics[pb.Name]; t != nil {
		t.pb = pb
		return
	}
	b.topics[pb.Name] = &topic{pb: pb, subs: map[uint32]*subscription{}}
}

func checkTopic(pb *pubsubpb.Topic) error {
	if err := checkName(pb.GetName(), "topics"); err != nil {
		return err
	}
	switch {
	case pb.SchemaSettings != nil:
		return unsupported("schema_settings")
	case pb.IngestionDataSourceSettings != nil:
		return unsupported("ingestion_data_source_settings")
	case len(pb.MessageTransforms) > 0:
		return unsupported("message_transforms")
	}
	return nil
}

func (b *Broker) topic(name string) (*topic, error) {
	t := b.topics[name]
	if t == nil {
		return nil, status.Errorf(codes.NotFound, "Resource not found (resource=%s).", name)
	}
	return t, nil
}

// deleteTopic leaves its subscriptions with what they hold, as the cloud does.
func (b *Broker) deleteTopic(name string) error {
	t, err := b.topic(name)
	if err != nil {
		return err
	}
	if err := b.journal.deleteTopic(name); err != nil {
		return err
	}
	for _, s := range t.subs {
		s.pb.Topic = deletedTopic
		if err := b.journal.putSub(s.id, s.pb); err != nil {
			return err
		}
	}
	delete(b.topics, name)
	return nil
}

// Publish sends one message without an ordering key from inside the process. The error is a gRPC status.
func (b *Broker) Publish(ctx context.Context, topic string, data []byte, attrs map[string]string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := b.publish(topic, []*pubsubpb.PubsubMessage{{Data: data, Attributes: attrs}})
	return err
}

// publish stores the messages, which it keeps, and starts their deliveries. It returns their IDs once they
// survive a crash.
func (b *Broker) publish(name string, msgs []*pubsubpb.PubsubMessage) ([]string, error) {
	if err := checkMessages(msgs); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, status.Error(codes.Unavailable, errClosed.Error())
	}
	t, err := b.topic(name)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(msgs))
	stored := make([]*message, len(msgs))
	for i, pb := range msgs {
		stored[i] = b.newMessage(t, pb)
		ids[i] = pb.MessageId
		if err := b.journal.publish(stored[i]); err != nil {
			return nil, status.Errorf(codes.Unavailable, "store message: %v", err)
		}
	}
	if err := b.journal.flush(); err != nil {
		return nil, status.Errorf(codes.Unavailable, "store message: %v", err)
	}
	for _, m := range stored {
		b.enqueue(m)
	}
	t.stats.Published += uint64(len(msgs))
	b.compact()
	return ids, nil
}

// newMessage stamps pb and finds out who gets it.
func (b *Broker) newMessage(t *topic, pb *pubsubpb.PubsubMessage) *message {
	b.lastSeq++
	pb.MessageId = strconv.FormatUint(b.lastSeq, 10)
	pb.PublishTime = timestamppb.New(b.opt.Clock.Now())
	m := &message{seq: b.lastSeq, pb: pb}
	for _, s := range t.subs {
		if !s.pb.Detached && s.filter(pb.Attributes) {
			m.deliveries = append(m.deliveries, &delivery{m: m, sub: s})
		}
	}
	return m
}

// enqueue hands a stored message to its subscriptions.
func (b *Broker) enqueue(m *message) {
	if len(m.deliveries) == 0 {
		return
	}
	b.live[m.seq] = m
	for _, d := range m.deliveries {
		d.sub.add(d)
	}
}

func checkMessages(msgs []*pubsubpb.PubsubMessage) error {
	if len(msgs) == 0 || len(msgs) > maxBatch {
		return invalid("a publish request has 1 to %d messages, not %d", maxBatch, len(msgs))
	}
	size := 0
	for i, m := range msgs {
		if err := checkMessage(m); err != nil {
			return invalid("message %d: %v", i, err)
		}
		if m.OrderingKey != msgs[0].OrderingKey {
			return status.Error(codes.FailedPrecondition, "In a single publish request, all messages must have no ordering key or they must all have the same ordering key.")
		}
		size += proto.Size(m)
	}
	if size > maxRequest {
		return invalid("a publish request has at most %d bytes, not %d", maxRequest, size)
	}
	return nil
}

func checkMessage(m *pubsubpb.PubsubMessage) error {
	switch {
	case len(m.GetData()) == 0 && len(m.GetAttributes()) == 0:
		return invalid("it needs data or an attribute")
	case len(m.Attributes) > maxAttributes:
		return invalid("%d attributes, the limit is %d", len(m.Attributes), maxAttributes)
	case len(m.OrderingKey) > maxOrderingKey:
		return invalid("ordering key of %d bytes, the limit is %d", len(m.OrderingKey), maxOrderingKey)
	}
	for k, v := range m.Attributes {
		if k == "" || len(k) > maxAttrKey || len(v) > maxAttrValue || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return invalid("attribute %q: keys have 1 to %d bytes, values up to %d, both UTF-8", k, maxAttrKey, maxAttrValue)
		}
	}
	return nil
}
