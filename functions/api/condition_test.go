package api

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
)

func TestHeadersOfPreconditions(t *testing.T) {
	for name, tt := range map[string]struct {
		match, none []string
		want        channel.Precondition
		status      int
	}{
		"none":                {},
		"one":                 {match: []string{`"a-b"`}, want: channel.Precondition{Match: []string{"a-b"}}},
		"list":                {match: []string{`"a" ,, "b,c"`, `"d"`}, want: channel.Precondition{Match: []string{"a", "b,c", "d"}}},
		"any":                 {match: []string{" * "}, want: channel.Precondition{Match: []string{"*"}}},
		"a weak one is none":  {match: []string{`W/"a"`}, want: channel.Precondition{Match: []string{""}}},
		"weak among others":   {match: []string{`W/"a", "b"`}, want: channel.Precondition{Match: []string{"b"}}},
		"new":                 {none: []string{"*"}, want: channel.Precondition{New: true}},
		"no quotes":           {match: []string{"abc"}, status: 400},
		"not closed":          {match: []string{`"abc`}, status: 400},
		"no comma":            {match: []string{`"a" "b"`}, status: 400},
		"a quoted star":       {match: []string{`"*"`}, status: 400},
		"a tag of a new one":  {none: []string{`"a"`}, status: 400},
		"a broken one of new": {none: []string{`a`}, status: 400},
	} {
		r := httptest.NewRequest(http.MethodPut, "/", nil)
		r.Header["If-Match"], r.Header["If-None-Match"] = tt.match, tt.none
		got, err := (&call{r: r}).precondition()
		if tt.status != 0 {
			if err == nil || problemOf(err).Status != tt.status {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, tt.want)
		}
	}
}

// TestOfTwoAdminsOneIsTold has two change every kind of thing at the same time,
// each from the same version.
func TestOfTwoAdminsOneIsTold(t *testing.T) {
	c := newClient(t)
	c.configure()
	for path, field := range map[string]string{"settings": "company", "storage": "period", "accounts/support": "user", "queues/support": "name", "agents/ana@example.com": "name", "teams/first": "name"} {
		path := "/v1/" + path
		_, h, _ := c.do("adam", "GET", path, nil)
		tag := h.Get("ETag")
		if len(tag) < 20 || tag[0] != '"' {
			t.Fatalf("%s: tag %s", path, tag)
		}
		if status, _, b := c.do("adam", "GET", path, nil, "If-None-Match", `"x", W/`+tag); status != http.StatusNotModified || len(b) != 0 {
			t.Errorf("%s: %d %s to who has it", path, status, b)
		}
		bodies := map[string]obj{}
		for who, v := range map[string]string{"adam": "30d", "eve": "60d"} {
			bodies[who] = c.want(200, "adam", "GET", path, nil)
			bodies[who][field] = v
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		statuses := map[string]int{}
		var lost string
		for who, body := range bodies {
			wg.Go(func() {
				status, h, b := c.do(who, "PUT", path, body, "If-Match", tag)
				mu.Lock()
				defer mu.Unlock()
				if statuses[who] = status; status == 412 {
					lost = string(b)
				} else if h.Get("ETag") == tag {
					t.Errorf("%s: the tag stays", path)
				}
			})
		}
		wg.Wait()
		winner := "adam"
		if statuses["eve"] == 200 {
			winner = "eve"
		}
		if statuses["adam"]+statuses["eve"] != 200+412 || !strings.Contains(lost, `"actor":"`+winner+`@example.com"`) || !strings.Contains(lost, `"fields":["`+field+`"]`) || !strings.Contains(lost, "changed by "+winner) {
			t.Errorf("%s: %v, and the loser hears %s", path, statuses, lost)
		}
		_, h, _ = c.do("adam", "GET", path, nil)
		put := c.want(200, "adam", "GET", path, nil)
		_, again, _ := c.do("adam", "PUT", path, put, "If-Match", h.Get("ETag"))
		if !strings.HasPrefix(path, "/v1/accounts") && again.Get("ETag") != h.Get("ETag") { // an account's status is new
			t.Errorf("%s: saved as it was it has tag %s, before %s", path, again.Get("ETag"), h.Get("ETag"))
		}
	}
}

// TestWhatChannelsCountIsNotInTheWay: the tag of what is shown changes, and a
// form with the old one is saved.
func TestWhatTheChannelCountsIsInNobodysWay(t *testing.T) {
	c := newClient(t)
	c.configure()
	_, h, _ := c.do("adam", "GET", "/v1/agents/ana@example.com", nil)
	c.want(200, "ana", "POST", "/v1/agents/me/login", nil)
	if status, now, _ := c.do("adam", "GET", "/v1/agents/ana@example.com", nil, "If-None-Match", h.Get("ETag")); status != 200 || now.Get("ETag") == h.Get("ETag") {
		t.Errorf("logged in: %d, tag %s", status, now.Get("ETag"))
	}
	c.want(200, "adam", "PUT", "/v1/agents/ana@example.com", obj{"name": "Ana", "role": "agent"}, "If-Match", h.Get("ETag"))
	c.want(412, "adam", "DELETE", "/v1/agents/ana@example.com", nil, "If-Match", h.Get("ETag"))
}

// TestTheSameReplyManyTimes: calls with the same key and the same version, all
// at once, send one mail and all get it.
func TestTheSameReplyManyTimes(t *testing.T) {
	c := newClient(t)
	c.configure()
	at := "/v1/sessions/" + c.inbound(1)
	_, h, _ := c.do("ana", "GET", at, nil)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if status, _, b := c.do("ana", "POST", at+"/reply", obj{"text": "Once."}, "Idempotency-Key", "same", "If-Match", h.Get("ETag")); status != 202 {
				t.Errorf("%d %s", status, b)
			}
		})
	}
	wg.Wait()
	if n := len(c.want(200, "ana", "GET", at+"/messages", nil)["items"].([]any)); n != 2 {
		t.Errorf("%d messages", n)
	}
}

