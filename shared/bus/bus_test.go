package bus_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"emailchannel.dev/emailchannel/emulator/clock"
	"emailchannel.dev/emailchannel/emulator/pubsub"
	"emailchannel.dev/emailchannel/shared/bus"
	"emailchannel.dev/emailchannel/shared/fault"
)

type suite struct {
	*bus.Bus
	subscriber pubsubpb.SubscriberClient
	fail       func(*pubsubpb.PublishRequest) error // asked before each publish
	mu         sync.Mutex
	requests   []*pubsubpb.PublishRequest
}

func start(t testing.TB) *suite {
	t.Helper()
	broker, err := pubsub.Open(pubsub.Options{Clock: clock.New()})
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(11<<20), grpc.UnaryInterceptor(s.intercept))
	broker.Register(server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	t.Cleanup(func() { server.Stop(); broker.Close() })
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	const topic, sub = "projects/p/topics/mail", "projects/p/subscriptions/mail"
	if _, err := pubsubpb.NewPublisherClient(conn).CreateTopic(context.Background(), &pubsubpb.Topic{Name: topic}); err != nil {
		t.Fatal(err)
	}
	s.subscriber = pubsubpb.NewSubscriberClient(conn)
	_, err = s.subscriber.CreateSubscription(context.Background(), &pubsubpb.Subscription{Name: sub, Topic: topic, EnableMessageOrdering: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Bus, err = bus.New(context.Background(), "p", option.WithEndpoint(l.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *suite) intercept(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if p, ok := req.(*pubsubpb.PublishRequest); ok {
		s.mu.Lock()
		s.requests = append(s.requests, p)
		fail := s.fail
		s.mu.Unlock()
		if fail != nil {
			if err := fail(p); err != nil {
				return nil, err
			}
		}
	}
	return next(ctx, req)
}

// pull takes n messages and acknowledges them.
func (s *suite) pull(t *testing.T, n int) (got []*pubsubpb.PubsubMessage) {
	t.Helper()
	const sub = "projects/p/subscriptions/mail"
	for len(got) < n {
		res, err := s.subscriber.Pull(t.Context(), &pubsubpb.PullRequest{Subscription: sub, MaxMessages: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, m := range res.ReceivedMessages {
			got, ids = append(got, m.Message), append(ids, m.AckId)
		}
		if len(ids) == 0 {
			continue
		}
		if _, err := s.subscriber.Acknowledge(t.Context(), &pubsubpb.AcknowledgeRequest{Subscription: sub, AckIds: ids}); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

func TestPublishCarriesEverything(t *testing.T) {
	s := start(t)
	for _, topic := range []string{"mail", "projects/p/topics/mail"} {
		m := bus.Message{Data: []byte("pointer"), Attributes: map[string]string{"kind": "received"}, Key: "queue-1"}
		if err := s.Publish(t.Context(), topic, m); err != nil {
			t.Fatal(err)
		}
		got := s.pull(t, 1)[0]
		if string(got.Data) != "pointer" || got.Attributes["kind"] != "received" || got.OrderingKey != "queue-1" {
			t.Errorf("%v", got)
		}
	}
}

func TestPublishAllKeepsOrderAcrossRequests(t *testing.T) {
	s := start(t)
	var messages []bus.Message
	var want []string
	for i := range 2500 {
		want = append(want, fmt.Sprint(i))
		messages = append(messages, bus.Message{Data: []byte(want[i]), Key: "k"})
	}
	if err := s.PublishAll(t.Context(), "mail", messages); err != nil {
		t.Fatal(err)
	}
	if len(s.requests) != 3 {
		t.Errorf("%d requests", len(s.requests))
	}
	var got []string
	for _, m := range s.pull(t, len(want)) {
		got = append(got, string(m.Data))
	}
	if !slices.Equal(got, want) {
		t.Error("order is lost")
	}
	if err := s.PublishAll(t.Context(), "mail", nil); err != nil {
		t.Errorf("nothing to publish: %v", err)
	}
}

// A request with two keys is refused by the broker as a whole.
func TestPublishAllOfSeveralKeys(t *testing.T) {
	s := start(t)
	var messages []bus.Message
	want := map[string][]string{}
	for i := range 90 {
		key := []string{"a", "", "b"}[i%3]
		messages = append(messages, bus.Message{Data: fmt.Append(nil, i), Key: key})
		want[key] = append(want[key], fmt.Sprint(i))
	}
	if err := s.PublishAll(t.Context(), "mail", messages); err != nil {
		t.Fatal(err)
	}
	if len(s.requests) != 3 {
		t.Errorf("%d requests", len(s.requests))
	}
	got := map[string][]string{}
	for _, m := range s.pull(t, len(messages)) {
		got[m.OrderingKey] = append(got[m.OrderingKey], string(m.Data))
	}
	for _, key := range []string{"a", "b"} {
		if !slices.Equal(got[key], want[key]) {
			t.Errorf("the order of key %s is lost: %v", key, got[key])
		}
	}
	if len(got[""]) != len(want[""]) {
		t.Errorf("%d messages without a key", len(got[""]))
	}
	if messages[1].Key != "" || messages[2].Key != "b" {
		t.Error("the caller's messages were moved")
	}
}

func TestPublishAllStaysBelowTheBrokersBytes(t *testing.T) {
	s := start(t)
	messages := make([]bus.Message, 5)
	for i := range messages {
		messages[i].Data = make([]byte, 4<<20)
	}
	if err := s.PublishAll(t.Context(), "mail", messages); err != nil {
		t.Fatal(err)
	}
	if len(s.requests) != 3 {
		t.Errorf("%d requests", len(s.requests))
	}
}

func TestPassingFailureIsRepeated(t *testing.T) {
	s := start(t)
	calls := 0
	s.fail = func(*pubsubpb.PublishRequest) error {
		if calls++; calls < 3 {
			return status.Error(codes.Unavailable, "in passing")
		}
		return nil
	}
	if err := s.Publish(t.Context(), "mail", bus.Message{Data: []byte("x"), Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if calls != 3 {
		t.Errorf("%d calls", calls)
	}
}

// After an error on a key the next message of that key goes out.
func TestErrorDoesNotStopTheKey(t *testing.T) {
	s := start(t)
	s.fail = func(*pubsubpb.PublishRequest) error { return status.Error(codes.PermissionDenied, "no") }
	err := s.Publish(t.Context(), "mail", bus.Message{Data: []byte("1"), Key: "k"})
	if status.Code(err) != codes.PermissionDenied || fault.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	s.fail = nil
	if err := s.Publish(t.Context(), "mail", bus.Message{Data: []byte("2"), Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if got := s.pull(t, 1)[0]; string(got.Data) != "2" {
		t.Errorf("%v", got)
	}
}

func TestErrorsOfTheBroker(t *testing.T) {
	s := start(t)
	if err := s.Publish(t.Context(), "absent", bus.Message{Data: []byte("x")}); status.Code(err) != codes.NotFound || fault.IsPermanent(err) {
		t.Errorf("topic that does not exist: %v", err)
	}
	if err := s.Publish(t.Context(), "mail", bus.Message{}); !fault.IsPermanent(err) {
		t.Errorf("empty message: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Publish(ctx, "mail", bus.Message{Data: []byte("x")}); err == nil {
		t.Error("publish with a cancelled context succeeded")
	}
}

// BenchmarkPublish is one message as a function publishes it, one after the other.
func BenchmarkPublish(b *testing.B) {
	s := start(b)
	for b.Loop() {
		if err := s.Publish(b.Context(), "mail", bus.Message{Data: []byte("pointer"), Key: "k"}); err != nil {
			b.Fatal(err)
		}
	}
}
