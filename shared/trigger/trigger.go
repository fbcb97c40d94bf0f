// Package trigger is the edge of every function: it decodes the request that a
// push subscription, Cloud Scheduler or a CloudEvents source makes, and turns
// the result into an acknowledgement or a retry.
//
//   - nil: acknowledged (204).
//   - a permanent error ([fault.Permanent]): logged, then acknowledged, because
//     no redelivery can cure it; the use case has stored what people must see.
//   - data that is not the event's JSON: as any other error, below; it ends
//     among the dead letters too.
//   - a request that is no envelope: 400, logged. Pub/Sub tries again and
//     finally moves it to the dead letters, where it is found.
//   - any other error: logged, then 503, which Pub/Sub redelivers with back-off.
package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
)

// Delivery is one message as a function gets it.
type Delivery struct {
	event.Message
	ID           string
	Subscription string // its ID, without the project
	Attempt      int    // from 1; also 1 where the subscription does not count
}

// JSON decodes the event of a delivery. What cannot be decoded is stored nowhere
// yet, so the error is no permanent one: the code that can read it may come, or
// the message ends among the dead letters, where it is found.
func JSON[T any](d Delivery) (T, error) {
	var v T
	if err := json.Unmarshal(d.Data, &v); err != nil {
		return v, fmt.Errorf("message %s: %w", d.ID, err)
	}
	return v, nil
}

// Each makes of a use case for one kind of event a consumer of deliveries.
func Each[E any](handle func(context.Context, E) error) func(context.Context, Delivery) error {
	return func(ctx context.Context, d Delivery) error {
		e, err := JSON[E](d)
		if err != nil {
			return err
		}
		return handle(ctx, e)
	}
}

// maxBody is larger than any envelope: events carry pointers.
const maxBody = 1 << 20

// Push makes a handler of a function that takes deliveries.
func Push(name string, handle func(context.Context, Delivery) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := decode(http.MaxBytesReader(w, r.Body, maxBody), r.Header)
		if err != nil {
			slog.ErrorContext(r.Context(), "not an envelope", "function", name, "error", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if status, msg := outcome(r.Context(), name, d, handle(r.Context(), d)); status != http.StatusNoContent {
			http.Error(w, msg, status)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// outcome logs once and decides between acknowledgement and retry.
func outcome(ctx context.Context, name string, d Delivery, err error) (int, string) {
	log := slog.With("function", name, "message", d.ID, "subscription", d.Subscription, "attempt", d.Attempt)
	switch {
	case err == nil:
		return http.StatusNoContent, ""
	case fault.IsPermanent(err):
		log.ErrorContext(ctx, "failed for good", "error", err)
		return http.StatusNoContent, ""
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return http.StatusServiceUnavailable, "interrupted"
	}
	log.WarnContext(ctx, "will be tried again", "error", err)
	return http.StatusServiceUnavailable, "try again"
}

// envelope is the wrapped form of https://cloud.google.com/pubsub/docs/push.
// A CloudEvent of type google.cloud.pubsub.topic.v1.messagePublished has the
// same body; in binary mode its envelope is in the headers.
type envelope struct {
	Message *struct {
		Data        []byte            `json:"data"`
		Attributes  map[string]string `json:"attributes"`
		MessageID   string            `json:"messageId"`
		OrderingKey string            `json:"orderingKey"`
	} `json:"message"`
	Subscription    string `json:"subscription"`
	DeliveryAttempt int    `json:"deliveryAttempt"`
}

func decode(body io.Reader, h http.Header) (Delivery, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return Delivery{}, fmt.Errorf("read the envelope: %w", err)
	}
	if strings.HasPrefix(h.Get("Content-Type"), "application/cloudevents+json") {
		var ce struct {
			Data json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(raw, &ce); err != nil {
			return Delivery{}, fmt.Errorf("decode the CloudEvent: %w", err)
		}
		raw = ce.Data
	}
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return Delivery{}, fmt.Errorf("decode the envelope: %w", err)
	}
	if e.Message == nil {
		return Delivery{}, errors.New("the envelope has no message")
	}
	d := Delivery{ID: e.Message.MessageID, Attempt: max(e.DeliveryAttempt, 1)}
	d.Data, d.Attributes, d.Key = e.Message.Data, e.Message.Attributes, e.Message.OrderingKey
	d.Subscription = e.Subscription[strings.LastIndexByte(e.Subscription, '/')+1:]
	if n, err := strconv.Atoi(d.Attributes["googclient_deliveryattempt"]); err == nil && e.DeliveryAttempt == 0 {
		d.Attempt = n
	}
	return d, nil
}

// Lazy makes a handler that builds itself at the first request and again after
// a failure, so that a dependency that was away at the start is not remembered
// as away.
func Lazy(build func(context.Context) (http.Handler, error)) http.HandlerFunc {
	var mu sync.Mutex
	var h http.Handler
	ready := func(ctx context.Context) (http.Handler, error) {
		mu.Lock()
		defer mu.Unlock()
		if h != nil {
			return h, nil
		}
		built, err := build(context.WithoutCancel(ctx))
		if err == nil {
			h = built
		}
		return built, err
	}
	return func(w http.ResponseWriter, r *http.Request) {
		handler, err := ready(r.Context())
		if err != nil {
			slog.ErrorContext(r.Context(), "the function cannot start", "error", err)
			http.Error(w, "the function cannot start", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}
}
