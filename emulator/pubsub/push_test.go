package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/types/known/durationpb"
)

func seconds(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Second) }

func TestPushEnvelope(t *testing.T) {
	clk := frozen()
	e := newEndpoint(t, nil)
	signed := 0
	b := open(t, Options{
		Clock: clk,
		SignToken: func(email, audience string) (string, error) {
			signed++
			return email + "|" + audience, nil
		},
		Header: func(sub string, attempt int) http.Header {
			return http.Header{"X-Test": {fmt.Sprint(sub, attempt)}}
		},
	})
	config := e.push()
	config.AuthenticationMethod = &pubsubpb.PushConfig_OidcToken_{OidcToken: &pubsubpb.PushConfig_OidcToken{ServiceAccountEmail: "sa@p"}}
	setup(t, b, &pubsubpb.Subscription{PushConfig: config, DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: topicDLQ}})
	for range 2 {
		if _, err := b.publish(topicA, []*pubsubpb.PubsubMessage{{Data: []byte("hi"), Attributes: map[string]string{"a": "b"}, OrderingKey: "k"}}); err != nil {
			t.Fatal(err)
		}
	}
	waitIdle(t, b)
	if len(e.raw) != 2 || signed != 1 {
		t.Fatalf("%d pushes with %d signed tokens, want 2 with 1", len(e.raw), signed)
	}
	var got map[string]any
	if err := json.Unmarshal(e.raw[0], &got); err != nil {
		t.Fatal(err)
	}
	id := e.got[0].Message.MessageID
	at := clk.Now().Format(time.RFC3339Nano)
	want := map[string]any{
		"subscription": subA, "deliveryAttempt": 1.0,
		"message": map[string]any{
			"data": "aGk=", "attributes": map[string]any{"a": "b"}, "orderingKey": "k",
			"messageId": id, "message_id": id, "publishTime": at, "publish_time": at,
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("pushed %v\nwant %v", got, want)
	}
	h := e.header[0]
	if h.Get("Authorization") != "Bearer sa@p|"+config.PushEndpoint || h.Get("X-Test") != subA+"1" || h.Get("Content-Type") != "application/json" {
		t.Errorf("header %v", h)
	}
}

func TestPushAnswers(t *testing.T) {
	for code, ack := range map[int]bool{200: true, 201: true, 202: true, 204: true, 203: false, 302: false, 400: false, 429: false, 500: false} {
		e := newEndpoint(t, func(envelope) int { return code })
		b := open(t, Options{})
		setup(t, b, &pubsubpb.Subscription{PushConfig: e.push()})
		publishN(t, b, "", "x")
		quiet(t, b)
		if b.Idle() != ack {
			t.Errorf("%d: acknowledged = %v, want %v", code, b.Idle(), ack)
		}
		if b.Stats().Subscriptions[subA].LastError == "" != ack {
			t.Errorf("%d: last error %q", code, b.Stats().Subscriptions[subA].LastError)
		}
	}
}

func TestPushBackoffAndDeadLetter(t *testing.T) {
	clk := frozen()
	start := clk.Now()
	var at []time.Duration
	e := newEndpoint(t, func(envelope) int { at = append(at, clk.Now().Sub(start)); return 500 })
	b := open(t, Options{Clock: clk})
	clk.Settle(func() { quiet(t, b) })
	setup(t, b,
		&pubsubpb.Subscription{
			PushConfig: e.push(), RetryPolicy: &pubsubpb.RetryPolicy{MinimumBackoff: seconds(10), MaximumBackoff: seconds(60)},
			DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: topicDLQ, MaxDeliveryAttempts: 6},
		},
		&pubsubpb.Subscription{Name: subDLQ, Topic: topicDLQ})
	if err := b.Publish(within(t), topicA, []byte("x"), map[string]string{"a": "b"}); err != nil {
		t.Fatal(err)
	}
	clk.Advance(9 * time.Second)
	if b.Idle() {
		t.Error("idle while a retry waits")
	}
	clk.Advance(time.Hour)
	waitIdle(t, b) // the dead letter has no push subscription
	var want []time.Duration
	for _, s := range []int{0, 10, 30, 70, 130, 190} {
		want = append(want, time.Duration(s)*time.Second)
	}
	if !slices.Equal(at, want) {
		t.Errorf("attempts at %v, want %v", at, want)
	}
	if n := e.got[5].DeliveryAttempt; n != 6 {
		t.Errorf("last deliveryAttempt = %d", n)
	}
	c := dial(t, b)
	resp, err := c.SubscriptionAdminClient.Pull(within(t), &pubsubpb.PullRequest{Subscription: subDLQ, MaxMessages: 5})
	if err != nil || len(resp.ReceivedMessages) != 1 {
		t.Fatalf("dead letters: %v, %v", resp, err)
	}
	m := resp.ReceivedMessages[0].Message
	wantAttrs := map[string]string{
		"a": "b", attrDeliveryCount: "6", attrSubscription: "alpha-sub", attrProject: "p",
		attrPublishTime: start.Format("2006-01-02T15:04:05.000+00:00"),
		attrError:       "push answered 500 Internal Server Error",
	}
	if string(m.Data) != "x" || !reflect.DeepEqual(m.Attributes, wantAttrs) {
		t.Errorf("dead letter %q %v, want %v", m.Data, m.Attributes, wantAttrs)
	}
	st := b.Stats()
	if st.DeadLettered != 1 || st.Delivered != 7 || st.Redelivered != 5 || st.Topics[topicDLQ].Published != 1 {
		t.Errorf("stats %+v", st)
	}
}

