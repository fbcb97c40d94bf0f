package zendesk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

const violationCode = "ContractViolation"

// contract checks requests against the OpenAPI file. A nil contract accepts everything.
type contract struct {
	doc    *openapi3.T
	routes map[string]*routers.Route // by "METHOD path"
}

func newContract(doc *openapi3.T) *contract {
	c := &contract{doc: doc, routes: map[string]*routers.Route{}}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			c.routes[method+" "+path] = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
		}
	}
	return c
}

// bodySchemas are the bodies that the file leaves out, by operation: where they stand and the schema they follow.
var bodySchemas = map[string][]struct {
	property, schema string
	list             bool
}{
	"TicketsUpdateMany": {{"ticket", "TicketUpdateInput", false}, {"tickets", "TicketUpdateInput", true}},
	"CreateTicketField": {{"ticket_field", "TicketFieldObject", false}},
}

// check returns a 400 that names the field which breaks the contract.
func (c *contract) check(op operation, r *http.Request, body []byte) error {
	if c == nil {
		return nil
	}
	route := c.routes[op.method+" "+apiRoot+op.path]
	if route == nil { // served, but not in the file
		return nil
	}
	err := c.checkRoute(route, r, body)
	if err == nil {
		err = c.checkUnlisted(op.id, body)
	}
	if err != nil {
		return badRequest(violationCode, describe(err))
	}
	return nil
}

func (c *contract) checkRoute(route *routers.Route, r *http.Request, body []byte) error {
	params := map[string]string{}
	for _, part := range strings.Split(route.Path, "/") {
		if name, found := strings.CutPrefix(part, "{"); found {
			name = strings.TrimSuffix(name, "}")
			params[name] = r.PathValue(name)
		}
	}
	clone := r.Clone(context.WithoutCancel(r.Context()))
	clone.Body = io.NopCloser(bytes.NewReader(body))
	return openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: clone, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true},
	})
}

func (c *contract) checkUnlisted(op string, body []byte) error {
	if len(bodySchemas[op]) == 0 {
		return nil
	}
	var props map[string]any
	if err := json.Unmarshal(body, &props); err != nil {
		return err
	}
	for _, b := range bodySchemas[op] {
		values := []any{props[b.property]}
		if b.list {
			values, _ = props[b.property].([]any)
		}
		for i, v := range values {
			if v == nil {
				continue
			}
			if err := c.doc.Components.Schemas[b.schema].Value.VisitJSON(v, openapi3.VisitAsRequest()); err != nil {
				return fmt.Errorf("%s[%d]: %w", b.property, i, err)
			}
		}
	}
	return nil
}

// describe names the field and the reason without the schema's text, which the library prints in full.
func describe(err error) string {
	var schema *openapi3.SchemaError
	var request *openapi3filter.RequestError
	switch {
	case errors.As(err, &schema):
		for inner := schema; errors.As(schema.Unwrap(), &inner); { // an allOf or anyOf wraps the reason
			schema = inner
		}
		return strings.Join(schema.JSONPointer(), ".") + ": " + schema.Reason
	case errors.As(err, &request) && request.Parameter != nil:
		return request.Parameter.Name + ": " + request.Reason
	}
	return err.Error()
}
