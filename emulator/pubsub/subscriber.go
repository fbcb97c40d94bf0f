package pubsub

import (
	"context"
	"io"
	"maps"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// pullWait bounds a unary pull that finds nothing, in real time; clients give up after a minute.
const pullWait = 10 * time.Second

// streamBatch bounds the messages of one streaming answer.
const streamBatch = 100

// subscriber is google.pubsub.v1.Subscriber.
type subscriber struct {
	pubsubpb.UnimplementedSubscriberServer
	b *Broker
}

func (s *subscriber) CreateSubscription(_ context.Context, req *pubsubpb.Subscription) (*pubsubpb.Subscription, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.subs[req.GetName()] != nil {
		return nil, status.Errorf(codes.AlreadyExists, "Resource already exists in the project (resource=%s).", req.Name)
	}
	sub, err := s.b.putSub(proto.CloneOf(req))
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(sub.pb), nil
}

func (s *subscriber) GetSubscription(_ context.Context, req *pubsubpb.GetSubscriptionRequest) (*pubsubpb.Subscription, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	sub, err := s.b.subscription(req.GetSubscription())
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(sub.pb), nil
}

func (s *subscriber) UpdateSubscription(_ context.Context, req *pubsubpb.UpdateSubscriptionRequest) (*pubsubpb.Subscription, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	sub, err := s.b.subscription(req.GetSubscription().GetName())
	if err != nil {
		return nil, err
	}
	pb := proto.CloneOf(sub.pb)
	err = applyMask(pb, proto.CloneOf(req.Subscription), req.UpdateMask,
		"name", "topic", "filter", "enable_message_ordering", "detached", "state")
	if err != nil {
		return nil, err
	}
	if _, err := s.b.putSub(pb); err != nil {
		return nil, err
	}
	return proto.CloneOf(pb), nil
}

func (s *subscriber) ListSubscriptions(_ context.Context, req *pubsubpb.ListSubscriptionsRequest) (*pubsubpb.ListSubscriptionsResponse, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	names, next := page(maps.Keys(s.b.subs), req.GetProject()+"/subscriptions/", req.GetPageSize(), req.GetPageToken())
	resp := &pubsubpb.ListSubscriptionsResponse{NextPageToken: next}
	for _, name := range names {
		resp.Subscriptions = append(resp.Subscriptions, proto.CloneOf(s.b.subs[name].pb))
	}
	return resp, nil
}

func (s *subscriber) DeleteSubscription(_ context.Context, req *pubsubpb.DeleteSubscriptionRequest) (*emptypb.Empty, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return &emptypb.Empty{}, s.b.deleteSub(req.GetSubscription())
}

func (s *subscriber) ModifyPushConfig(_ context.Context, req *pubsubpb.ModifyPushConfigRequest) (*emptypb.Empty, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	sub, err := s.b.subscription(req.GetSubscription())
	if err != nil {
		return nil, err
	}
	pb := proto.CloneOf(sub.pb)
	pb.PushConfig = proto.CloneOf(req.PushConfig)
	_, err = s.b.putSub(pb)
	return &emptypb.Empty{}, err
}

// locked runs f on an existing subscription under the broker's mu.
func (s *subscriber) locked(name string, f func(*subscription)) (*emptypb.Empty, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.closed {
		return nil, status.Error(codes.Unavailable, errClosed.Error())
	}
	sub, err := s.b.subscription(name)
	if err != nil {
		return nil, err
	}
	f(sub)
	return &emptypb.Empty{}, nil
}

func (s *subscriber) Acknowledge(_ context.Context, req *pubsubpb.AcknowledgeRequest) (*emptypb.Empty, error) {
	return s.locked(req.GetSubscription(), func(sub *subscription) { sub.ack(req.AckIds) })
}

func (s *subscriber) ModifyAckDeadline(_ context.Context, req *pubsubpb.ModifyAckDeadlineRequest) (*emptypb.Empty, error) {
	if d := req.GetAckDeadlineSeconds(); d < 0 || d > 600 {
		return nil, invalid("ack_deadline_seconds must be 0 to 600, not %d", d)
	}
	return s.locked(req.GetSubscription(), func(sub *subscription) {
		sub.modify(req.AckIds, time.Duration(req.AckDeadlineSeconds)*time.Second)
	})
}

func (s *subscriber) Pull(ctx context.Context, req *pubsubpb.PullRequest) (*pubsubpb.PullResponse, error) {
	if req.GetMaxMessages() <= 0 {
		return nil, invalid("max_messages must be positive")
	}
	f := &flow{}
	sub, err := s.open(req.GetSubscription(), f)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pullWait)
	defer cancel()
	//lint:ignore SA1019 clients still send it
	if req.ReturnImmediately {
		cancel()
	}
	got, err := sub.await(ctx, int(req.MaxMessages), f, nil)
	if err != nil {
		return nil, err
	}
	return &pubsubpb.PullResponse{ReceivedMessages: got}, nil
}