// Every key sees its messages in order although the endpoint fails at random and deliveries are duplicated.
func TestPushOrderUnderFaults(t *testing.T) {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(1, 2))
	chance := func(p float64) bool { mu.Lock(); defer mu.Unlock(); return rnd.Float64() < p }
	running := map[string]int{}
	acked := map[string][]string{}
	clk := frozen()
	e := newEndpoint(t, nil)
	e.status = func(env envelope) int {
		key := env.Message.OrderingKey
		mu.Lock()
		running[key]++
		if running[key] > 1 {
			t.Errorf("two deliveries of %s at once", key)
		}
		mu.Unlock()
		fail := chance(0.3)
		mu.Lock()
		defer mu.Unlock()
		running[key]--
		if fail {
			return 503
		}
		data := string(env.Message.Data)
		if done := acked[key]; len(done) == 0 || done[len(done)-1] != data { // repeats come one after the other
			acked[key] = append(done, data)
		}
		return 204
	}
	b := open(t, Options{Clock: clk, Faults: func(string) Fault {
		f := Fault{Reorder: chance(0.2), DropAck: chance(0.1)}
		if chance(0.2) {
			f.Duplicate = 2
		}
		if chance(0.2) {
			f.Delay = time.Second
		}
		return f
	}})
	clk.Settle(func() { quiet(t, b) })
	setup(t, b, &pubsubpb.Subscription{PushConfig: e.push(), EnableMessageOrdering: true})
	want := map[string][]string{}
	for i := range 400 {
		key := fmt.Sprint("k", i%20)
		want[key] = append(want[key], fmt.Sprint(i))
		publishN(t, b, key, fmt.Sprint(i))
	}
	clk.Advance(24 * time.Hour)
	waitIdle(t, b)
	if !reflect.DeepEqual(acked, want) {
		t.Errorf("acknowledged %v\nwant %v", acked, want)
	}
	if len(b.live) != 0 || len(b.subs[subA].lanes) != 0 {
		t.Errorf("%d messages and %d lanes are still held", len(b.live), len(b.subs[subA].lanes))
	}
}

func TestFailedMessageBlocksItsKeyUntilDeadLettered(t *testing.T) {
	clk := frozen()
	e := newEndpoint(t, func(env envelope) int {
		if string(env.Message.Data) == "bad" {
			return 500
		}
		return 200
	})
	b := open(t, Options{Clock: clk})
	clk.Settle(func() { quiet(t, b) })
	setup(t, b, &pubsubpb.Subscription{
		PushConfig: e.push(), EnableMessageOrdering: true,
		DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: topicDLQ},
	})
	publishN(t, b, "k", "bad", "good")
	publishN(t, b, "l", "other")
	publishN(t, b, "", "unkeyed")
	quiet(t, b)
	if got := e.data(); slices.Contains(got, "good") || len(got) != 3 {
		t.Fatalf("before the dead letter: %v", got)
	}
	clk.Advance(time.Hour)
	waitIdle(t, b)
	if got := e.data(); got[len(got)-1] != "good" || len(got) != 8 {
		t.Errorf("pushed %v", got)
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		name    string
		faults  []Fault // of the first deliveries
		publish []string
		before  []string // pushed while the clock stands
		after   []string // pushed after it moved
	}{
		{"none", nil, []string{"a", "b"}, []string{"a", "b"}, nil},
		{"duplicate", []Fault{{Duplicate: 2}}, []string{"a", "b"}, []string{"a", "a", "a", "b"}, nil},
		{"delay", []Fault{{Delay: time.Minute}}, []string{"a", "b"}, []string{"b"}, []string{"a"}},
		{"reorder", []Fault{{Reorder: true}}, []string{"a", "b"}, []string{"b", "a"}, nil},
		{"reorder alone", []Fault{{Reorder: true}}, []string{"a"}, []string{"a"}, nil},
		{"drop ack", []Fault{{DropAck: true}}, []string{"a", "b"}, []string{"a", "b"}, []string{"a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clk := frozen()
			e := newEndpoint(t, nil)
			b := open(t, Options{Clock: clk, Concurrency: 1, Faults: func(sub string) Fault {
				if sub != subA || len(tt.faults) == 0 {
					return Fault{}
				}
				f := tt.faults[0]
				tt.faults = tt.faults[1:]
				return f
			}})
			clk.Settle(func() { quiet(t, b) })
			setup(t, b, &pubsubpb.Subscription{PushConfig: e.push()})
			publishN(t, b, "", tt.publish...)
			quiet(t, b)
			before := e.data()
			clk.Advance(time.Hour)
			waitIdle(t, b)
			after := e.data()[len(before):]
			if !slices.Equal(before, tt.before) || !slices.Equal(after, tt.after) {
				t.Errorf("pushed %v then %v, want %v then %v", before, after, tt.before, tt.after)
			}
		})
	}
}

