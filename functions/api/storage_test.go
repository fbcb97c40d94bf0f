package api

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/archive"
	"emailchannel.dev/emailchannel/shared/channel"
)

func (f files) Delete(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.objects, name)
	return nil
}

func (f files) List(_ context.Context, prefix string, each func(name string, size int64) error) error {
	f.mu.Lock()
	names := sortedKeys(f.objects)
	f.mu.Unlock()
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			if err := each(name, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

const denied = "S3 answered 403 AccessDenied: Access Denied."

// probe knows one bucket that is closed.
func (a *around) probe(_ context.Context, d channel.Destination, _ string) error {
	if d.Bucket == "closed" {
		return &archive.ProbeError{Step: "write", Err: errors.New(denied)}
	}
	return nil
}

// keeping walks by where mail is stored and how long.
func (c *client) keeping() {
	c.Helper()
	c.want(200, "adam", "PUT", "/v1/storage", c.want(200, "sam", "GET", "/v1/storage", nil))
	s3 := obj{"kind": "s3", "bucket": "mail", "folder": "centre", "region": "eu-central-1"}
	body := obj{"period": "90d", "destination": s3, "credentials": obj{"access_key": "AKIA", "secret_key": "hunter2"}}
	saved := c.want(200, "adam", "PUT", "/v1/storage", body)
	secret, _ := saved["destination"].(obj)["secret"].(string)
	if saved["credentials"] != nil || !strings.Contains(c.around.secrets[secret], "hunter2") || len(saved["earlier"].([]any)) != 1 {
		c.Errorf("saved: %v", saved)
	}
	set := c.want(200, "adam", "GET", "/v1/settings", nil)
	set["storage"] = obj{"period": "30d", "destination": obj{}}
	if now := c.want(200, "adam", "PUT", "/v1/settings", set)["storage"].(obj); now["period"] != "90d" {
		c.Errorf("the settings changed the storage: %v", now)
	}
	if v := c.want(200, "adam", "POST", "/v1/storage/test", body); v["ok"] != true || v["step"] != nil {
		c.Errorf("test: %v", v)
	}
	s3["bucket"] = "closed"
	if v := c.want(200, "adam", "POST", "/v1/storage/test", body); v["ok"] != false || v["step"] != "write" || v["answer"] != denied {
		c.Errorf("test of a closed bucket: %v", v)
	}
	c.want(200, "adam", "PUT", "/v1/storage", obj{"period": "unlimited", "destination": obj{}})
}

// forgetting walks by what keeps an end user's data and what removes them. The
// session is one of his, the message one that he wrote in it.
func (c *client) forgetting(session, message string) {
	c.Helper()
	at, why := "/v1/sessions/"+session, obj{"reason": "a lawsuit"}
	his := obj{"address": "cleo@customer.example"}
	if v := c.want(200, "sam", "POST", at+"/hold", why); v["hold"].(obj)["by"] != "sam@example.com" || v["hold"].(obj)["reason"] != "a lawsuit" {
		c.Errorf("held: %v", v)
	}
	if v := c.want(409, "adam", "POST", "/v1/erasures", his); !strings.Contains(v["detail"].(string), session) {
		c.Errorf("erasure under a hold: %v", v)
	}
	if v := c.want(200, "adam", "POST", "/v1/mails/replay", obj{"mail": message, "dry_run": true}); v["known"] != true || v["session"] != session || len(v["differences"].([]any)) != 0 {
		c.Errorf("replay: %v", v)
	}
	if v := c.want(200, "sam", "DELETE", at+"/hold", obj{"reason": "settled"}); v["hold"] != nil || v["released"] != true {
		c.Errorf("released: %v", v)
	}
	receipt := c.want(200, "svc", "POST", "/v1/erasures", his)
	if receipt["state"] != "done" || len(receipt["items"].([]any)) < 3 {
		c.Errorf("receipt: %v", receipt)
	}
	if again := c.want(200, "adam", "GET", "/v1/erasures/"+receipt["id"].(string), nil); again["hash"] != receipt["hash"] || len(again["items"].([]any)) != len(receipt["items"].([]any)) {
		c.Errorf("the receipt again: %v", again)
	}
	if v := c.want(200, "sam", "GET", at, nil); v["erased_at"] == nil || v["subject"] != "" {
		c.Errorf("the session: %v", v)
	}
	for _, m := range c.want(200, "sam", "GET", at+"/messages", nil)["items"].([]any) {
		if m.(obj)["text"] != "" || m.(obj)["purged_at"] == nil {
			c.Errorf("a message: %v", m)
		}
	}
	var kinds []string
	for _, h := range c.want(200, "sam", "GET", at+"/history?limit=200", nil)["items"].([]any) {
		kinds = append(kinds, h.(obj)["kind"].(string))
	}
	for _, want := range []string{"held", "released", "erased"} {
		if !slices.Contains(kinds, want) {
			c.Errorf("the history has no %s: %v", want, kinds)
		}
	}
	c.want(404, "sam", "GET", at+"/messages/"+message+"/raw", nil)
	c.want(409, "adam", "POST", "/v1/mails/replay", obj{"mail": message})
}

func TestKeepingAndForgettingIsRefused(t *testing.T) {
	c := newClient(t)
	c.configure()
	id := c.inbound(1)
	hold := "/v1/sessions/" + id + "/hold"
	s3 := func(change obj) obj {
		d := obj{"kind": "s3", "bucket": "mail", "region": "eu-central-1"}
		for k, v := range change {
			d[k] = v
		}
		return d
	}
	for _, x := range []struct {
		name         string
		status       int
		who          string
		method, path string
		body         any
		field        string
	}{
		{"storage by a supervisor", 403, "sam", "PUT", "/v1/storage", obj{}, ""},
		{"an unknown period", 422, "adam", "PUT", "/v1/storage", obj{"period": "31d"}, "period"},
		{"a bad bucket", 422, "adam", "PUT", "/v1/storage", obj{"destination": s3(obj{"bucket": "No"})}, "destination.bucket"},
		{"a bad folder", 422, "adam", "POST", "/v1/storage/test", obj{"destination": s3(obj{"folder": "../up"})}, "destination.folder"},
		{"a wrong type", 422, "adam", "PUT", "/v1/storage", obj{"destination": s3(obj{"path_style": "yes"})}, "destination.path_style"},
		{"half credentials", 422, "adam", "PUT", "/v1/storage", obj{"destination": s3(nil), "credentials": obj{"access_key": "a"}}, "credentials"},
		{"credentials of nothing", 422, "adam", "POST", "/v1/storage/test", obj{"credentials": obj{"access_key": "a", "secret_key": "b"}}, "credentials"},
		{"a hold without a reason", 422, "sam", "POST", hold, obj{"reason": " "}, "reason"},
		{"a release without a reason", 422, "sam", "DELETE", hold, obj{}, "reason"},
		{"a hold without a body", 415, "sam", "POST", hold, nil, ""},
		{"a hold by an agent", 403, "ana", "POST", hold, obj{"reason": "x"}, ""},
		{"a hold of nothing", 404, "sam", "POST", "/v1/sessions/00000000000/hold", obj{"reason": "x"}, ""},
		{"no address", 422, "adam", "POST", "/v1/erasures", obj{"address": "cleo"}, "address"},
		{"the centre's address", 422, "adam", "POST", "/v1/erasures", obj{"address": "Support@example.com"}, "address"},
		{"an agent's address", 422, "svc", "POST", "/v1/erasures", obj{"address": "ana@example.com"}, "address"},
		{"an erasure by a supervisor", 403, "sam", "POST", "/v1/erasures", obj{"address": "cleo@customer.example"}, ""},
		{"no receipt", 404, "adam", "GET", "/v1/erasures/nothing", nil, ""},
		{"a receipt for a supervisor", 403, "sam", "GET", "/v1/erasures/nothing", nil, ""},
		{"a replay of nothing", 404, "adam", "POST", "/v1/mails/replay", obj{"mail": "nothing"}, ""},
		{"a replay of no object", 404, "adam", "POST", "/v1/mails/replay", obj{"mail": "raw/support-INBOX-1-99.eml", "dry_run": true}, ""},
		{"a replay by a supervisor", 403, "sam", "POST", "/v1/mails/replay", obj{"mail": "nothing"}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			c.T = t
			p := c.want(x.status, x.who, x.method, x.path, x.body)
			if x.field != "" && !slices.Contains(errorFields(p), x.field) {
				t.Errorf("%v does not name %s", p, x.field)
			}
		})
	}
}
