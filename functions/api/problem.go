package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"emailchannel.dev/emailchannel/shared/auth"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// problem is the answer to every request that fails (RFC 9457).
type problem struct {
	Type      string          `json:"type"`
	Title     string          `json:"title"`
	Status    int             `json:"status"`
	Detail    string          `json:"detail,omitempty"`
	Instance  string          `json:"instance,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
	Errors    []channel.Field `json:"errors,omitempty"`

	Changes []channel.Happened `json:"changes,omitempty"` // what happened since the version that the caller knows
}

// Types of problems: what a program tells apart beyond the status.
const (
	typeBlank      = "about:blank"
	typeInvalid    = "urn:emailchannel:problem:invalid"
	typeTransition = "urn:emailchannel:problem:invalid-transition"
	typeConflict   = "urn:emailchannel:problem:conflict"
	typeOutdated   = "urn:emailchannel:problem:outdated"
)

// problemOf makes the problem of an error. What is nobody's business stays in
// the log.
func problemOf(err error) problem {
	var bad *channel.Invalid
	var clash *channel.Conflict
	var old *channel.Outdated
	var refused *session.TransitionError
	var large *http.MaxBytesError
	var status *statusError
	switch {
	case errors.As(err, &status):
		return plain(status.code, status.detail)
	case errors.As(err, &large):
		return plain(http.StatusRequestEntityTooLarge, "the body has more bytes than this request may have")
	case errors.Is(err, errSyntax):
		return plain(http.StatusBadRequest, err.Error())
	case errors.As(err, &bad):
		return problem{Type: typeInvalid, Title: "Some fields are not valid", Status: http.StatusUnprocessableEntity, Detail: bad.Error(), Errors: bad.Fields}
	case errors.As(err, &refused):
		return problem{Type: typeTransition, Title: "The session's state does not allow that", Status: http.StatusConflict, Detail: err.Error()}
	case errors.As(err, &old):
		return problem{Type: typeOutdated, Title: "It is another version by now", Status: http.StatusPreconditionFailed, Detail: old.Error(), Changes: old.Since}
	case errors.As(err, &clash):
		return problem{Type: typeConflict, Title: "Things are not as this needs them", Status: http.StatusConflict, Detail: clash.Message}
	case errors.Is(err, channel.ErrNotFound):
		return plain(http.StatusNotFound, err.Error())
	case errors.Is(err, channel.ErrForbidden), errors.Is(err, auth.ErrForbidden):
		return plain(http.StatusForbidden, err.Error())
	case errors.Is(err, auth.ErrNoCredentials), errors.Is(err, auth.ErrInvalid):
		return plain(http.StatusUnauthorized, err.Error())
	}
	return plain(http.StatusInternalServerError, "try again; the log has the reason under the request ID")
}

func plain(status int, detail string) problem {
	return problem{Type: typeBlank, Title: http.StatusText(status), Status: status, Detail: detail}
}

// statusError is an error that is about HTTP itself.
type statusError struct {
	code   int
	detail string
}

func (e *statusError) Error() string { return e.detail }

// fail answers with a problem, and logs what is not the caller's fault. That a
// caller hung up is.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	p.Instance, p.RequestID = r.URL.Path, w.Header().Get(requestID)
	if gone := r.Context().Err() != nil && errors.Is(err, context.Canceled); p.Status >= http.StatusInternalServerError && !gone {
		slog.ErrorContext(r.Context(), "a request failed", "function", "api", "request", p.RequestID, "route", r.Pattern, "error", err)
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// notAllowed is the error of a path that exists with other methods, or of none.
func notAllowed(w http.ResponseWriter, r *http.Request, allowed []string) error {
	if len(allowed) == 0 {
		return &statusError{http.StatusNotFound, "there is nothing at this path"}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return &statusError{http.StatusMethodNotAllowed, r.Method + " is not possible here; " + strings.Join(allowed, ", ") + " is"}
}
