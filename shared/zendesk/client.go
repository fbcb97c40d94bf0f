package zendesk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/crm"
)

// Limits of the API.
const (
	MaxComment = crm.MaxComment // bytes of a comment's text
	MaxUpload  = 50 << 20       // bytes of a file
	MaxBatch   = 100            // tickets of an UpdateMany
)

// maxAnswer bounds what is read of an answer, after decompression: a page of 50 comments of 64 KB, three times
// over (body, html_body, plain_body), stays below it.
const maxAnswer = 16 << 20

// ErrAnswerTooLarge is returned when the server's answer has no reasonable end.
var ErrAnswerTooLarge = errors.New("zendesk: answer is too large")

// Config of a Client. BaseURL and Token are required.
type Config struct {
	BaseURL    string           // "https://acme.zendesk.com", without /api/v2
	Email      string           // of the agent whom the API token acts for; "" makes Token an OAuth access token
	Token      string           // API token, or OAuth access token
	HTTPClient *http.Client     // nil is NewHTTPClient
	Now        func() time.Time // nil is time.Now
}

// Client calls the API of one account. It may be used from several goroutines.
type Client struct {
	root string
	auth func(*http.Request)
	http *http.Client
	gate gate
}

// NewHTTPClient returns the HTTP client that suits one API host: connections are kept and reused, a server that
// never begins to answer is given up (the context bounds the rest), and a redirect is not followed, as it would carry the credentials elsewhere.
func NewHTTPClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 16
	t.IdleConnTimeout = 90 * time.Second
	t.ResponseHeaderTimeout = 30 * time.Second
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// New returns a client. It makes no call; Verify does.
func New(c Config) *Client {
	client := &Client{root: strings.TrimSuffix(c.BaseURL, "/") + "/api/v2", http: c.HTTPClient}
	client.gate.now = c.Now
	if client.gate.now == nil {
		client.gate.now = time.Now
	}
	if client.http == nil {
		client.http = NewHTTPClient()
	}
	client.auth = func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+c.Token) }
	if c.Email != "" {
		client.auth = func(r *http.Request) { r.SetBasicAuth(c.Email+"/token", c.Token) }
	}
	return client
}

// request is one call: name is the operation's name in errors.
type request struct {
	name, method, path string
	query              url.Values
	header             map[string]string
	in                 any       // sent as JSON
	raw                io.Reader // sent as it is, instead of in
	size               int64     // of raw, 0 when not known
	out                any       // filled from the JSON answer
}

// do sends the request and fills out; the error, if any, names the operation once.
func (c *Client) do(ctx context.Context, r request) error {
	if err := c.try(ctx, r); err != nil {
		return fmt.Errorf("zendesk %s: %w", r.name, err)
	}
	return nil
}

func (c *Client) try(ctx context.Context, r request) error {
	if err := c.gate.check(); err != nil {
		return err
	}
	req, err := c.build(ctx, r)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer drain(resp.Body)
	c.gate.learn(resp)
	body, err := readBounded(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return c.refusal(resp, body)
	}
	if r.out == nil {
		return nil
	}
	if err := json.Unmarshal(body, r.out); err != nil {
		return fmt.Errorf("answer is not the JSON expected: %w", err)
	}
	return nil
}

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	body := r.raw
	if r.in != nil {
		b, err := json.Marshal(r.in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	target := c.root + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, withoutURL(err)
	}
	if r.size > 0 {
		req.ContentLength = r.size
	}
	req.Header.Set("Accept", "application/json")
	if r.in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	c.auth(req)
	return req, nil
}

func readBounded(body io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(b) > maxAnswer {
		return nil, ErrAnswerTooLarge
	}
	return b, nil
}

// drain reads a little of what is left, so that the connection can be used again.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10)
	_ = body.Close()
}

// withoutURL keeps the query out of errors and logs: it may hold an address.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