func TestMakeOnly(t *testing.T) {
	c := newClient(t)
	c.configure()
	team := obj{"name": "Second line"}
	c.want(200, "adam", "PUT", "/v1/teams/second", team, "If-None-Match", "*")
	c.want(412, "adam", "PUT", "/v1/teams/second", team, "If-None-Match", "*")
	c.want(412, "adam", "PUT", "/v1/teams/third", team, "If-Match", "*")
	c.want(404, "adam", "DELETE", "/v1/teams/third", nil, "If-Match", "*")
	c.want(412, "adam", "DELETE", "/v1/teams/second", nil, "If-Match", `"another"`)
	_, h, _ := c.do("adam", "GET", "/v1/teams/second", nil)
	c.want(204, "eve", "DELETE", "/v1/teams/second", nil, "If-Match", h.Get("ETag"))
	if p := c.want(412, "adam", "PUT", "/v1/teams/second", team, "If-Match", h.Get("ETag")); !strings.Contains(p["detail"].(string), "deleted by eve@example.com") {
		t.Errorf("a deleted one: %v", p)
	}
	c.want(400, "adam", "PUT", "/v1/teams/second", team, "If-Match", "second")
}

// TestOfTwoAgentsOneIsTold: of two answers to what both read one goes (AG-2).
func TestOfTwoAgentsOneIsTold(t *testing.T) {
	c := newClient(t)
	c.configure()
	at := "/v1/sessions/" + c.inbound(1)
	_, h, _ := c.do("ana", "GET", at, nil)
	reply := obj{"text": "It is ready."}
	c.want(202, "sam", "POST", at+"/reply", reply, "Idempotency-Key", "a", "If-Match", h.Get("ETag"))
	p := c.want(412, "ana", "POST", at+"/reply", reply, "Idempotency-Key", "b", "If-Match", h.Get("ETag"))
	if !strings.Contains(p["detail"].(string), "answered by sam@example.com") {
		t.Errorf("the second is told %v", p)
	}
	c.want(202, "sam", "POST", at+"/reply", reply, "Idempotency-Key", "a", "If-Match", h.Get("ETag")) // the same once more
	for _, act := range []string{"open", "pause", "resolve", "unassign"} {
		c.want(412, "ana", "POST", at+"/"+act, nil, "If-Match", h.Get("ETag"))
	}
	c.want(412, "ana", "POST", at+"/assign", obj{"agent": "me"}, "If-Match", h.Get("ETag"))
	c.want(412, "ana", "POST", at+"/transfer", obj{"queue": "billing"}, "If-Match", h.Get("ETag"))
	c.want(412, "sam", "POST", at+"/hold", obj{"reason": "a case"}, "If-Match", h.Get("ETag"))
	c.want(412, "ana", "POST", at+"/note", obj{"text": "A note."}, "Idempotency-Key", "n", "If-Match", h.Get("ETag"))
	_, h, _ = c.do("ana", "GET", at, nil)
	c.want(201, "ana", "POST", at+"/note", obj{"text": "A note."}, "Idempotency-Key", "n", "If-Match", h.Get("ETag"))
	c.want(201, "ana", "POST", at+"/note", obj{"text": "A note."}, "Idempotency-Key", "n", "If-Match", h.Get("ETag"))
	_, h, _ = c.do("ana", "GET", at, nil)
	_, acted, _ := c.do("ana", "POST", at+"/pause", nil, "If-Match", h.Get("ETag"))
	if _, now, _ := c.do("ana", "GET", at, nil); acted.Get("ETag") == h.Get("ETag") || acted.Get("ETag") != now.Get("ETag") {
		t.Errorf("the act's tag is %s, the session's %s", acted.Get("ETag"), now.Get("ETag"))
	}
}
