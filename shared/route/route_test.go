package route

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct{ first, second Agent }{
		"fewer open sessions":          {Agent{ID: "z", Open: 1, LastAssigned: noon}, Agent{ID: "a", Open: 2}},
		"longer without an assignment": {Agent{ID: "z", LastAssigned: noon}, Agent{ID: "a", LastAssigned: noon.Add(time.Second)}},
		"never had one":                {Agent{ID: "z"}, Agent{ID: "a", LastAssigned: noon.AddDate(-50, 0, 0)}},
		"the ID at last":               {Agent{ID: "a", Open: 3, LastAssigned: noon}, Agent{ID: "b", Open: 3, LastAssigned: noon}},
		"the zone does not count":      {Agent{ID: "a", LastAssigned: noon}, Agent{ID: "b", LastAssigned: noon.In(time.FixedZone("", 3600))}},
	} {
		t.Run(name, func(t *testing.T) {
			if Compare(c.first, c.second) >= 0 || Compare(c.second, c.first) <= 0 {
				t.Errorf("%+v is not before %+v", c.first, c.second)
			}
		})
	}
}

// The order is total, so that two runs rank the same agents alike.
func TestCompareIsTotal(t *testing.T) {
	agent := rapid.Custom(func(t *rapid.T) Agent {
		a := Agent{ID: rapid.StringMatching("[a-c]").Draw(t, "id"), Open: rapid.IntRange(0, 2).Draw(t, "open")}
		if n := rapid.IntRange(0, 2).Draw(t, "last"); n > 0 {
			a.LastAssigned = noon.Add(time.Duration(n) * time.Minute)
		}
		return a
	})
	rapid.Check(t, func(t *rapid.T) {
		agents := rapid.SliceOfN(agent, 2, 8).Draw(t, "agents")
		other := slices.Clone(agents)
		slices.Reverse(other)
		slices.SortFunc(agents, Compare)
		slices.SortFunc(other, Compare)
		if !slices.Equal(agents, other) {
			t.Fatalf("%v and %v", agents, other)
		}
		for i := range agents[1:] {
			if a, b := agents[i], agents[i+1]; a.Open > b.Open || a.Open == b.Open && a.LastAssigned.After(b.LastAssigned) {
				t.Fatalf("%+v before %+v", a, b)
			}
		}
	})
}

func TestPolicyQueue(t *testing.T) {
	for name, c := range map[string]struct {
		p       Policy
		inHours bool
		want    Refusal
	}{
		"off":                        {Policy{}, true, Off},
		"off comes before the hours": {Policy{OnlyInHours: true}, false, Off},
		"on":                         {Policy{On: true}, false, ""},
		"in hours":                   {Policy{On: true, OnlyInHours: true}, true, ""},
		"outside its hours":          {Policy{On: true, OnlyInHours: true}, false, OutsideHours},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := c.p.Queue(c.inHours); got != c.want || ok != (c.want == "") {
				t.Errorf("%q, %v, want %q", got, ok, c.want)
			}
		})
	}
}

func TestPolicyAgent(t *testing.T) {
	for name, c := range map[string]struct {
		p    Policy
		a    Agent
		want Refusal
	}{
		"without limits":            {Policy{}, Agent{Open: 1000, Today: 1000}, ""},
		"logged in":                 {Policy{OnlyLoggedIn: true}, Agent{LoggedIn: true}, ""},
		"logged out":                {Policy{OnlyLoggedIn: true}, Agent{}, NotLoggedIn},
		"away":                      {Policy{OnlyLoggedIn: true}, Agent{LoggedIn: true, Away: true}, Unavailable},
		"away does not count":       {Policy{}, Agent{LoggedIn: true, Away: true}, ""},
		"one below the daily limit": {Policy{DailyLimit: 3}, Agent{Today: 2}, ""},
		"at the daily limit":        {Policy{DailyLimit: 3}, Agent{Today: 3}, DailyLimit},
		"above a lowered limit":     {Policy{DailyLimit: 3}, Agent{Today: 9}, DailyLimit},
		"both":                      {Policy{DailyLimit: 1, OnlyLoggedIn: true}, Agent{Today: 1}, NotLoggedIn},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := c.p.Agent(c.a); got != c.want || ok != (c.want == "") {
				t.Errorf("%q, %v, want %q", got, ok, c.want)
			}
		})
	}
}

func TestPolicyWhy(t *testing.T) {
	p := Policy{On: true, OnlyInHours: true, DailyLimit: 1, OnlyLoggedIn: true}
	in, full, out := Agent{ID: "a", LoggedIn: true}, Agent{ID: "b", LoggedIn: true, Today: 1}, Agent{ID: "c"}
	for name, c := range map[string]struct {
		p        Policy
		closed   bool
		agents   []Agent
		want     Refusal
		standing map[Refusal]int
	}{
		"off":                 {Policy{}, false, []Agent{in, out}, Off, map[Refusal]int{"": 2}},
		"outside its hours":   {p, true, []Agent{in, full}, OutsideHours, map[Refusal]int{"": 1, DailyLimit: 1}},
		"nobody serves it":    {p, false, nil, NoAgents, map[Refusal]int{}},
		"nobody is logged in": {p, false, []Agent{out, out}, NotLoggedIn, map[Refusal]int{NotLoggedIn: 2}},
		"all at the limit":    {p, false, []Agent{full, full}, DailyLimit, map[Refusal]int{DailyLimit: 2}},
		"each for a reason":   {p, false, []Agent{full, out}, NobodyLeft, map[Refusal]int{DailyLimit: 1, NotLoggedIn: 1}},
		"one qualifies":       {p, false, []Agent{full, in, out}, "", map[Refusal]int{"": 1, DailyLimit: 1, NotLoggedIn: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got, standing := c.p.Why(!c.closed, c.agents)
			if got != c.want || !maps.Equal(standing, c.standing) {
				t.Errorf("%q %v, want %q %v", got, standing, c.want, c.standing)
			}
		})
	}
}
