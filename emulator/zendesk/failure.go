package zendesk

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// failure is an answer of 4xx or 5xx in Zendesk's shape: error, description, details per field.
type failure struct {
	status      int
	code        string
	description string
	details     map[string][]detail
	retryAfter  time.Duration
}

type detail struct {
	Description string `json:"description"`
	Error       string `json:"error,omitempty"`
}

func (f *failure) Error() string { return f.code + ": " + f.description }

func notFound() error {
	return &failure{status: http.StatusNotFound, code: "RecordNotFound", description: "Not found"}
}

// invalid is the 422 of a record that breaks a rule of one field.
func invalid(field, description, code string) error {
	return &failure{
		status: http.StatusUnprocessableEntity, code: "RecordInvalid", description: "Record validation errors",
		details: map[string][]detail{field: {{Description: description, Error: code}}},
	}
}

func badRequest(code, description string) error {
	return &failure{status: http.StatusBadRequest, code: code, description: description}
}

func writeFailure(w http.ResponseWriter, f *failure) {
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(wholeSeconds(f.retryAfter)))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(f.status)
	body := map[string]any{"error": f.code}
	if f.description != "" {
		body["description"] = f.description
	}
	if len(f.details) > 0 {
		body["details"] = f.details
	}
	_ = json.NewEncoder(w).Encode(body) // the client is gone: nobody is left to tell
}

// wholeSeconds rounds up: a client that waits as long as told must not come too early.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
