// Package pubsub is the suite's Pub/Sub: a broker that the official client publishes to and pulls from over
// gRPC, and that pushes to HTTP endpoints as the cloud does.
//
// A message published to a topic becomes one delivery per subscription whose filter takes it. A delivery is
//
//	queued ─► ready ─► out ─► done                    (acknowledged)
//	            ▲       └──► waiting ─► ready         (failed: retry after the back-off)
//	            │       └──► done + a new message     (failed too often: dead letter)
//	            └─ head of its ordering key
//
// What holds:
//
//   - At least once. With a directory, a publish that was answered survives kill -9; an ack may be forgotten.
//   - With enable_message_ordering one delivery per key is out at a time, in publish order; one that failed
//     blocks its key until it is acknowledged or dead-lettered. Duplicates of it come one after the other.
//   - A failure is a nack, an ack deadline that passed, or an answer to a push other than 102, 200, 201, 202 or
//     204. The back-off doubles from the retry policy's minimum to its maximum, per message, without jitter.
//     Without a policy a pull is retried at once and a push after 100 ms to 60 s.
//   - Back-off, ack deadlines and injected delays run on the suite's clock. A push whose ack deadline passes is
//     cancelled and retried, as in the cloud: whoever moves the clock lets running pushes end first (Quiet).
//   - A push subscription has at most Options.Concurrency requests running.
//   - Nothing is kept for a topic without subscriptions, and nothing that all its subscriptions are done with.
//
// What the cloud does and this does not: retention (messages stay until acknowledged), seek, snapshots, schemas,
// exactly-once delivery, transforms, unwrapped push, export to BigQuery or Cloud Storage. Setting one of these
// is refused, except for retention times, which are only stored. Delivery attempts start anew after a restart.
package pubsub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"

	"emailchannel.dev/emailchannel/emulator/clock"
)

// Options configure a Broker. Only Clock is required.
type Options struct {
	// Dir keeps topics, subscriptions and messages across restarts; empty keeps them in memory.
	Dir   string
	Clock *clock.Clock
	// Client sends the pushes. It should keep Concurrency idle connections per host; the default one does.
	Client *http.Client
	// SignToken makes the OIDC token of a push whose configuration has an oidc_token. It is asked again after
	// five minutes. Without it such a push fails.
	SignToken func(email, audience string) (string, error)
	// Header returns extra headers for a push; it and its result may be nil. attempt counts from 1.
	Header func(sub string, attempt int) http.Header
	// Faults is asked once per delivery. It must not call the Broker.
	Faults func(sub string) Fault
	// Concurrency bounds the running requests of each push subscription; 0 means 16.
	Concurrency int
	// Paused opens the broker without pushing, until Pause(false): the endpoints of a stored subscription may
	// not listen yet.
	Paused bool
}

// Fault is what goes wrong with a delivery.
type Fault struct {
	Duplicate int           // deliver it so many times more
	Delay     time.Duration // hold it back, by the suite's clock
	Reorder   bool          // let those that are ready now go first; not where an ordering key forbids it
	DropAck   bool          // lose the subscriber's acknowledgement
}

// Broker holds topics and subscriptions. It is safe for concurrent use.
type Broker struct {
	opt    Options
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tokens tokenCache

	mu      sync.Mutex
	topics  map[string]*topic
	subs    map[string]*subscription
	byID    map[uint32]*subscription
	lastSub uint32
	lastSeq uint64
	live    map[uint64]*message // everything not yet done, by sequence number
	journal *journal            // nil without Dir
	paused  bool
	closed  bool
	changed chan struct{} // closed and replaced when waiting for Idle or Quiet may have an end
	work    sync.WaitGroup
}

var errClosed = errors.New("pubsub: broker is closed")

// Open starts a broker and, with a directory, restores what it held. Two brokers must not share a directory.
func Open(opt Options) (*Broker, error) {
	if opt.Clock == nil {
		return nil, errors.New("pubsub: Options.Clock is missing")
	}
	if opt.Concurrency <= 0 {
		opt.Concurrency = 16
	}
	opt.Client = pushClient(opt.Client, opt.Concurrency)
	b := &Broker{
		opt:     opt,
		topics:  map[string]*topic{},
		subs:    map[string]*subscription{},
		byID:    map[uint32]*subscription{},
		live:    map[uint64]*message{},
		paused:  opt.Paused,
		changed: make(chan struct{}),
		// Message IDs are unique across runs, even those without a directory.
		lastSeq: uint64(time.Now().UnixMicro()),
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if opt.Dir != "" {
		if err := b.restore(opt.Dir); err != nil {
			return nil, fmt.Errorf("pubsub: restore %s: %w", opt.Dir, err)
		}
	}
	return b, nil
}

// Register adds the Publisher and Subscriber services. The server should take messages of 20 MB
// (grpc.MaxRecvMsgSize), as the cloud's limit of 10 MB for a publish request does not count the framing.
func (b *Broker) Register(r grpc.ServiceRegistrar) {
	pubsubpb.RegisterPublisherServer(r, &publisher{b: b})
	pubsubpb.RegisterSubscriberServer(r, &subscriber{b: b})
}

// Close cancels running pushes and pulls, waits for them and closes the files.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	for _, s := range b.subs {
		s.wakePulls()
	}
	b.notify()
	b.mu.Unlock()
	b.cancel()
	b.work.Wait()
	b.opt.Client.CloseIdleConnections()

	b.mu.Lock()
	defer b.mu.Unlock()
	return b.journal.close()
}

// Pause stops or resumes pushing. Requests that run already run on.
func (b *Broker) Pause(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = on
	for _, s := range b.subs {
		s.dispatch()
	}
}

// Idle reports that no push subscription has anything queued, running or waiting for a retry. Pull
// subscriptions do not count: nobody may ever pull.
func (b *Broker) Idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.idle()
}

func (b *Broker) idle() bool {
	for _, s := range b.subs {
		if s.running > 0 || s.isPush() && s.pending > 0 {
			return false
		}
	}
	return true
}

// WaitIdle returns when the broker is Idle, or with the context's error.
func (b *Broker) WaitIdle(ctx context.Context) error { return b.wait(ctx, b.idle) }

// Quiet returns when no push runs or could run at this moment of the suite's clock: what waits for a retry does
// not count. It is what clock.Settle should wait for.
func (b *Broker) Quiet(ctx context.Context) error {
	return b.wait(ctx, func() bool {
		for _, s := range b.subs {
			if s.running > 0 || s.isPush() && !b.paused && s.ready.len() > 0 {
				return false
			}
		}
		return true
	})
}

func (b *Broker) wait(ctx context.Context, done func() bool) error {
	for {
		b.mu.Lock()
		ok, closed, changed := done(), b.closed, b.changed
		b.mu.Unlock()
		if ok {
			return nil
		}
		if closed {
			return errClosed
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// notify wakes those who wait for Idle or Quiet. b.mu is held.
func (b *Broker) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}
