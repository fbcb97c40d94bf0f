package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/route"
)

// Scenario is a centre: its queues with their policies, and its agents.
type Scenario struct {
	Queues   []Queue
	Agents   []Agent
	Handling Handling // of queues that have none of their own
}

// Queue is a queue as the API has it, as far as assignment goes.
type Queue struct {
	ID       string
	Hours    hours.Hours
	Assign   route.Policy
	Agents   []string // who serve it by themselves
	Teams    []string // whose members serve it
	Handling Handling
}

// Agent is somebody who works in the queues that name him or a team of his.
type Agent struct {
	ID    string
	Teams []string
	Hours hours.Hours // when he works; without a week, always
}

// Handling tells how long a session takes whose arrival does not.
type Handling struct {
	Distribution Distribution `json:"distribution"`
	Seconds      float64      `json:"seconds"` // the mean
}

// Distribution is how handling times spread around their mean.
type Distribution string

// The distributions.
const (
	Fixed       Distribution = "fixed"       // all take the mean
	Exponential Distribution = "exponential" // many are short, few very long
)

// Validate returns an error that quotes the value when d is no distribution.
func (d Distribution) Validate() error {
	if d != Fixed && d != Exponential {
		return fmt.Errorf("%q is neither fixed nor exponential", string(d))
	}
	return nil
}

// defaultHandling is what a scenario without any takes.
var defaultHandling = Handling{Distribution: Exponential, Seconds: 600}

// maxHandling bounds a handling time, in seconds.
const maxHandling = 7 * 24 * 3600

func (h Handling) validate() error {
	if err := h.Distribution.Validate(); err != nil {
		return fmt.Errorf("distribution: %w", err)
	}
	if !(h.Seconds > 0 && h.Seconds <= maxHandling) {
		return fmt.Errorf("seconds: %g, must be above 0 and at most %d", h.Seconds, maxHandling)
	}
	return nil
}

// ParseScenario reads a scenario from JSON: {"queues": […], "agents": […],
// "handling": {…}}, each with the fields above in lower case. The error names
// every bad field that it gets to, one a line.
func ParseScenario(text []byte) (Scenario, error) {
	var top struct {
		Queues, Agents []json.RawMessage
		Handling       json.RawMessage
	}
	s := Scenario{Handling: defaultHandling}
	if err := strict(text, &top, "policy"); err != nil {
		return s, err
	}
	errs := []error{strict(top.Handling, &s.Handling, "handling")}
	if err := s.Handling.validate(); err != nil {
		errs = append(errs, fmt.Errorf("handling.%w", err))
	}
	for i, raw := range top.Queues {
		q, err := parseQueue(raw, fmt.Sprintf("queues[%d]", i), s.Handling)
		s.Queues, errs = append(s.Queues, q), append(errs, err)
	}
	for i, raw := range top.Agents {
		a, err := parseAgent(raw, fmt.Sprintf("agents[%d]", i))
		s.Agents, errs = append(s.Agents, a), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	return s, s.names()
}

func parseQueue(raw json.RawMessage, path string, handling Handling) (Queue, error) {
	var in struct {
		ID                      string
		Hours, Assign, Handling json.RawMessage
		Agents, Teams           []string
	}
	if err := strict(raw, &in, path); err != nil {
		return Queue{}, err
	}
	q := Queue{ID: in.ID, Agents: in.Agents, Teams: in.Teams, Handling: handling}
	errs := []error{strict(in.Hours, &q.Hours, path+".hours"), strict(in.Assign, &q.Assign, path+".assign"), strict(in.Handling, &q.Handling, path+".handling")}
	if errors.Join(errs...) == nil {
		errs = append(errs, within(path+".hours", q.Hours.Validate()), within(path+".handling", q.Handling.validate()))
		if n := q.Assign.DailyLimit; n < 0 {
			errs = append(errs, fmt.Errorf("%s.assign.daily_limit: %d, must not be negative", path, n))
		}
	}
	return q, errors.Join(errs...)
}

func parseAgent(raw json.RawMessage, path string) (Agent, error) {
	var in struct {
		ID    string
		Teams []string
		Hours json.RawMessage
	}
	if err := strict(raw, &in, path); err != nil {
		return Agent{}, err
	}
	a := Agent{ID: in.ID, Teams: in.Teams}
	if err := strict(in.Hours, &a.Hours, path+".hours"); err != nil {
		return a, err
	}
	return a, within(path+".hours", a.Hours.Validate())
}

// strict decodes a value that may be missing and has no unknown fields.
func strict(raw []byte, into any, path string) error {
	if len(raw) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: something follows it", path)
	}
	return nil
}

// within puts the path before each of the fields that an error names.
func within(path string, err error) error {
	if err == nil {
		return nil
	}
	return errors.New(path + "." + strings.ReplaceAll(err.Error(), "\n", "\n"+path+"."))
}

// names refuses what is missing, named twice or named and not there.
func (s Scenario) names() error {
	var errs []error
	agents, queues, teams := map[string]bool{}, map[string]bool{}, map[string]bool{}
	unique := func(seen map[string]bool, id, field string) {
		switch {
		case id == "":
			errs = append(errs, fmt.Errorf("%s: missing", field))
		case seen[id]:
			errs = append(errs, fmt.Errorf("%s: %q is there already", field, id))
		}
		seen[id] = true
	}
	for i, a := range s.Agents {
		unique(agents, a.ID, fmt.Sprintf("agents[%d].id", i))
		for _, t := range a.Teams {
			teams[t] = true
		}
	}
	if len(s.Queues) == 0 {
		errs = append(errs, errors.New("queues: there are none"))
	}
	for i, q := range s.Queues {
		unique(queues, q.ID, fmt.Sprintf("queues[%d].id", i))
		for j, id := range q.Agents {
			if !agents[id] {
				errs = append(errs, fmt.Errorf("queues[%d].agents[%d]: there is no agent %q", i, j, id))
			}
		}
		for j, t := range q.Teams {
			if !teams[t] {
				errs = append(errs, fmt.Errorf("queues[%d].teams[%d]: no agent is in team %q", i, j, t))
			}
		}
	}
	return errors.Join(errs...)
}

// serves tells whether the agent works in the queue.
func (q Queue) serves(a Agent) bool {
	return slices.Contains(q.Agents, a.ID) || slices.ContainsFunc(q.Teams, func(t string) bool { return slices.Contains(a.Teams, t) })
}