func TestPushDeadlineAndConcurrency(t *testing.T) {
	clk := frozen()
	arrived := make(chan struct{}, 10)
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	b := open(t, Options{Clock: clk, Concurrency: 2})
	setup(t, b, &pubsubpb.Subscription{PushConfig: &pubsubpb.PushConfig{PushEndpoint: srv.URL}, AckDeadlineSeconds: 30})
	publishN(t, b, "", "a", "b", "c")
	<-arrived
	<-arrived
	if st := b.Stats().Subscriptions[subA]; st.Running != 2 || st.Delivered != 2 {
		t.Errorf("stats %+v, want two of three running", st)
	}
	clk.Advance(30 * time.Second) // cancels both; the third follows
	<-arrived
	close(release)
	quiet(t, b)
	if st := b.Stats().Subscriptions[subA]; st.Acked != 1 || st.Pending != 2 {
		t.Errorf("stats %+v, want the third acknowledged", st)
	}
	clk.Advance(time.Second)
	waitIdle(t, b)
}

func TestPushWithoutSignerFails(t *testing.T) {
	for name, sign := range map[string]func(string, string) (string, error){
		"missing": nil,
		"failing": func(string, string) (string, error) { return "", errors.New("no key") },
	} {
		e := newEndpoint(t, nil)
		b := open(t, Options{SignToken: sign})
		config := e.push()
		config.AuthenticationMethod = &pubsubpb.PushConfig_OidcToken_{OidcToken: &pubsubpb.PushConfig_OidcToken{}}
		setup(t, b, &pubsubpb.Subscription{PushConfig: config})
		publishN(t, b, "", "x")
		quiet(t, b)
		if st := b.Stats().Subscriptions[subA]; len(e.data()) != 0 || st.Pending != 1 || !strings.Contains(st.LastError, "token") {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

func TestPausedUntilEndpointsAreKnown(t *testing.T) {
	e := newEndpoint(t, nil)
	b := open(t, Options{Paused: true})
	setup(t, b, &pubsubpb.Subscription{PushConfig: &pubsubpb.PushConfig{PushEndpoint: "http://127.0.0.1:1/stale"}})
	publishN(t, b, "", "a", "b")
	if b.Idle() {
		t.Error("idle with two messages queued")
	}
	setup(t, b, &pubsubpb.Subscription{PushConfig: e.push()})
	b.Pause(false)
	waitIdle(t, b)
	if st := b.Stats(); len(e.data()) != 2 || st.Redelivered != 0 {
		t.Errorf("pushed %v, %+v", e.data(), st)
	}
}

func TestDeletedSubscriptionIsForgotten(t *testing.T) {
	e := newEndpoint(t, func(envelope) int { return 500 })
	b := open(t, Options{})
	setup(t, b, &pubsubpb.Subscription{PushConfig: e.push()}, &pubsubpb.Subscription{Name: subDLQ})
	publishN(t, b, "", "a", "b")
	quiet(t, b)
	b.mu.Lock()
	err := b.deleteSub(subA)
	b.mu.Unlock()
	if err != nil || !b.Idle() {
		t.Errorf("after the deletion: %v, idle %v", err, b.Idle())
	}
	b.mu.Lock()
	err = b.deleteSub(subDLQ)
	b.mu.Unlock()
	if err != nil || len(b.live) != 0 {
		t.Errorf("%v, %d messages are still held", err, len(b.live))
	}
}

func TestWaitEnds(t *testing.T) {
	e := newEndpoint(t, func(envelope) int { return 500 })
	b, err := Open(Options{Clock: frozen()})
	if err != nil {
		t.Fatal(err)
	}
	setup(t, b, &pubsubpb.Subscription{PushConfig: e.push()})
	publishN(t, b, "", "a")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.WaitIdle(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitIdle = %v", err)
	}
	ended := make(chan error)
	go func() { ended <- b.WaitIdle(context.Background()) }()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, errClosed) {
		t.Errorf("WaitIdle of a closed broker = %v", err)
	}
}