// open finds a subscription that may be pulled and gives f its ack deadline where f has none.
func (s *subscriber) open(name string, f *flow) (*subscription, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	sub, err := s.b.subscription(name)
	if err != nil {
		return nil, err
	}
	if f.deadline == 0 {
		f.deadline = sub.ackDeadline()
	}
	return sub, sub.mayPull()
}

// StreamingPull sends messages as they come, up to the client's limits, and answers each request that only
// keeps the stream alive, because the client hangs up when it hears nothing.
func (s *subscriber) StreamingPull(stream pubsubpb.Subscriber_StreamingPullServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	f := &flow{
		maxMessages: int(first.MaxOutstandingMessages),
		maxBytes:    int(first.MaxOutstandingBytes),
		deadline:    time.Duration(first.StreamAckDeadlineSeconds) * time.Second,
	}
	sub, err := s.open(first.GetSubscription(), f)
	if err != nil {
		return err
	}
	ordered := sub.ordered()
	beat := make(chan struct{}, 1)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	go func() {
		ended <- s.receive(stream, sub, first, f, beat)
		cancel()
	}()
	for {
		got, err := sub.await(ctx, streamBatch, f, beat)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			select {
			case err := <-ended:
				return err
			default:
				return status.FromContextError(ctx.Err()).Err()
			}
		}
		if err := stream.Send(answer(got, ordered)); err != nil {
			return err
		}
	}
}

func answer(got []*pubsubpb.ReceivedMessage, ordered bool) *pubsubpb.StreamingPullResponse {
	return &pubsubpb.StreamingPullResponse{
		ReceivedMessages:       got,
		SubscriptionProperties: &pubsubpb.StreamingPullResponse_SubscriptionProperties{MessageOrderingEnabled: ordered},
	}
}

// ordered does not change while streams are open, but what it is read from is replaced.
func (s *subscription) ordered() bool {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.pb.EnableMessageOrdering
}

// receive carries out a stream's requests until its client hangs up.
func (s *subscriber) receive(stream pubsubpb.Subscriber_StreamingPullServer, sub *subscription, req *pubsubpb.StreamingPullRequest, f *flow, beat chan<- struct{}) error {
	for {
		if len(req.ModifyDeadlineSeconds) != len(req.ModifyDeadlineAckIds) {
			return invalid("modify_deadline_seconds and modify_deadline_ack_ids differ in length")
		}
		s.b.mu.Lock()
		if d := req.StreamAckDeadlineSeconds; d > 0 {
			f.deadline = time.Duration(d) * time.Second
		}
		sub.ack(req.AckIds)
		for i, id := range req.ModifyDeadlineAckIds {
			sub.modify([]string{id}, time.Duration(req.ModifyDeadlineSeconds[i])*time.Second)
		}
		s.b.mu.Unlock()
		select {
		case beat <- struct{}{}:
		default:
		}
		var err error
		if req, err = stream.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
