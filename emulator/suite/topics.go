package suite

import (
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"emailchannel.dev/emailchannel/shared/event"
)

// subscription is one push subscription; Terraform makes the same ones.
type subscription struct {
	topic, function string
	filter          string
	ordered         bool
	deadline        time.Duration // ack deadline, longer than the function's time limit
}

// subscriptions by which events reach functions. A subscription is called
// "topic.function".
var subscriptions = []subscription{
	{topic: event.TopicPoll, function: "poll", deadline: 120 * time.Second},
	{topic: event.TopicReceived, function: "ingest", deadline: 120 * time.Second},
	{topic: event.TopicSession, function: "route", filter: `attributes.waiting = "true"`, ordered: true, deadline: 60 * time.Second},
	{topic: event.TopicSession, function: "autoreply", filter: `attributes:scenario`, deadline: 60 * time.Second},
	{topic: event.TopicSession, function: "record", deadline: 60 * time.Second},
	{topic: event.TopicQueue, function: "route", deadline: 300 * time.Second},
	{topic: event.TopicOutbound, function: "send", deadline: 300 * time.Second},
	{topic: event.TopicFlush, function: "flush", deadline: 600 * time.Second},
	{topic: event.TopicSweep, function: "sweep", deadline: 600 * time.Second},
	{topic: event.TopicDead, function: "sweep", deadline: 60 * time.Second},
}

const (
	retryFirst = 200 * time.Millisecond // production: 10 s
	retryMost  = 30 * time.Second       // production: 600 s
	deadAfter  = 20                     // deliveries
)

func topicName(topic string) string { return "projects/" + Project + "/topics/" + topic }

// ensurer makes topics and subscriptions as they are described.
type ensurer interface {
	EnsureTopic(*pubsubpb.Topic) error
	EnsureSubscription(*pubsubpb.Subscription) error
}

func (s *Suite) topics() error {
	seen := map[string]bool{}
	for _, sub := range append([]subscription{{topic: event.TopicDead}}, subscriptions...) {
		if seen[sub.topic] {
			continue
		}
		seen[sub.topic] = true
		if err := s.broker.EnsureTopic(&pubsubpb.Topic{Name: topicName(sub.topic)}); err != nil {
			return fmt.Errorf("topic %s: %w", sub.topic, err)
		}
	}
	for _, sub := range subscriptions {
		pb := &pubsubpb.Subscription{
			Name:                  "projects/" + Project + "/subscriptions/" + sub.topic + "." + sub.function,
			Topic:                 topicName(sub.topic),
			Filter:                sub.filter,
			EnableMessageOrdering: sub.ordered,
			AckDeadlineSeconds:    int32(sub.deadline.Seconds()),
			PushConfig:            &pubsubpb.PushConfig{PushEndpoint: "http://" + s.Addrs.HTTP + "/functions/" + sub.function},
			RetryPolicy:           &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(retryFirst), MaximumBackoff: durationpb.New(retryMost)},
		}
		if sub.topic != event.TopicDead && sub.topic != event.TopicPoll { // a poll is asked for every minute: nothing is lost with one
			pb.DeadLetterPolicy = &pubsubpb.DeadLetterPolicy{DeadLetterTopic: topicName(event.TopicDead), MaxDeliveryAttempts: deadAfter}
		}
		if err := s.broker.EnsureSubscription(pb); err != nil {
			return fmt.Errorf("subscription %s: %w", pb.Name, err)
		}
	}
	return nil
}
