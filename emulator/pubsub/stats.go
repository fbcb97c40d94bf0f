package pubsub

// Stats count since Open.
type Stats struct {
	Published     uint64 // messages
	Delivered     uint64 // pushes sent and messages pulled, repeats included
	Redelivered   uint64 // those of Delivered that were repeats
	Acked         uint64
	DeadLettered  uint64
	Topics        map[string]TopicStats
	Subscriptions map[string]SubscriptionStats
}

// TopicStats count one topic's messages.
type TopicStats struct{ Published uint64 }

// SubscriptionStats count one subscription's deliveries.
type SubscriptionStats struct {
	Delivered, Redelivered, Acked, DeadLettered uint64

	Pending   int    // not acknowledged yet, whatever their state
	Running   int    // pushes on their way
	LastError string // why the last failed push failed; empty once one succeeded
}

// Stats tells what the broker did and what it holds.
func (b *Broker) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := Stats{Topics: map[string]TopicStats{}, Subscriptions: map[string]SubscriptionStats{}}
	for name, t := range b.topics {
		st.Topics[name] = t.stats
		st.Published += t.stats.Published
	}
	for name, s := range b.subs {
		one := s.stats
		one.Pending, one.Running = s.pending, s.running
		st.Subscriptions[name] = one
		st.Delivered += one.Delivered
		st.Redelivered += one.Redelivered
		st.Acked += one.Acked
		st.DeadLettered += one.DeadLettered
	}
	return st
}
