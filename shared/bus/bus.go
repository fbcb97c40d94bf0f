// Package bus publishes events to Pub/Sub and waits until the broker has them.
//
// It sends its messages in one request of its own instead of through the client
// library's batching publisher. A function publishes one to three messages per
// invocation and must not answer before they are safe; batching would only add
// its delay, and the publisher stops an ordering key after an error until
// somebody resumes it. Messages of one call and one key keep their order. Two
// calls for one key keep it only if the second starts after the first returned.
//
// The client repeats what failed in passing, so a message may arrive twice:
// consumers are idempotent by business key. It never logs, and never drops.
package bus

import (
	"context"
	"fmt"
	"slices"
	"strings"

	pubsub "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"emailchannel.dev/emailchannel/shared/fault"
)

// Limits of one publish request: https://cloud.google.com/pubsub/quotas. The
// bytes stay below the 10 MB, because the request has a frame of its own.
const (
	maxMessages = 1000
	maxBytes    = 9 << 20
)

// Message is an event for one topic.
type Message struct {
	Data       []byte
	Attributes map[string]string
	// Key is the ordering key; messages of one key are delivered in order, where
	// the subscription orders. Empty for none.
	Key string
}

func (m Message) proto() *pubsubpb.PubsubMessage {
	return &pubsubpb.PubsubMessage{Data: m.Data, Attributes: m.Attributes, OrderingKey: m.Key}
}

// Bus publishes to the topics of one project. It is safe for concurrent use.
type Bus struct {
	client  *pubsub.TopicAdminClient
	project string
}

// New connects to a project's Pub/Sub.
func New(ctx context.Context, project string, opts ...option.ClientOption) (*Bus, error) {
	client, err := pubsub.NewTopicAdminClient(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("bus: connect to Pub/Sub: %w", err)
	}
	return &Bus{client: client, project: project}, nil
}

// Close ends the connections.
func (b *Bus) Close() error { return b.client.Close() }

// Publish returns when the broker has the message. topic is an ID of the Bus's
// project, or a full name. The error is permanent (package fault) when the
// broker calls the message invalid, for example as too large.
func (b *Bus) Publish(ctx context.Context, topic string, m Message) error {
	return b.PublishAll(ctx, topic, []Message{m})
}

// PublishAll returns when the broker has all messages, in requests as large as
// the broker allows. A request has messages of one key only, or the broker
// refuses it; so the order between keys is lost, that within a key is kept.
// After an error some of them may have been published.
func (b *Bus) PublishAll(ctx context.Context, topic string, messages []Message) error {
	if !strings.Contains(topic, "/") {
		topic = fmt.Sprintf("projects/%s/topics/%s", b.project, topic)
	}
	messages = slices.Clone(messages)
	slices.SortStableFunc(messages, func(a, b Message) int { return strings.Compare(a.Key, b.Key) })
	for len(messages) > 0 {
		n := batch(messages)
		req := &pubsubpb.PublishRequest{Topic: topic}
		for _, m := range messages[:n] {
			req.Messages = append(req.Messages, m.proto())
		}
		if _, err := b.client.Publish(ctx, req); err != nil {
			err = fmt.Errorf("bus: publish to %s: %w", topic, err)
			if status.Code(err) == codes.InvalidArgument {
				err = fault.Permanent(err)
			}
			return err
		}
		messages = messages[n:]
	}
	return nil
}

// batch tells how many messages go into the next request: at least one.
func batch(messages []Message) int {
	var bytes int
	for i, m := range messages {
		bytes += m.size()
		if i > 0 && (i == maxMessages || bytes > maxBytes || m.Key != messages[0].Key) {
			return i
		}
	}
	return len(messages)
}

// size is at least the message's size on the wire.
func (m Message) size() int {
	const frame = 16 // tags and lengths of a field
	n := len(m.Data) + len(m.Key) + 2*frame
	for k, v := range m.Attributes {
		n += len(k) + len(v) + 2*frame
	}
	return n
}
