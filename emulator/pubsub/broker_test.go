package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	client "cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"emailchannel.dev/emailchannel/emulator/clock"
	"emailchannel.dev/emailchannel/emulator/grpctest"
)

const (
	project  = "projects/p"
	topicA   = project + "/topics/alpha"
	topicDLQ = project + "/topics/dead"
	subA     = project + "/subscriptions/alpha-sub"
	subDLQ   = project + "/subscriptions/dead-sub"
)

// frozen returns a stopped clock: what waits is seen to wait.
func frozen() *clock.Clock {
	c := clock.New()
	c.Freeze(true)
	return c
}

func open(t testing.TB, opt Options) *Broker {
	t.Helper()
	if opt.Clock == nil {
		opt.Clock = frozen()
	}
	b, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// setup makes topicA and the given subscriptions of it.
func setup(t testing.TB, b *Broker, subs ...*pubsubpb.Subscription) {
	t.Helper()
	for _, name := range []string{topicA, topicDLQ} {
		if err := b.EnsureTopic(&pubsubpb.Topic{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range subs {
		if s.Topic == "" {
			s.Topic = topicA
		}
		if s.Name == "" {
			s.Name = subA
		}
		if err := b.EnsureSubscription(s); err != nil {
			t.Fatal(err)
		}
	}
}

func publishN(t testing.TB, b *Broker, key string, data ...string) {
	t.Helper()
	var msgs []*pubsubpb.PubsubMessage
	for _, d := range data {
		msgs = append(msgs, &pubsubpb.PubsubMessage{Data: []byte(d), OrderingKey: key})
	}
	if _, err := b.publish(topicA, msgs); err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func waitIdle(t testing.TB, b *Broker) {
	t.Helper()
	if err := b.WaitIdle(within(t)); err != nil {
		t.Fatalf("not idle: %v, %+v", err, b.Stats())
	}
}

func quiet(t testing.TB, b *Broker) {
	t.Helper()
	if err := b.Quiet(within(t)); err != nil {
		t.Fatalf("not quiet: %v, %+v", err, b.Stats())
	}
}

// endpoint is a push endpoint that keeps what came and answers what status says.
type endpoint struct {
	*httptest.Server
	mu     sync.Mutex
	got    []envelope
	raw    [][]byte
	header []http.Header
	status func(envelope) int
}

func newEndpoint(t testing.TB, status func(envelope) int) *endpoint {
	e := &endpoint{status: status}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var env envelope
	if err := json.Unmarshal(body, &env); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	e.got = append(e.got, env)
	e.raw = append(e.raw, body)
	e.header = append(e.header, r.Header)
	e.mu.Unlock()
	if e.status != nil {
		w.WriteHeader(e.status(env))
	}
}

func (e *endpoint) data() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, g := range e.got {
		out = append(out, string(g.Message.Data))
	}
	return out
}

func (e *endpoint) push() *pubsubpb.PushConfig {
	return &pubsubpb.PushConfig{PushEndpoint: e.URL + "/fn"}
}

// dial serves the broker over gRPC and connects the official client to it.
func dial(t testing.TB, b *Broker) *client.Client {
	t.Helper()
	c, err := client.NewClient(context.Background(), "p", option.WithGRPCConn(grpctest.Dial(t, b.Register)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestClientAdministration(t *testing.T) {
	b := open(t, Options{})
	c := dial(t, b)
	ctx := within(t)
	for _, name := range []string{topicA, topicDLQ, project + "/topics/other"} {
		if _, err := c.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: name, Labels: map[string]string{"a": "b"}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: topicA})
	wantCode(t, "second CreateTopic", err, codes.AlreadyExists)
	_, err = c.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: "projects/p/topics/x"})
	wantCode(t, "short name", err, codes.InvalidArgument)
	_, err = c.TopicAdminClient.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: project + "/topics/none"})
	wantCode(t, "GetTopic", err, codes.NotFound)

	var names []string
	topics := c.TopicAdminClient.ListTopics(ctx, &pubsubpb.ListTopicsRequest{Project: project, PageSize: 2})
	for tp, err := topics.Next(); err == nil; tp, err = topics.Next() {
		names = append(names, tp.Name)
	}
	if want := []string{topicA, topicDLQ, project + "/topics/other"}; !reflect.DeepEqual(names, want) {
		t.Errorf("ListTopics = %v, want %v", names, want)
	}

	_, err = c.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{Name: subA, Topic: project + "/topics/none"})
	wantCode(t, "subscription without topic", err, codes.NotFound)
	sub, err := c.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{
		Name: subA, Topic: topicA, DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: topicDLQ},
	})
	if err != nil {
		t.Fatal(err)
	}
	if sub.AckDeadlineSeconds != 10 || sub.DeadLetterPolicy.MaxDeliveryAttempts != 5 {
		t.Errorf("defaults: %v", sub)
	}
	sub, err = c.SubscriptionAdminClient.UpdateSubscription(ctx, &pubsubpb.UpdateSubscriptionRequest{
		Subscription: &pubsubpb.Subscription{Name: subA, AckDeadlineSeconds: 60},
		UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"ack_deadline_seconds", "dead_letter_policy"}},
	})
	if err != nil || sub.AckDeadlineSeconds != 60 || sub.DeadLetterPolicy != nil || sub.Topic != topicA {
		t.Errorf("UpdateSubscription = %v, %v", sub, err)
	}
	_, err = c.SubscriptionAdminClient.UpdateSubscription(ctx, &pubsubpb.UpdateSubscriptionRequest{
		Subscription: &pubsubpb.Subscription{Name: subA, Filter: "attributes:k"},
		UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"filter"}},
	})
	wantCode(t, "changing the filter", err, codes.InvalidArgument)
	if err := c.SubscriptionAdminClient.ModifyPushConfig(ctx, &pubsubpb.ModifyPushConfigRequest{
		Subscription: subA, PushConfig: &pubsubpb.PushConfig{PushEndpoint: "http://127.0.0.1:1/"},
	}); err != nil {
		t.Error(err)
	}
	_, err = c.SubscriptionAdminClient.Pull(ctx, &pubsubpb.PullRequest{Subscription: subA, MaxMessages: 1})
	wantCode(t, "pulling a push subscription", err, codes.FailedPrecondition)

	if err := c.TopicAdminClient.DeleteTopic(ctx, &pubsubpb.DeleteTopicRequest{Topic: topicA}); err != nil {
		t.Fatal(err)
	}
	sub, err = c.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: subA})
	if err != nil || sub.Topic != deletedTopic {
		t.Errorf("subscription of a deleted topic: %v, %v", sub, err)
	}
	if err := c.SubscriptionAdminClient.DeleteSubscription(ctx, &pubsubpb.DeleteSubscriptionRequest{Subscription: subA}); err != nil {
		t.Error(err)
	}
}

