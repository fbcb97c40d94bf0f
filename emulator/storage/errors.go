package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// apiError is an answer other than success, in the form of
// https://cloud.google.com/storage/docs/json_api/v1/status-codes.
type apiError struct {
	status int
	reason string
	text   string
}

func (e *apiError) Error() string {
	return fmt.Sprintf("storage: %d %s: %s", e.status, e.reason, e.text)
}

func errorf(status int, reason, format string, args ...any) error {
	return &apiError{status, reason, fmt.Sprintf(format, args...)}
}

func isStatus(err error, status int) bool {
	var e *apiError
	return errors.As(err, &e) && e.status == status
}

func notFound(format string, args ...any) error {
	return errorf(http.StatusNotFound, "notFound", format, args...)
}

func badRequest(format string, args ...any) error {
	return errorf(http.StatusBadRequest, "invalid", format, args...)
}

func writeError(w http.ResponseWriter, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{http.StatusInternalServerError, "backendError", err.Error()}
	}
	detail := map[string]any{"domain": "global", "reason": e.reason, "message": e.text}
	writeJSON(w, e.status, map[string]any{"error": map[string]any{
		"code": e.status, "message": e.text, "errors": []any{detail},
	}})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	w.Write(body) // a client that is gone is no matter of ours
}
