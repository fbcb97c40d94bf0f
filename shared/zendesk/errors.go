package zendesk

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ErrBadCredentials is returned when the account refuses the e-mail address and token, or takes them for nobody's.
var ErrBadCredentials = errors.New("zendesk: the account refuses this user and token")

// APIError is an answer of 3xx, 4xx or 5xx, or a call that was held back (Code "NotSent") because the answer would be 429.
type APIError struct {
	Status      int                 // HTTP status
	Code        string              // "error" of the answer, e.g. "RecordInvalid"
	Description string              // "description" of the answer
	Details     map[string][]string // descriptions by field
	RetryAfter  time.Duration       // how long to wait, 0 when the server did not say
}

// Error is the status and the server's words.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", e.Status, e.Code)
	if e.Description != "" {
		b.WriteString(": " + e.Description)
	}
	for _, field := range slices.Sorted(maps.Keys(e.Details)) {
		fmt.Fprintf(&b, "; %s: %s", field, strings.Join(e.Details[field], ", "))
	}
	return b.String()
}

// Temporary tells whether the same call may succeed later: 429, 409 (somebody else changed the ticket), 408, 5xx.
func (e *APIError) Temporary() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusConflict, http.StatusRequestTimeout:
		return true
	}
	return e.Status >= 500
}

// ofContent tells whether the answer is about what the request says, and not about the account or its user.
func (e *APIError) ofContent() bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// gone tells whether what the URL names is not there. A subdomain that is nobody's answers 404, too, in other words.
func gone(err error) bool {
	var api *APIError
	return errors.As(err, &api) && api.Status == http.StatusNotFound && api.Code == "RecordNotFound"
}

// Is makes a 401 match ErrBadCredentials.
func (e *APIError) Is(target error) bool {
	return target == ErrBadCredentials && e.Status == http.StatusUnauthorized
}

// Temporary tells whether a call that failed with err may succeed later. What was never answered is temporary.
// A malformed request or answer is not: it will be the same again.
func Temporary(err error) bool {
	var api *APIError
	if errors.As(err, &api) {
		return api.Temporary()
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	for _, permanent := range []error{ErrBadCredentials, ErrAnswerTooLarge, ErrCommentTooLarge, ErrTooMany, ErrUploadTooLarge, ErrNoName, ErrBatchTags} {
		if errors.Is(err, permanent) {
			return false
		}
	}
	return err != nil && !errors.As(err, &syntax) && !errors.As(err, &kind)
}

// refusal reads an error answer. Zendesk has two shapes of "error": a string, and an object with title and message.
func (c *Client) refusal(resp *http.Response, body []byte) error {
	e := &APIError{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, c.gate.now())}
	var answer struct {
		Error       json.RawMessage `json:"error"`
		Description string          `json:"description"`
		Details     json.RawMessage `json:"details"`
	}
	// A proxy answers HTML: the status alone has to do then.
	if json.Unmarshal(body, &answer) == nil {
		e.Description = clip(answer.Description)
		e.Details = details(answer.Details)
		var object struct{ Title, Message string }
		if json.Unmarshal(answer.Error, &e.Code) != nil && json.Unmarshal(answer.Error, &object) == nil {
			e.Code, e.Description = object.Title, clip(object.Message)
		}
	}
	e.Code = clip(e.Code)
	if e.Code == "" {
		e.Code = http.StatusText(e.Status)
	}
	return e
}

func details(raw json.RawMessage) map[string][]string {
	var fields map[string][]struct {
		Description string `json:"description"`
	}
	if json.Unmarshal(raw, &fields) != nil || len(fields) == 0 {
		return nil
	}
	out := map[string][]string{}
	for field, list := range fields {
		for _, d := range list {
			out[field] = append(out[field], clip(d.Description))
		}
	}
	return out
}

// clip keeps a server's word short: it goes into logs and onto pages.
func clip(s string) string {
	const limit = 500
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
