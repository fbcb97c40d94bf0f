package pubsub

import (
	"maps"
	"strconv"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// Attributes that the cloud adds to a dead letter:
// https://cloud.google.com/pubsub/docs/handling-failures#dead-letter_topic_properties.
const (
	attrDeliveryCount = "CloudPubSubDeadLetterSourceDeliveryCount"
	attrSubscription  = "CloudPubSubDeadLetterSourceSubscription"
	attrProject       = "CloudPubSubDeadLetterSourceSubscriptionProject"
	attrPublishTime   = "CloudPubSubDeadLetterSourceTopicPublishTime"
	attrError         = "CloudPubSubDeadLetterSourceDeliveryErrorMessage"
)

// deadLetter moves a delivery that failed too often to its dead-letter topic. While that topic is missing, or
// the message cannot be stored, it answers false and the delivery is retried. b.mu is held.
func (s *subscription) deadLetter(d *delivery, reason string) bool {
	policy := s.pb.DeadLetterPolicy
	if policy == nil || d.failures < int(policy.MaxDeliveryAttempts) {
		return false
	}
	t := s.b.topics[policy.DeadLetterTopic]
	if t == nil {
		return false
	}
	m := s.b.newMessage(t, s.letter(d, reason))
	if s.b.journal.publish(m) != nil || s.b.journal.flush() != nil {
		return false
	}
	t.stats.Published++
	s.stats.DeadLettered++
	s.b.enqueue(m)
	s.end(d)
	return true
}

func (s *subscription) letter(d *delivery, reason string) *pubsubpb.PubsubMessage {
	pb := d.m.pb
	attrs := maps.Clone(pb.Attributes)
	if attrs == nil {
		attrs = map[string]string{}
	}
	attrs[attrDeliveryCount] = strconv.Itoa(d.failures)
	attrs[attrSubscription] = shortName(s.pb.Name)
	attrs[attrProject] = projectOf(s.pb.Name)
	attrs[attrPublishTime] = pb.PublishTime.AsTime().Format("2006-01-02T15:04:05.000+00:00")
	if reason != "" {
		attrs[attrError] = reason
	}
	return &pubsubpb.PubsubMessage{Data: pb.Data, Attributes: attrs, OrderingKey: pb.OrderingKey}
}

// publishTime is a message's time as JSON has it.
func publishTime(pb *pubsubpb.PubsubMessage) string {
	return pb.PublishTime.AsTime().Format(time.RFC3339Nano)
}
