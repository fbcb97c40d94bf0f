package suite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/emulator/faults"
	"emailchannel.dev/emailchannel/emulator/google"
	"emailchannel.dev/emailchannel/shared/channel"
)

// Limits are what a suite on Google's emulators does not do, in words for who
// starts it; none on our own. They were seen with version 0.8.20 of the Pub/Sub
// emulator.
func (s *Suite) Limits() []string {
	if !s.opt.Google {
		return nil
	}
	return []string{
		"Google's Pub/Sub emulator ignores filters (every function gets all events of its topic) and the retry policy (it retries after 1 to 3 s of real time, whatever this suite's clock says)",
		"Google's Firestore emulator asks for no composite index, ends no document by TTL and stamps real time",
		"nothing of the two is counted, delayed or made to fail: /_emulator/stats names them as not counted, /_emulator/faults refuses such rules",
	}
}

// errKeepsNothing refuses a data directory of which the database is missing.
var errKeepsNothing = errors.New("the emulators of Google keep nothing across restarts: leave out --google or --data")

// startGoogle runs Google's emulators on the ports that are meant for ours.
func (s *Suite) startGoogle(ctx context.Context) error {
	if !s.opt.Google {
		return nil
	}
	if !s.temporary {
		return errKeepsNothing
	}
	parts := []struct {
		part string
		e    google.Emulator
		addr string
	}{{"firestore", google.Firestore(), s.Addrs.Firestore}, {"pubsub", google.PubSub(), s.Addrs.PubSub}}
	procs, errs := make([]*google.Process, len(parts)), make([]error, len(parts))
	var wg sync.WaitGroup
	for i, p := range parts {
		s.listeners[p.part].Close() // the port was only kept until here
		wg.Go(func() { procs[i], errs[i] = google.Start(ctx, p.e, p.addr) })
	}
	wg.Wait()
	for _, p := range procs {
		if p != nil {
			s.closing(func() error { p.Stop(); return nil })
		}
	}
	return errors.Join(errs...)
}

// googleBroker is Google's Pub/Sub emulator as the suite uses it. What it holds
// it does not tell, so rest is a guess from what comes out of it.
type googleBroker struct {
	topics  pubsubpb.PublisherClient
	subs    pubsubpb.SubscriberClient
	now     func() time.Time
	docs    func() channel.Docs
	active  atomic.Int64 // nanoseconds of real time when something last went in or came out
	refused atomic.Int64 // the same of the last push that a function refused
}

// openGoogle connects to Google's broker.
func (s *Suite) openGoogle() error {
	conn, err := grpc.NewClient(s.Addrs.PubSub, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("pubsub: %w", err)
	}
	s.closing(conn.Close)
	s.google = &googleBroker{
		topics: pubsubpb.NewPublisherClient(conn), subs: pubsubpb.NewSubscriberClient(conn),
		now: s.Clock.Now, docs: func() channel.Docs { return s.Docs() },
	}
	s.broker = s.google
	return nil
}

// callWithin bounds a call of the broker.
const callWithin = 30 * time.Second

// EnsureTopic creates the topic; a broker that just started has none.
func (g *googleBroker) EnsureTopic(pb *pubsubpb.Topic) error {
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	_, err := g.topics.CreateTopic(ctx, pb)
	return err
}

// EnsureSubscription creates the subscription; a broker that just started has none.
func (g *googleBroker) EnsureSubscription(pb *pubsubpb.Subscription) error {
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	_, err := g.subs.CreateSubscription(ctx, pb)
	return err
}

// Publish sends one message.
func (g *googleBroker) Publish(ctx context.Context, topic string, data []byte, attrs map[string]string) error {
	g.touch()
	_, err := g.topics.Publish(ctx, &pubsubpb.PublishRequest{Topic: topic, Messages: []*pubsubpb.PubsubMessage{{Data: data, Attributes: attrs}}})
	return err
}

// Pause does nothing: the emulator cannot hold pushes back.
func (g *googleBroker) Pause(bool) {}

const (
	restFor  = time.Second     // without a call: nothing is on its way to a function
	retryFor = 5 * time.Second // without a refusal: nothing waits for a retry
	quietFor = 100 * time.Millisecond
)

func (g *googleBroker) touch() { g.active.Store(time.Now().UnixNano()) }

func since(at *atomic.Int64) time.Duration { return time.Since(time.Unix(0, at.Load())) }

// Idle reports that nothing came out of the broker for a while, that nothing is
// likely to be retried, and that the outboxes in the database are empty.
func (g *googleBroker) Idle() bool {
	if since(&g.active) < restFor || since(&g.refused) < retryFor {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	due := channel.Where{Field: "due", Op: "<=", Value: g.now()}
	for _, q := range []channel.Query{
		{Collection: "history", Group: true, Where: []channel.Where{due}},
		{Collection: "outbound", Where: []channel.Where{{Field: "state", Op: "==", Value: channel.Queued}, due}},
		{Collection: "crmops", Where: []channel.Where{{Field: "state", Op: "==", Value: channel.OpPending}, due}},
	} {
		if n, err := g.docs().Count(ctx, q, 1); err != nil || n > 0 {
			return false
		}
	}
	return true
}

// Quiet returns when nothing came out of the broker for a moment.
func (g *googleBroker) Quiet(ctx context.Context) error {
	for since(&g.active) < quietFor {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(quietFor / 4):
		}
	}
	return nil
}

// watch notes when functions are called and what they refuse.
func (g *googleBroker) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.touch()
		defer g.touch()
		seen := &watched{ResponseWriter: w}
		defer func() {
			if seen.status < 200 || seen.status > 299 { // or it was killed before an answer
				g.refused.Store(time.Now().UnixNano())
			}
		}()
		h.ServeHTTP(seen, r)
	})
}

// watched is a response of which the status is known.
type watched struct {
	http.ResponseWriter
	status int
}

func (w *watched) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the response.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// beyond tells why a fault cannot be had with Google's emulators; empty when it can.
func (s *Suite) beyond(r faults.Rule) string {
	switch {
	case !s.opt.Google:
		return ""
	case r.Deliver != "":
		return "deliver: Google's Pub/Sub emulator delivers as it pleases; start the suite without --google"
	case r.Fail == "firestore" || r.Fail == "pubsub":
		return "fail: " + r.Fail + " is Google's emulator, which this switch does not reach; start the suite without --google"
	}
	return ""
}
