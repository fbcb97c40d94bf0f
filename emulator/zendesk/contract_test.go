package zendesk

import (
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// needSpec skips the test where Zendesk's file is not there.
func needSpec(t testing.TB) string {
	t.Helper()
	path := specPath(t)
	if path == "" {
		t.Skip("Zendesk's OpenAPI file is not there")
	}
	return path
}

func TestContractViolations(t *testing.T) {
	f := start(t, Options{Spec: needSpec(t)})
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	tests := []struct{ name, method, path, body, field string }{
		{"no comment", "POST", "/api/v2/tickets", `{"ticket":{"subject":"x"}}`, "comment"},
		{"wrong type", "POST", "/api/v2/tickets", `{"ticket":{"assignee_id":"12","comment":{"body":"x"}}}`, "assignee_id"},
		{"not in the enumeration", "PUT", "/api/v2/tickets/1", `{"ticket":{"status":"asleep"}}`, "status"},
		{"read only", "PUT", "/api/v2/tickets/1", `{"ticket":{"comment":{"id":5,"body":"x"}}}`, "comment.id"},
		{"no date", "PUT", "/api/v2/tickets/1", `{"ticket":{"safe_update":true,"updated_stamp":"yesterday"}}`, "updated_stamp"},
		{"no number", "GET", "/api/v2/tickets/abc", "", "ticket_id"},
		{"missing query", "GET", "/api/v2/search", "", "query"},
		{"entry of a batch", "PUT", "/api/v2/tickets/update_many", `{"tickets":[{"id":1,"tags":"a"}]}`, "tags"},
		{"change of a batch", "PUT", "/api/v2/tickets/update_many?ids=1", `{"ticket":{"tags":"a"}}`, "tags"},
		{"field without title", "POST", "/api/v2/ticket_fields", `{"ticket_field":{"type":"text"}}`, "title"},
		{"no user", "POST", "/api/v2/users/create_or_update", `{}`, "user"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := f.must(400, tt.method, tt.path, tt.body)
			description, _ := r.at("description").(string)
			if r.at("error") != violationCode || !strings.Contains(description, tt.field) {
				t.Errorf("%s, want the field %s", r.body, tt.field)
			}
			if n := f.srv.Stats().Violations; n != i+1 {
				t.Errorf("%d violations counted, want %d", n, i+1)
			}
		})
	}
	if !f.srv.Stats().SpecChecked {
		t.Error("the file is said not to be in use")
	}
}

// Answers must follow the file too, or a client is tested against something that Zendesk never says. Null stands
// for "no value" in Zendesk's answers where the file does not allow it; nulls are dropped before.
func TestAnswersFollowTheContract(t *testing.T) {
	f := start(t, Options{Spec: needSpec(t)})
	f.must(201, "POST", "/api/v2/ticket_fields", `{"ticket_field":{"type":"text","title":"Queue"}}`)
	f.must(201, "POST", "/api/v2/tickets", simpleTicket)
	f.must(200, "PUT", "/api/v2/tickets/update_many?ids=1,9", `{"ticket":{"status":"open"}}`)
	doc := f.srv.contract.wait()
	tests := []struct{ method, path, spec, body string }{
		{"GET", "/tickets", "/tickets", ""},
		{"POST", "/tickets", "/tickets", simpleTicket},
		{"GET", "/tickets/1", "/tickets/{ticket_id}", ""},
		{"PUT", "/tickets/1", "/tickets/{ticket_id}", `{"ticket":{"tags":["a"]}}`},
		{"GET", "/tickets/show_many?ids=1", "/tickets/show_many", ""},
		{"PUT", "/tickets/update_many?ids=1", "/tickets/update_many", `{"ticket":{"status":"open"}}`},
		{"GET", "/tickets/1/comments", "/tickets/{ticket_id}/comments", ""},
		{"GET", "/tickets/1/tags", "/tickets/{ticket_id}/tags", ""},
		{"GET", "/search?query=type:ticket", "/search", ""},
		{"GET", "/users/search?query=agent", "/users/search", ""},
		{"GET", "/users/me", "/users/me", ""},
		{"POST", "/users/create_or_update", "/users/create_or_update", `{"user":{"name":"A","email":"a@example.org"}}`},
		{"POST", "/uploads?filename=x.txt", "/uploads", "x"},
		{"GET", "/ticket_fields", "/ticket_fields", ""},
	}
	for _, tt := range tests {
		r := f.do(tt.method, apiRoot+tt.path, tt.body)
		route := doc.routes[tt.method+" "+apiRoot+tt.spec]
		if route == nil {
			t.Errorf("%s is not in the file", tt.spec)
			continue
		}
		response := route.Operation.Responses.Status(r.status)
		if response == nil {
			t.Errorf("%s %s: %d is not in the file", tt.method, tt.path, r.status)
			continue
		}
		schema := response.Value.Content.Get("application/json").Schema.Value
		if err := schema.VisitJSON(withoutNulls(r.json), openapi3.VisitAsResponse()); err != nil {
			t.Errorf("%s %s: %s", tt.method, tt.path, describe(err))
		}
	}
}

func withoutNulls(v any) any {
	switch n := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, v := range n {
			if v != nil {
				out[k] = withoutNulls(v)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, v := range n {
			out = append(out, withoutNulls(v))
		}
		return out
	}
	return v
}

func TestWithoutContract(t *testing.T) {
	var said strings.Builder
	srv, err := Open(Options{Dir: t.TempDir(), Spec: "/nowhere.yaml", Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	if srv.Stats().SpecChecked {
		t.Error("a missing file is in use")
	}
	if n := strings.Count(said.String(), "not checked"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
}

func BenchmarkReadContract(b *testing.B) {
	path := needSpec(b)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	var kept *contract
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		if kept, err = readContract(path, servedPaths()); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB-kept")
	runtime.KeepAlive(kept)
}
