package faults

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		r   Rule
		bad string
	}{
		"nothing":         {Rule{}, "exactly one"},
		"two":             {Rule{Kill: "a", Fail: "smtp"}, "exactly one"},
		"unknown service": {Rule{Fail: "kustomer9"}, `"kustomer9"`},
		"negative times":  {Rule{Kill: "a", Times: -1}, "negative"},
		"negative delay":  {Rule{Fail: "smtp", Delay: -1}, "negative"},
		"negative for":    {Rule{Fail: "smtp", For: -1}, "negative"},
		"negative copies": {Rule{Deliver: "*", Duplicate: -1}, "negative"},
		"a kill":          {Rule{Kill: "receive.committed"}, ""},
		"a service":       {Rule{Fail: "firestore", Op: "Commit", Times: 10}, ""},
		"a delivery":      {Rule{Deliver: "*", Duplicate: 2, Reorder: true, DropAck: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var s Switch
			err := s.Add(c.r)
			if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%v, want one about %q", err, c.bad)
			}
			if (len(s.Rules()) == 1) != (err == nil) {
				t.Errorf("in force: %v", s.Rules())
			}
		})
	}
}

// with returns a switch with rules in force.
func with(t *testing.T, rules ...Rule) *Switch {
	t.Helper()
	s := &Switch{}
	for _, r := range rules {
		if err := s.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestKillStrikesSoOften(t *testing.T) {
	s := with(t, Rule{Kill: "a", Times: 2}, Rule{Kill: "b"})
	for i, want := range []bool{true, true, false, false} {
		if got := s.Kill("a"); got != want {
			t.Errorf("call %d: %v", i+1, got)
		}
	}
	if first, again := s.Kill("b"), s.Kill("b"); !first || !again || s.Kill("c") || s.Kill("") {
		t.Error("a rule without times ended, or another step was hit")
	}
	if got := s.Kills(); len(got) != 1 || got[0] != "b" {
		t.Errorf("steps %v, want b", got)
	}
	s.Clear()
	if s.Kill("b") || len(s.Rules()) != 0 {
		t.Error("cleared rules strike")
	}
}

func TestFail(t *testing.T) {
	s := with(t, Rule{Fail: "firestore", Op: "Commit", Times: 1}, Rule{Fail: "smtp", Drop: true}, Rule{Fail: "storage", Delay: Duration(20 * time.Millisecond), Times: 1})
	for _, c := range []struct {
		service, op string
		want        error
	}{
		{"firestore", "BatchGetDocuments", nil},
		{"pubsub", "Commit", nil},
		{"firestore", "Commit", ErrUnavailable},
		{"firestore", "Commit", nil}, // once
		{"smtp", "data", ErrDrop},
		{"", "", nil},
	} {
		if err := s.Fail(c.service, c.op); !errors.Is(err, c.want) {
			t.Errorf("%s %s: %v, want %v", c.service, c.op, err, c.want)
		}
	}
	begin := time.Now()
	if err := s.Fail("storage", "PUT /x"); err != nil || time.Since(begin) < 20*time.Millisecond {
		t.Errorf("slowed down: %v after %s", err, time.Since(begin))
	}
}

func TestRuleEnds(t *testing.T) {
	s := with(t, Rule{Fail: "imap", For: Duration(time.Nanosecond)}, Rule{Fail: "imap", For: Duration(time.Hour), Drop: true})
	time.Sleep(time.Millisecond)
	if err := s.Fail("imap", "login"); !errors.Is(err, ErrDrop) {
		t.Errorf("%v, want the second rule's, as the first is over", err)
	}
	if len(s.Rules()) != 1 {
		t.Errorf("%v is still in force", s.Rules())
	}
}

func TestDelivery(t *testing.T) {
	s := with(t, Rule{Deliver: "mail-received.ingest", Duplicate: 2, Times: 1}, Rule{Kill: "x"})
	if _, ok := s.Delivery("mail-outbound.send"); ok {
		t.Error("another subscription was hit")
	}
	if _, ok := s.Delivery(""); ok {
		t.Error("a rule of another kind was taken")
	}
	if r, ok := s.Delivery("mail-received.ingest"); !ok || r.Duplicate != 2 {
		t.Errorf("%+v, %v", r, ok)
	}
	if _, ok := s.Delivery("mail-received.ingest"); ok {
		t.Error("it struck twice")
	}
	if r, ok := with(t, Rule{Deliver: "*", Reorder: true}).Delivery("any"); !ok || !r.Reorder {
		t.Errorf("%+v, %v", r, ok)
	}
}

// Of many at once exactly as many are hit as the rule says.
func TestConcurrent(t *testing.T) {
	s := with(t, Rule{Kill: "a", Times: 7})
	var hit atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				if s.Kill("a") {
					hit.Add(1)
				}
				s.Rules()
			}
		})
	}
	all.Wait()
	if hit.Load() != 7 {
		t.Errorf("%d hits, want 7", hit.Load())
	}
}

func TestJSON(t *testing.T) {
	const text = `{"fail":"storage","op":"GET","delay":"200ms","times":3,"for":"30s"}`
	var r Rule
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	if r.Delay != Duration(200*time.Millisecond) || r.For != Duration(30*time.Second) || r.Times != 3 {
		t.Errorf("%+v", r)
	}
	back, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again Rule
	if err := json.Unmarshal(back, &again); err != nil || again != r {
		t.Errorf("%s: %+v, %v", back, again, err)
	}
	if err := json.Unmarshal([]byte(`{"fail":"smtp","delay":"soon"}`), &r); err == nil {
		t.Error(`the delay "soon" was taken`)
	}
}
