package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"emailchannel.dev/emailchannel/shared/auth"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/wire"
)

// Deps are what the API is made of.
type Deps struct {
	Desk    *channel.Desk
	Admin   *channel.Admin
	Storage *channel.AdminStorage
	Read    *channel.Read
	Erase   *channel.Erase
	Remail  *channel.Remail
	Auth    interface {
		Authenticate(*http.Request) (auth.Identity, error)
	}
}

// server serves the routes.
type server struct {
	Deps
	mux    *http.ServeMux
	origin *http.CrossOriginProtection
}

// New makes the API's handler.
func New(d Deps) http.Handler {
	s := &server{Deps: d, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection()}
	for _, rt := range s.routes() {
		s.mux.Handle(rt.method+" "+rt.path, s.serve(rt))
	}
	return s
}

// route is one row of the table in routes.go.
type route struct {
	method, path string
	roles        []auth.Role // who may; nobody need say who calls where it is nil
	status       int         // of success
	handle       func(*call) (any, error)
}

const requestID = "X-Request-Id"

var plainRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// ServeHTTP names the request and finds its route.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(requestID)
	if !plainRequestID.MatchString(id) {
		id = rand.Text()
	}
	h := w.Header()
	h.Set(requestID, id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if _, pattern := s.mux.Handler(r); pattern == "" {
		fail(w, r, notAllowed(w, r, s.allowed(r)))
		return
	}
	s.mux.ServeHTTP(w, r)
}

// allowed lists the methods that the path has.
func (s *server) allowed(r *http.Request) []string {
	var out []string
	for _, m := range methods {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := s.mux.Handler(other); pattern != "" {
			out = append(out, m)
		}
	}
	return out
}

// serve makes the handler of a route.
func (s *server) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				fail(w, r, fmt.Errorf("panic: %v", p))
			} else if p != nil {
				panic(p)
			}
		}()
		c := &call{w: w, r: r}
		v, err := s.result(c, rt)
		if err != nil {
			fail(w, r, err)
			return
		}
		c.answer(rt.status, v)
	})
}

func (s *server) result(c *call, rt route) (any, error) {
	if rt.roles != nil {
		if err := s.origin.Check(c.r); err != nil { // behind IAP the browser logs in by a cookie
			return nil, &statusError{http.StatusForbidden, err.Error()}
		}
		id, err := s.Auth.Authenticate(c.r)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(rt.roles, id.Role) {
			return nil, &statusError{http.StatusForbidden, fmt.Sprintf("the role %s may not do that", id.Role)}
		}
		c.who = channel.Actor{ID: id.Email, Role: string(id.Role)}
	}
	return rt.handle(c)
}

// call is one request.
type call struct {
	w   http.ResponseWriter
	r   *http.Request
	who channel.Actor
}

func (c *call) ctx() context.Context { return c.r.Context() }

func (c *call) id() string { return c.r.PathValue("id") }

// maxBody is the largest body in bytes; maxCalendar that of an iCalendar file,
// maxSetup that of a configuration.
const (
	maxSetup    = 4 << 20
	maxBody     = 1 << 20
	maxCalendar = 4 << 20
)

// body decodes the request's body.
func (c *call) body(into any) error {
	r, err := c.content("application/json", maxBody)
	if err != nil {
		return err
	}
	return decode(r, into)
}

// form is a body that an Admin checks: what does not fit its type is named by
// him, together with what else is bad.
func (c *call) form(into any, admin *channel.Admin) (*channel.Admin, error) {
	var bad *channel.Invalid
	if err := c.body(into); errors.As(err, &bad) {
		return admin.Besides(bad), nil
	} else if err != nil {
		return nil, err
	}
	return admin, nil
}

// content is the request's body, which must be of a media type. Reading more
// bytes than most fails with [*http.MaxBytesError].
func (c *call) content(want string, most int64) (io.Reader, error) {
	mediaType, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || mediaType != want {
		return nil, &statusError{http.StatusUnsupportedMediaType, "the body must be " + want}
	}
	return http.MaxBytesReader(c.w, c.r.Body, most), nil
}

// key is the caller's idempotency key (draft-ietf-httpapi-idempotency-key-header).
func (c *call) key() string { return c.r.Header.Get("Idempotency-Key") }

// query checks that the request has only these parameters, each once, and
// returns them.
func (c *call) query(known ...string) (map[string]string, error) {
	var bad channel.Invalid
	out := map[string]string{}
	q, err := url.ParseQuery(c.r.URL.RawQuery) // URL.Query leaves out what it cannot read
	if err != nil {
		return nil, &statusError{http.StatusBadRequest, "the query cannot be read: " + err.Error()}
	}
	for _, name := range sortedKeys(q) {
		out[name] = q.Get(name)
		if !slices.Contains(known, name) {
			bad.Fields = append(bad.Fields, channel.Field{Name: name, Message: "is not known here"})
		} else if len(q[name]) > 1 {
			bad.Fields = append(bad.Fields, channel.Field{Name: name, Message: "is given more than once"})
		}
	}
	if len(bad.Fields) > 0 {
		return nil, &bad
	}
	return out, nil
}

// page reads limit and cursor.
func page(q map[string]string) (channel.PageRequest, error) {
	p := channel.PageRequest{Cursor: q["cursor"]}
	if v, ok := q["limit"]; ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return p, &channel.Invalid{Fields: []channel.Field{{Name: "limit", Message: fmt.Sprintf("must be 1 to %d", channel.MaxPage)}}}
		}
		p.Limit = n
	}
	return p, nil
}

// download is an answer that is no JSON.
type download struct {
	name, mediaType string
	body            io.ReadCloser
}

func (c *call) answer(status int, v any) {
	if t, ok := v.(tagged); ok {
		c.w.Header().Set("ETag", `"`+t.tag+`"`)
		if c.fresh(t.tag) {
			c.w.WriteHeader(http.StatusNotModified)
			return
		}
		v = t.v
	}
	switch v := v.(type) {
	case nil:
		c.w.WriteHeader(http.StatusNoContent)
		return
	case download:
		defer v.body.Close()
		h := c.w.Header()
		h.Set("Content-Type", v.mediaType)
		h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
		if v.name != "" {
			h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": v.name}))
		}
		if _, err := io.Copy(c.w, v.body); err != nil {
			panic(http.ErrAbortHandler) // the status is out; the client must see that something is missing
		}
		return
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(wire.Encode(v)); err != nil {
		fail(c.w, c.r, fmt.Errorf("encode the answer: %w", err))
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(b.Bytes())
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
