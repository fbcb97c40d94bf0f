package scheduler

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
)

// call carries out the job's target for a tick.
func (s *Server) call(ctx context.Context, id string, pb *schedulerpb.Job, tick time.Time) error {
	if t := pb.GetPubsubTarget(); t != nil {
		if s.opt.Publish == nil {
			return errors.New("pubsub_target: Options.Publish is missing")
		}
		if err := s.opt.Publish(ctx, t.TopicName, t.Data, t.Attributes); err != nil {
			return fmt.Errorf("publish to %s: %w", t.TopicName, err)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pb.AttemptDeadline.AsDuration())
	defer cancel()
	return s.request(ctx, id, pb.GetHttpTarget(), tick)
}

// request sends what Cloud Scheduler sends; any 2xx is a success. See
// https://cloud.google.com/scheduler/docs/reference/rpc/google.cloud.scheduler.v1#httptarget.
func (s *Server) request(ctx context.Context, id string, t *schedulerpb.HttpTarget, tick time.Time) error {
	method := http.MethodPost
	if t.HttpMethod != schedulerpb.HttpMethod_HTTP_METHOD_UNSPECIFIED {
		method = t.HttpMethod.String()
	}
	req, err := http.NewRequestWithContext(ctx, method, t.Uri, bytes.NewReader(t.Body))
	if err != nil {
		return fmt.Errorf("http_target: %w", err)
	}
	if len(t.Body) > 0 {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	for k, v := range t.Headers {
		req.Header.Set(k, v)
	}
	req.Header.Set("User-Agent", "Google-Cloud-Scheduler")
	req.Header.Set("X-CloudScheduler", "true")
	req.Header.Set("X-CloudScheduler-JobName", id)
	req.Header.Set("X-CloudScheduler-ScheduleTime", tick.UTC().Format(time.RFC3339))
	if err := s.authorize(req, t); err != nil {
		return err
	}
	resp, err := s.opt.Client.Do(req)
	if err != nil {
		return fmt.Errorf("http_target: %w", err)
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, 64<<10) // lets the connection be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", t.Uri, resp.Status)
	}
	return nil
}

func (s *Server) authorize(req *http.Request, t *schedulerpb.HttpTarget) error {
	oidc := t.GetOidcToken()
	if oidc == nil {
		return nil
	}
	if s.opt.SignToken == nil {
		return errors.New("http_target with an oidc_token: Options.SignToken is missing")
	}
	token, err := s.opt.SignToken(oidc.ServiceAccountEmail, cmp.Or(oidc.Audience, t.Uri))
	if err != nil {
		return fmt.Errorf("sign token for %s: %w", oidc.ServiceAccountEmail, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}