func wantCode(t *testing.T, what string, err error, code codes.Code) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("%s: %v, want %v", what, err, code)
	}
}

func TestSubscriptionRefused(t *testing.T) {
	b := open(t, Options{})
	setup(t, b)
	for name, s := range map[string]*pubsubpb.Subscription{
		"ack deadline": {AckDeadlineSeconds: 5},
		"filter":       {Filter: "attributes.k ~ 1"},
		"attempts":     {DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: topicDLQ, MaxDeliveryAttempts: 2}},
		"back-off":     {RetryPolicy: &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(time.Hour)}},
		"endpoint":     {PushConfig: &pubsubpb.PushConfig{PushEndpoint: "ftp://x"}},
		"exactly once": {EnableExactlyOnceDelivery: true},
	} {
		s.Name, s.Topic = subA, topicA
		if err := b.EnsureSubscription(s); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestClientPublishAndReceive(t *testing.T) {
	b := open(t, Options{Clock: clock.New()})
	setup(t, b, &pubsubpb.Subscription{Filter: `attributes.n != "skip"`})
	c := dial(t, b)
	ctx := within(t)
	p := c.Publisher(topicA)
	defer p.Stop()
	const n = 500
	var results []*client.PublishResult
	for i := range n {
		results = append(results, p.Publish(ctx, &client.Message{Data: fmt.Append(nil, i), Attributes: map[string]string{"n": fmt.Sprint(i)}}))
	}
	results = append(results, p.Publish(ctx, &client.Message{Attributes: map[string]string{"n": "skip"}}))
	ids := map[string]bool{}
	for _, r := range results {
		id, err := r.Get(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = true
	}
	if len(ids) != n+1 {
		t.Errorf("%d distinct IDs, want %d", len(ids), n+1)
	}
	rctx, stop := context.WithCancel(ctx)
	var mu sync.Mutex
	seen, nacked := map[string]int{}, false
	err := c.Subscriber(subA).Receive(rctx, func(_ context.Context, m *client.Message) {
		mu.Lock()
		defer mu.Unlock()
		if string(m.Data) == "7" && !nacked {
			nacked = true
			m.Nack()
			return
		}
		seen[string(m.Data)]++
		m.Ack()
		if len(seen) == n {
			stop()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != n || seen["7"] != 1 {
		t.Errorf("received %d messages, number 7 %d times after its nack", len(seen), seen["7"])
	}
	if st := b.Stats().Subscriptions[subA]; st.Pending != 0 || st.Acked != n || st.Redelivered == 0 {
		t.Errorf("stats after all acks: %+v", st)
	}
}

func TestPublishRefused(t *testing.T) {
	b := open(t, Options{})
	setup(t, b)
	c := dial(t, b)
	ctx := within(t)
	for name, req := range map[string]*pubsubpb.PublishRequest{
		"empty message": {Topic: topicA, Messages: []*pubsubpb.PubsubMessage{{}}},
		"no message":    {Topic: topicA},
		"empty key":     {Topic: topicA, Messages: []*pubsubpb.PubsubMessage{{Attributes: map[string]string{"": "v"}}}},
		"too big":       {Topic: topicA, Messages: []*pubsubpb.PubsubMessage{{Data: make([]byte, maxRequest+1)}}},
	} {
		_, err := c.TopicAdminClient.Publish(ctx, req)
		wantCode(t, name, err, codes.InvalidArgument)
	}
	_, err := c.TopicAdminClient.Publish(ctx, &pubsubpb.PublishRequest{Topic: topicA, Messages: []*pubsubpb.PubsubMessage{{Data: []byte("x"), OrderingKey: "a"}, {Data: []byte("x")}}})
	wantCode(t, "two keys", err, codes.FailedPrecondition)
	err = b.Publish(ctx, project+"/topics/none", []byte("x"), nil)
	wantCode(t, "no topic", err, codes.NotFound)
}

// pullNow returns what is ready.
func pullNow(t *testing.T, c *client.Client) []*pubsubpb.ReceivedMessage {
	t.Helper()
	resp, err := c.SubscriptionAdminClient.Pull(within(t), &pubsubpb.PullRequest{Subscription: subA, MaxMessages: 5, ReturnImmediately: true}) //lint:ignore SA1019 it is what the test needs
	if err != nil {
		t.Fatal(err)
	}
	return resp.ReceivedMessages
}

func TestAckDeadlineExpires(t *testing.T) {
	clk := frozen()
	b := open(t, Options{Clock: clk})
	setup(t, b, &pubsubpb.Subscription{AckDeadlineSeconds: 20})
	c := dial(t, b)
	ctx := within(t)
	publishN(t, b, "", "x")
	pull := func() []*pubsubpb.ReceivedMessage { return pullNow(t, c) }
	first := pull()
	if len(first) != 1 {
		t.Fatalf("pulled %d", len(first))
	}
	if again := pull(); len(again) != 0 {
		t.Fatalf("a leased message was pulled again")
	}
	clk.Advance(19 * time.Second)
	if err := c.SubscriptionAdminClient.ModifyAckDeadline(ctx, &pubsubpb.ModifyAckDeadlineRequest{
		Subscription: subA, AckIds: []string{first[0].AckId}, AckDeadlineSeconds: 60,
	}); err != nil {
		t.Fatal(err)
	}
	clk.Advance(59 * time.Second)
	if again := pull(); len(again) != 0 {
		t.Fatal("the extended lease did not hold")
	}
	clk.Advance(time.Second)
	again := pull()
	if len(again) != 1 || again[0].AckId == first[0].AckId || again[0].Message.MessageId != first[0].Message.MessageId {
		t.Fatalf("after the deadline: %v", again)
	}
	if err := c.SubscriptionAdminClient.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: subA, AckIds: []string{first[0].AckId, again[0].AckId}}); err != nil {
		t.Fatal(err)
	}
	clk.Advance(time.Hour)
	if left := pull(); len(left) != 0 || len(b.live) != 0 {
		t.Errorf("after the ack: %d left, %d held", len(left), len(b.live))
	}
}

func TestStreamIsBoundedAndOrdered(t *testing.T) {
	b := open(t, Options{Clock: clock.New()})
	setup(t, b, &pubsubpb.Subscription{EnableMessageOrdering: true})
	c := dial(t, b)
	ctx, stop := context.WithCancel(within(t))
	for i := range 30 {
		publishN(t, b, fmt.Sprint("k", i%3), fmt.Sprint(i))
	}
	s := c.Subscriber(subA)
	s.ReceiveSettings.MaxOutstandingMessages = 2
	var mu sync.Mutex
	got := map[string][]string{}
	total := 0
	err := s.Receive(ctx, func(_ context.Context, m *client.Message) {
		mu.Lock()
		defer mu.Unlock()
		got[m.OrderingKey] = append(got[m.OrderingKey], string(m.Data))
		m.Ack()
		if total++; total == 30 {
			stop()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for k, key := range []string{"k0", "k1", "k2"} {
		var want []string
		for i := k; i < 30; i += 3 {
			want = append(want, fmt.Sprint(i))
		}
		if !slices.Equal(got[key], want) {
			t.Errorf("%s: %v, want %v", key, got[key], want)
		}
	}
}

// TestStreamWhileItsSubscriptionChanges is for the race detector.
func TestStreamWhileItsSubscriptionChanges(t *testing.T) {
	b := open(t, Options{Clock: clock.New()})
	setup(t, b, &pubsubpb.Subscription{})
	c := dial(t, b)
	ctx, stop := context.WithCancel(within(t))
	defer stop()
	changed := make(chan error, 1)
	go func() {
		var err error
		for i := 0; ctx.Err() == nil && err == nil; i++ {
			err = b.EnsureSubscription(&pubsubpb.Subscription{Name: subA, Topic: topicA, AckDeadlineSeconds: int32(10 + i%100)})
		}
		changed <- err
	}()
	for i := range 50 {
		publishN(t, b, "", fmt.Sprint(i))
	}
	total := 0
	s := c.Subscriber(subA)
	s.ReceiveSettings.MaxOutstandingMessages = 1
	err := s.Receive(ctx, func(_ context.Context, m *client.Message) {
		m.Ack()
		if total++; total == 50 {
			stop()
		}
	})
	if err := errors.Join(err, <-changed); err != nil {
		t.Error(err)
	}
}

// TestNackOfACopyFailsItsAttemptOnce: what two copies of a delivery report is one failure.
func TestNackOfACopyFailsItsAttemptOnce(t *testing.T) {
	faults := []Fault{{Duplicate: 1}}
	b := open(t, Options{Faults: func(string) Fault {
		if len(faults) == 0 {
			return Fault{}
		}
		f := faults[0]
		faults = faults[1:]
		return f
	}})
	setup(t, b, &pubsubpb.Subscription{DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: topicDLQ}})
	c := dial(t, b)
	ctx := within(t)
	publishN(t, b, "", "x")
	pull := func() []*pubsubpb.ReceivedMessage { return pullNow(t, c) }
	nack := func(id string) {
		if err := c.SubscriptionAdminClient.ModifyAckDeadline(ctx, &pubsubpb.ModifyAckDeadlineRequest{Subscription: subA, AckIds: []string{id}}); err != nil {
			t.Fatal(err)
		}
	}
	copies := pull()
	if len(copies) != 2 {
		t.Fatalf("pulled %d copies, want 2", len(copies))
	}
	nack(copies[0].AckId)
	if again := pull(); len(again) != 1 || again[0].DeliveryAttempt != 2 {
		t.Fatalf("after a nack: %v", again)
	}
	nack(copies[1].AckId)
	if again := pull(); len(again) != 0 {
		t.Errorf("the nack of an old copy gave away what is leased anew: %v", again)
	}
}
