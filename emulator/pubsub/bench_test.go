package pubsub

import (
	"net/http"
	"net/http/httptest"
	"testing"

	client "cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"emailchannel.dev/emailchannel/emulator/clock"
)

// BenchmarkPush publishes with the official client and pushes to a trivial handler, with a journal.
func BenchmarkPush(bm *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	b := open(bm, Options{Clock: clock.New(), Dir: bm.TempDir()})
	setup(bm, b, &pubsubpb.Subscription{PushConfig: &pubsubpb.PushConfig{PushEndpoint: srv.URL}})
	c := dial(bm, b)
	p := c.Publisher(topicA)
	defer p.Stop()
	ctx := bm.Context()
	data := make([]byte, 300)
	bm.ReportAllocs()
	results := make([]*client.PublishResult, 0, bm.N)
	bm.ResetTimer()
	for range bm.N { // not Loop, which stops the time before the deliveries have ended
		results = append(results, p.Publish(ctx, &client.Message{Data: data, Attributes: map[string]string{"type": "mail"}}))
	}
	for _, r := range results {
		if _, err := r.Get(ctx); err != nil {
			bm.Fatal(err)
		}
	}
	if err := b.WaitIdle(ctx); err != nil {
		bm.Fatal(err)
	}
	bm.ReportMetric(float64(bm.N)/bm.Elapsed().Seconds(), "messages/s")
}
