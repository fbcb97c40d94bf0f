package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/auth"
)

// errorFields are the fields that a problem names.
func errorFields(p map[string]any) []string {
	var out []string
	list, _ := p["errors"].([]any)
	for _, e := range list {
		out = append(out, e.(obj)["field"].(string))
	}
	return out
}

func TestProblems(t *testing.T) {
	c := newClient(t)
	c.configure()
	id := c.inbound(1)
	key := []string{"Idempotency-Key", "k"}
	long := strings.Repeat("x", 2001)
	for _, x := range []struct {
		name      string
		status    int
		who       string
		method    string
		path      string
		body      any
		header    []string
		wantField string
		detail    string
	}{
		{name: "no such path", status: 404, who: "adam", method: "GET", path: "/v1/nothing"},
		{name: "no such method", status: 405, who: "adam", method: "PATCH", path: "/v1/settings"},
		{name: "no token", status: 401, method: "GET", path: "/v1/settings"},
		{name: "a wrong token", status: 401, who: "mallory", method: "GET", path: "/v1/settings"},
		{name: "another's role", status: 403, who: "sam", method: "PUT", path: "/v1/settings", body: obj{}},
		{name: "a program as an agent", status: 403, who: "svc", method: "POST", path: "/v1/sessions/" + id + "/open"},
		{name: "another queue", status: 403, who: "dora", method: "GET", path: "/v1/sessions/" + id},
		{name: "no session", status: 404, who: "ana", method: "GET", path: "/v1/sessions/00000000000"},
		{name: "no ID", status: 404, who: "ana", method: "GET", path: "/v1/sessions/..%2F..%2Fsettings"},
		{name: "a slash in an ID", status: 404, who: "adam", method: "GET", path: "/v1/accounts/a%2Fb"},
		{name: "no text in an ID", status: 404, who: "adam", method: "GET", path: "/v1/accounts/%FF"},
		{name: "no text in a message's ID", status: 404, who: "ana", method: "GET", path: "/v1/sessions/" + id + "/messages/%FF/raw"},
		{name: "a replay of nothing", status: 422, who: "adam", method: "POST", path: "/v1/mails/replay", body: obj{}, wantField: "mail"},
		{name: "a user's ID that no document has", status: 422, who: "adam", method: "PUT", path: "/v1/agents/__x@y.example", body: obj{"name": "x", "role": "agent"}, wantField: "id"},
		{name: "a user's long ID", status: 422, who: "adam", method: "PUT", path: "/v1/agents/" + long + "@y.example", body: obj{"name": "x", "role": "agent"}, wantField: "id"},
		{name: "an endless alias", status: 422, who: "adam", method: "PUT", path: "/v1/agents/x@y.example", body: obj{"name": "x", "role": "agent", "alias": long + "@y.example"}, wantField: "alias"},
		{name: "an endless address", status: 422, who: "adam", method: "POST", path: "/v1/erasures", body: obj{"address": long + "@y.example"}, wantField: "address"},
		{name: "an endless recipient", status: 422, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/reply", body: obj{"text": "x", "to": []obj{{"addr": long + "@y.example"}}}, header: key, wantField: "to[0].addr"},
		{name: "an endless name", status: 422, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/reply", body: obj{"text": "x", "cc": []obj{{"addr": "a@y.example", "name": long}}}, header: key, wantField: "cc[0].name"},
		{name: "an endless subject", status: 422, who: "ana", method: "POST", path: "/v1/sessions", body: obj{"queue": "support", "text": "x", "subject": long, "to": []obj{{"addr": "a@y.example"}}}, header: key, wantField: "subject"},
		{name: "form", status: 415, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/assign", body: "agent=me", header: []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{name: "too large", status: 413, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/note", body: obj{"text": strings.Repeat("x", maxBody)}, header: key},
		{name: "no JSON", status: 400, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/assign", body: `{"agent":`},
		{name: "two objects", status: 400, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/assign", body: `{}{}`},
		{name: "a list", status: 400, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/assign", body: `[]`},
		{name: "an unknown field", status: 422, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/assign", body: obj{"agnet": "me"}, wantField: "agnet"},
		{name: "a deep unknown field", status: 422, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/reply", body: obj{"to": []obj{{"addr": "a@b.example"}, {"adr": "x"}}}, header: key, wantField: "to[1].adr"},
		{name: "a wrong type", status: 422, who: "adam", method: "PUT", path: "/v1/accounts/x", body: obj{"outgoing": obj{"port": "993"}}, wantField: "outgoing.port"},
		{name: "a broken time", status: 422, who: "adam", method: "PUT", path: "/v1/queues/x", body: obj{"hours": obj{"week": []obj{{"day": 1, "from": "9", "to": "10:00"}}}}, wantField: "hours.week[0].from"},
		{name: "too many words", status: 422, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/reply", body: obj{"html": strings.Repeat("x", 500<<10)}, header: key, wantField: "text"},
		{name: "no key", status: 422, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/reply", body: obj{"text": "x"}, wantField: "idempotency_key"},
		{name: "an unknown parameter", status: 422, who: "ana", method: "GET", path: "/v1/sessions?stat=active", wantField: "stat"},
		{name: "a parameter twice", status: 422, who: "ana", method: "GET", path: "/v1/sessions?state=active&state=paused", wantField: "state"},
		{name: "a bad limit", status: 422, who: "ana", method: "GET", path: "/v1/sessions?limit=0", wantField: "limit"},
		{name: "a bad date", status: 422, who: "ana", method: "GET", path: "/v1/sessions?created_from=today", wantField: "created_from"},
		{name: "a date before the calendar", status: 422, who: "ana", method: "GET", path: "/v1/sessions?created_from=0000-01-01T00:00:00Z", wantField: "created_from"},
		{name: "a broken query", status: 400, who: "ana", method: "GET", path: "/v1/sessions?state=%zz"},
		{name: "another agent than the path's", status: 422, who: "adam", method: "PUT", path: "/v1/agents/ana@example.com", body: obj{"id": "dora@example.com", "name": "x", "role": "agent"}, wantField: "id"},
		{name: "JSON as a calendar", status: 415, who: "adam", method: "POST", path: "/v1/queues/support/holidays:import", body: obj{}},
		{name: "a calendar by a supervisor", status: 403, who: "sam", method: "POST", path: "/v1/queues/support/holidays:import", body: "x", header: []string{"Content-Type", "text/calendar"}},
		{name: "no calendar", status: 422, who: "adam", method: "POST", path: "/v1/queues/support/holidays:import", body: "x", header: []string{"Content-Type", "text/calendar"}, wantField: "calendar"},
		{name: "a large calendar", status: 413, who: "adam", method: "POST", path: "/v1/queues/support/holidays:import", body: strings.Repeat("x", maxCalendar+1), header: []string{"Content-Type", "text/calendar"}},
		{name: "a refused move", status: 409, who: "ana", method: "POST", path: "/v1/sessions/" + id + "/pause", detail: "not_listed"},
		{name: "an account in use", status: 409, who: "adam", method: "DELETE", path: "/v1/accounts/support", detail: "Support"},
		{name: "a queue with sessions", status: 409, who: "adam", method: "DELETE", path: "/v1/queues/support", detail: "move_to"},
		{name: "another ID than the path's", status: 422, who: "adam", method: "PUT", path: "/v1/teams/first", body: obj{"id": "second", "name": "x"}, wantField: "id"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := *c
			c.T = t
			p := c.want(x.status, x.who, x.method, x.path, x.body, x.header...)
			if p["status"] != float64(x.status) || p["title"] == "" || p["type"] == "" || p["request_id"] == "" {
				t.Errorf("%v", p)
			}
			if x.wantField != "" && !slices.Contains(errorFields(p), x.wantField) {
				t.Errorf("names %v, want %s", errorFields(p), x.wantField)
			}
			if detail, _ := p["detail"].(string); !strings.Contains(detail, x.detail) {
				t.Errorf("detail %q", detail)
			}
		})
	}
}

func TestBothTogglesAreNamed(t *testing.T) {
	c := newClient(t)
	set := c.want(200, "adam", "GET", "/v1/settings", nil)
	set["subject_token"], set["subject_edit"] = true, true
	if got := errorFields(c.want(422, "adam", "PUT", "/v1/settings", set)); !slices.Equal(got, []string{"subject_token", "subject_edit"}) {
		t.Errorf("%v", got)
	}
}

// TestLeftOutSettings shows that a field which the document does not require
// may be left out, and then is as in a new channel (CR-1, CR-2, ZD-11).
func TestLeftOutSettings(t *testing.T) {
	c := newClient(t)
	got := c.want(200, "adam", "PUT", "/v1/settings", map[string]any{"company": "Lamps", "session": c.want(200, "adam", "GET", "/v1/settings", nil)["session"], "crm": map[string]any{"kind": "none"}, "caps": map[string]any{"per_address": 3}})
	for field, want := range map[string]any{
		"company": "Lamps", "email": false, "queues": true,
		"caps":   map[string]any{"per_address": 3, "per_session": 5, "window": "3h0m0s"},
		"record": map[string]any{"incoming": true, "outgoing": true, "bodies": true, "comments_when": "end"},
	} {
		if fmt.Sprint(got[field]) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", field, got[field], want)
		}
	}
}

// TestEveryBadFieldIsNamed shows that a field that is no such thing at all, as
// a time of day "9", does not hide the others, nor is it blamed twice.
func TestEveryBadFieldIsNamed(t *testing.T) {
	c := newClient(t)
	c.configure()
	queue := map[string]any{"name": "", "language": "xx", "on": 1, "accounts": []string{"none"},
		"hours":  map[string]any{"zone": "Mars/X", "week": []any{map[string]any{"day": 1, "from": "9", "to": "08:00"}}, "holidays": []any{map[string]any{"name": "", "date": "2026-02-30"}}},
		"assign": map[string]any{"daily_limit": -1}}
	want := []string{"accounts[0]", "assign.daily_limit", "hours.holidays[0].date", "hours.holidays[0].name", "hours.week[0].from", "hours.zone", "language", "name", "on"}
	for path, x := range map[string]struct {
		body any
		want []string
	}{
		"/v1/queues/new":           {queue, want},
		"/v1/settings":             {map[string]any{"email": "yes", "more": 1, "caps": map[string]any{"window": "x", "per_address": 0}}, []string{"caps.per_address", "caps.window", "email", "more", "session.active_pause", "session.closed_reopen", "session.paused_close", "session.resolved_close"}},
		"/v1/accounts/a":           {map[string]any{"user": 1, "address": "x", "outgoing": map[string]any{"host": "", "port": "y"}, "outbound_only": true}, []string{"address", "outgoing.host", "outgoing.port", "outgoing.security", "password", "user"}},
		"/v1/agents/a@example.com": {map[string]any{"name": 1, "role": "king"}, []string{"name", "role"}},
		"/v1/teams/a":              {map[string]any{"name": 1}, []string{"name"}},
	} {
		got := errorFields(c.want(422, "adam", "PUT", path, x.body))
		if slices.Sort(got); !slices.Equal(got, x.want) {
			t.Errorf("%s: %q, want %q", path, got, x.want)
		}
	}
}

func TestMethodNotAllowedNamesTheMethods(t *testing.T) {
	c := newClient(t)
	_, h, _ := c.do("adam", "PATCH", "/v1/accounts/x", nil)
	if got := h.Get("Allow"); got != "GET, PUT, DELETE" {
		t.Errorf("Allow: %q", got)
	}
	_, h, _ = c.do("", "GET", "/v1/settings", nil)
	if got := h.Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("WWW-Authenticate: %q", got)
	}
}

// Addresses are one however they are written, in filters as in paths.
func TestFiltersTakeAddressesInAnyCase(t *testing.T) {
	c := newClient(t)
	c.configure()
	c.want(200, "ana", "POST", "/v1/sessions/"+c.inbound(1)+"/assign", obj{"agent": "me"})
	for _, path := range []string{"/v1/sessions?agent=ANA@Example.com", "/v1/sessions?address=Cleo@Customer.example", "/v1/audit?limit=1&actor=Adam@Example.com"} {
		if items := c.want(200, "sam", "GET", path, nil)["items"].([]any); len(items) != 1 {
			t.Errorf("%s: %v", path, items)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	c := newClient(t)
	_, h, _ := c.do("adam", "GET", "/v1/settings", nil, requestID, "abc-1")
	if got := h.Get(requestID); got != "abc-1" {
		t.Errorf("%q", got)
	}
	_, h, _ = c.do("adam", "GET", "/v1/settings", nil, requestID, "a b<script>")
	if got := h.Get(requestID); got == "" || strings.Contains(got, "<") {
		t.Errorf("%q", got)
	}
}

func TestAnotherSitesPageCannotAct(t *testing.T) {
	c := newClient(t)
	if status, _, _ := c.do("adam", "PUT", "/v1/teams/x", obj{"name": "x"}, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("%d", status)
	}
}

// TestRoles asks every route as everybody: who is not in its row is refused
// before anything else is looked at, who is in it is not.
func TestRoles(t *testing.T) {
	c := newClient(t)
	c.configure()
	names := map[auth.Role]string{auth.RoleAgent: "ana", auth.RoleSupervisor: "sam", auth.RoleService: "svc"}
	for _, rt := range (&server{}).routes() {
		path := strings.NewReplacer("{id}", "nothing", "{message}", "nothing", "{number}", "0").Replace(rt.path)
		for role, who := range names {
			status, _, body := c.do(who, rt.method, path, nil)
			refused := status == http.StatusForbidden && strings.Contains(string(body), "the role "+string(role)+" may not do that")
			if allowed := rt.roles == nil || slices.Contains(rt.roles, role); refused == allowed {
				t.Errorf("%s %s by %s: %d %s", rt.method, path, role, status, body)
			}
		}
	}
}
