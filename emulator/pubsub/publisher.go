package pubsub

import (
	"context"
	"maps"
	"slices"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// publisher is google.pubsub.v1.Publisher.
type publisher struct {
	pubsubpb.UnimplementedPublisherServer
	b *Broker
}

func (p *publisher) CreateTopic(_ context.Context, req *pubsubpb.Topic) (*pubsubpb.Topic, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	if p.b.topics[req.GetName()] != nil {
		return nil, status.Errorf(codes.AlreadyExists, "Resource already exists in the project (resource=%s).", req.Name)
	}
	if err := p.b.putTopic(proto.CloneOf(req)); err != nil {
		return nil, err
	}
	return proto.CloneOf(p.b.topics[req.Name].pb), nil
}

func (p *publisher) UpdateTopic(_ context.Context, req *pubsubpb.UpdateTopicRequest) (*pubsubpb.Topic, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	t, err := p.b.topic(req.GetTopic().GetName())
	if err != nil {
		return nil, err
	}
	pb := proto.CloneOf(t.pb)
	if err := applyMask(pb, proto.CloneOf(req.Topic), req.UpdateMask, "name", "state"); err != nil {
		return nil, err
	}
	if err := p.b.putTopic(pb); err != nil {
		return nil, err
	}
	return proto.CloneOf(pb), nil
}

func (p *publisher) Publish(_ context.Context, req *pubsubpb.PublishRequest) (*pubsubpb.PublishResponse, error) {
	ids, err := p.b.publish(req.GetTopic(), req.GetMessages())
	if err != nil {
		return nil, err
	}
	return &pubsubpb.PublishResponse{MessageIds: ids}, nil
}

func (p *publisher) GetTopic(_ context.Context, req *pubsubpb.GetTopicRequest) (*pubsubpb.Topic, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	t, err := p.b.topic(req.GetTopic())
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(t.pb), nil
}

func (p *publisher) ListTopics(_ context.Context, req *pubsubpb.ListTopicsRequest) (*pubsubpb.ListTopicsResponse, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	names, next := page(maps.Keys(p.b.topics), req.GetProject()+"/topics/", req.GetPageSize(), req.GetPageToken())
	resp := &pubsubpb.ListTopicsResponse{NextPageToken: next}
	for _, name := range names {
		resp.Topics = append(resp.Topics, proto.CloneOf(p.b.topics[name].pb))
	}
	return resp, nil
}

func (p *publisher) ListTopicSubscriptions(_ context.Context, req *pubsubpb.ListTopicSubscriptionsRequest) (*pubsubpb.ListTopicSubscriptionsResponse, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	t, err := p.b.topic(req.GetTopic())
	if err != nil {
		return nil, err
	}
	var all []string
	for _, s := range t.subs {
		all = append(all, s.pb.Name)
	}
	names, next := page(slices.Values(all), "", req.GetPageSize(), req.GetPageToken())
	return &pubsubpb.ListTopicSubscriptionsResponse{Subscriptions: names, NextPageToken: next}, nil
}

func (p *publisher) DeleteTopic(_ context.Context, req *pubsubpb.DeleteTopicRequest) (*emptypb.Empty, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return &emptypb.Empty{}, p.b.deleteTopic(req.GetTopic())
}

func (p *publisher) DetachSubscription(_ context.Context, req *pubsubpb.DetachSubscriptionRequest) (*pubsubpb.DetachSubscriptionResponse, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return &pubsubpb.DetachSubscriptionResponse{}, p.b.detach(req.GetSubscription())
}
