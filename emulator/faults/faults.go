// Package faults is the suite's fault switch: what shall go wrong, how often
// and for how long. The parts of the suite ask it before they act.
package faults

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Rule is one fault. Exactly one of Kill, Fail and Deliver is set.
//
//	{"kill":"receive.committed","times":3}
//	{"fail":"firestore","op":"Commit","times":10}      refuse with "unavailable"
//	{"fail":"storage","delay":"200ms","for":"30s"}     slow down instead
//	{"fail":"smtp","op":"data-answer","drop":true}     cut the connection
//	{"deliver":"mail-received.ingest","duplicate":1,"reorder":true,"delay":"1s","drop_ack":true,"times":50}
type Rule struct {
	Kill      string   `json:"kill,omitempty"`      // a named step: the function ends there
	Fail      string   `json:"fail,omitempty"`      // a service: firestore, pubsub, storage, s3, secrets, scheduler, zendesk, smtp, imap
	Op        string   `json:"op,omitempty"`        // part of the operation's name; empty: all
	Drop      bool     `json:"drop,omitempty"`      // cut the connection instead of an answer
	Deliver   string   `json:"deliver,omitempty"`   // a subscription; "*" all
	Duplicate int      `json:"duplicate,omitempty"` // extra deliveries
	Reorder   bool     `json:"reorder,omitempty"`
	DropAck   bool     `json:"drop_ack,omitempty"`
	Delay     Duration `json:"delay,omitempty"`
	Times     int      `json:"times,omitempty"` // 0: until it is switched off
	For       Duration `json:"for,omitempty"`   // of real time; 0: no end
	until     time.Time
}

// Duration is a time.Duration written as "1s".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Services that can fail.
var services = map[string]bool{"firestore": true, "pubsub": true, "storage": true, "s3": true, "secrets": true, "scheduler": true, "zendesk": true, "smtp": true, "imap": true}

// Validate names a bad field.
func (r Rule) Validate() error {
	n := 0
	for _, v := range []string{r.Kill, r.Fail, r.Deliver} {
		if v != "" {
			n++
		}
	}
	switch {
	case n != 1:
		return errors.New("exactly one of kill, fail and deliver must be set")
	case r.Fail != "" && !services[r.Fail]:
		return fmt.Errorf("fail: no service is called %q", r.Fail)
	case r.Times < 0 || r.Duplicate < 0 || r.Delay < 0 || r.For < 0:
		return errors.New("times, duplicate, delay and for must not be negative")
	}
	return nil
}

// Switch holds the rules in force.
type Switch struct {
	mu    sync.Mutex
	rules []*Rule
}

// Add puts a rule in force.
func (s *Switch) Add(r Rule) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if r.For > 0 {
		r.until = time.Now().Add(time.Duration(r.For))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, &r)
	return nil
}

// Clear ends all faults.
func (s *Switch) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

// Rules are those in force, with the times that are left.
func (s *Switch) Rules() []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Rule{}
	for _, r := range s.rules {
		out = append(out, *r)
	}
	return out
}

// take returns the first rule that matches and counts it.
func (s *Switch) take(match func(*Rule) bool) (Rule, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; i < len(s.rules); i++ {
		r := s.rules[i]
		if !r.until.IsZero() && time.Now().After(r.until) {
			s.rules = append(s.rules[:i], s.rules[i+1:]...)
			i--
			continue
		}
		if !match(r) {
			continue
		}
		got := *r
		if r.Times == 1 {
			s.rules = append(s.rules[:i], s.rules[i+1:]...)
		} else if r.Times > 1 {
			r.Times--
		}
		return got, true
	}
	return Rule{}, false
}

// Kill tells whether a function ends at this step.
func (s *Switch) Kill(step string) bool {
	_, ok := s.take(func(r *Rule) bool { return r.Kill == step })
	return ok
}

// Kills are the steps at which a function would end now.
func (s *Switch) Kills() []string {
	var out []string
	for _, r := range s.Rules() {
		if r.Kill != "" {
			out = append(out, r.Kill)
		}
	}
	return out
}

// Errors of Fail.
var (
	ErrUnavailable = errors.New("emulator: switched off by a fault")
	ErrDrop        = errors.New("emulator: connection cut by a fault")
)

// Fail waits as long as a rule says and returns its error, nil without one.
func (s *Switch) Fail(service, op string) error {
	r, ok := s.take(func(r *Rule) bool { return r.Fail == service && strings.Contains(op, r.Op) })
	switch {
	case !ok:
		return nil
	case r.Delay > 0:
		time.Sleep(time.Duration(r.Delay))
		return nil
	case r.Drop:
		return ErrDrop
	}
	return ErrUnavailable
}

// Delivery returns what shall happen to a push.
func (s *Switch) Delivery(subscription string) (Rule, bool) {
	return s.take(func(r *Rule) bool { return r.Deliver == "*" || r.Deliver == subscription && r.Deliver != "" })
}
