package pubsub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// envelope is the body of a wrapped push: https://cloud.google.com/pubsub/docs/push#receive_push.
type envelope struct {
	Message         pushMessage `json:"message"`
	Subscription    string      `json:"subscription"`
	DeliveryAttempt int         `json:"deliveryAttempt,omitempty"`
}

// pushMessage has some fields under two names, as the cloud sends them.
type pushMessage struct {
	Attributes   map[string]string `json:"attributes,omitempty"`
	Data         []byte            `json:"data,omitempty"`
	MessageID    string            `json:"messageId"`
	MessageID2   string            `json:"message_id"`
	OrderingKey  string            `json:"orderingKey,omitempty"`
	PublishTime  string            `json:"publishTime"`
	PublishTime2 string            `json:"publish_time"`
}

// push is one attempt, with all that it needs while the broker is not locked.
type push struct {
	d        *delivery
	sub      string
	config   *pubsubpb.PushConfig
	attempt  int
	deadline time.Duration
	copies   int
	parallel bool // the copies may overlap
	dropAck  bool
	body     envelope
}

var (
	errAckDeadline = errors.New("ack deadline exceeded")
	errDropped     = errors.New("acknowledgement dropped by an injected fault")
)

// pushClient returns given, or a client fit for pushing, that does not follow redirects: to Pub/Sub they are
// failures.
func pushClient(given *http.Client, concurrency int) *http.Client {
	c := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 32 * concurrency, // all functions listen on one host
		IdleConnTimeout:     time.Minute,
	}}
	if given != nil {
		*c = *given
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// mayPush is asked under the broker's mu.
func (s *subscription) mayPush() bool {
	return s.isPush() && !s.gone && !s.pb.Detached && !s.b.paused && !s.b.closed
}

// pushAll is a worker: it pushes until nothing is ready.
func (s *subscription) pushAll() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	for s.mayPush() {
		d := s.next()
		if d == nil {
			break
		}
		p := s.newPush(d)
		s.b.mu.Unlock()
		err := s.b.send(p)
		s.b.mu.Lock()
		s.settle(p, err)
	}
	s.running--
	if s.running == 0 {
		s.b.notify()
	}
}

func (s *subscription) newPush(d *delivery) *push {
	pb := d.m.pb
	at := publishTime(pb)
	p := &push{
		d:        d,
		sub:      s.pb.Name,
		config:   s.pb.PushConfig,
		attempt:  d.failures + 1,
		deadline: s.ackDeadline(),
		copies:   1 + max(0, d.fault.Duplicate),
		parallel: !d.keyed,
		dropAck:  d.fault.DropAck,
		body: envelope{
			Subscription: s.pb.Name,
			Message: pushMessage{
				Attributes: pb.Attributes, Data: pb.Data, OrderingKey: pb.OrderingKey,
				MessageID: pb.MessageId, MessageID2: pb.MessageId, PublishTime: at, PublishTime2: at,
			},
		},
	}
	if s.pb.DeadLetterPolicy != nil { // only then does the cloud count
		p.body.DeliveryAttempt = p.attempt
	}
	s.sent(d, p.copies)
	return p
}

// settle draws the consequence of an attempt.
func (s *subscription) settle(p *push, err error) {
	if s.gone {
		return
	}
	if err == nil {
		s.stats.LastError = ""
		s.finish(p.d)
		return
	}
	s.stats.LastError = err.Error()
	s.fail(p.d, err.Error())
}

// send posts all copies. One success acknowledges the message.
func (b *Broker) send(p *push) error {
	body, err := json.Marshal(p.body)
	if err != nil {
		return fmt.Errorf("encode push: %w", err)
	}
	errs := make([]error, p.copies)
	var wg sync.WaitGroup
	for i := range errs {
		if p.parallel && p.copies > 1 {
			wg.Go(func() { errs[i] = b.post(p, body) })
		} else {
			errs[i] = b.post(p, body)
		}
	}
	wg.Wait()
	if p.dropAck {
		return errDropped
	}
	for _, err := range errs {
		if err == nil {
			return nil
		}
	}
	return errs[0]
}

func (b *Broker) post(p *push, body []byte) error {
	ctx, cancel := context.WithCancelCause(b.ctx)
	defer cancel(nil)
	timer := b.opt.Clock.AfterFunc(p.deadline, func() { cancel(errAckDeadline) })
	defer timer.Stop()

	req, err := b.request(ctx, p, body)
	if err != nil {
		return err
	}
	resp, err := b.opt.Client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("push: %w", err)
	}
	// Reading to the end lets the connection be used again.
	io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusProcessing, http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		return nil
	}
	return fmt.Errorf("push answered %s", resp.Status)
}

func (b *Broker) request(ctx context.Context, p *push, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.config.PushEndpoint, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	if b.opt.Header != nil {
		for k, v := range b.opt.Header(p.sub, p.attempt) {
			req.Header[http.CanonicalHeaderKey(k)] = v
		}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google)")
	if oidc := p.config.GetOidcToken(); oidc != nil {
		token, err := b.token(oidc.ServiceAccountEmail, oidc.Audience, p.config.PushEndpoint)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}
