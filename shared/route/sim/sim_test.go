package sim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// monday is 2 March 2026, 09:00 UTC.
var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func scenario(t testing.TB, text string) Scenario {
	t.Helper()
	s, err := ParseScenario([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// every is n arrivals of a queue, one after each gap.
func every(gap time.Duration, n int, queue string, handling float64) []Arrival {
	var out []Arrival
	for i := range n {
		out = append(out, Arrival{monday.Add(time.Duration(i) * gap), queue, handling})
	}
	return out
}

func predict(t testing.TB, s Scenario, arrivals []Arrival, seed uint64) Report {
	t.Helper()
	r, err := Run(s, arrivals, seed)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const office = `{"zone": "UTC", "week": [{"day": 1, "from": "09:00", "to": "17:00"}, {"day": 2, "from": "09:00", "to": "17:00"}]}`

const two = `{"agents": [{"id": "ana"}, {"id": "ben"}], "queues": [{"id": "q", "agents": ["ana", "ben"], "assign": %s}]}`

func TestSameSeedSameBytes(t *testing.T) {
	s := scenario(t, fmt.Sprintf(two, `{"on": true, "daily_limit": 30}`))
	var got []string
	for _, seed := range []uint64{1, 1, 2} {
		b, err := json.Marshal(predict(t, s, every(time.Minute, 200, "q", 0), seed))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b))
	}
	if got[0] != got[1] {
		t.Errorf("two reports of one seed:\n%s\n%s", got[0], got[1])
	}
	if got[0] == got[2] {
		t.Error("another seed draws the same times")
	}
}

// The rank is that of production: fewest open, then longest without, then ID.
func TestTheRankIsProductions(t *testing.T) {
	s := scenario(t, fmt.Sprintf(two, `{"on": true}`))
	r := predict(t, s, []Arrival{
		{monday, "q", 3600},                        // ana, who has it for an hour
		{monday.Add(time.Minute), "q", 60},         // ben, who is soon done
		{monday.Add(5 * time.Minute), "q", 60},     // ben: fewer open
		{monday.Add(10 * time.Minute), "q", 60},    // ben again
		{monday.Add(2 * time.Hour), "q", 60},       // ana: longest without
		{monday.Add(2*time.Hour + 1), "q", 60},     // ben
		{monday.Add(3 * time.Hour), "q", 60},       // ana: nobody has any, she was first
		{monday.Add(3 * time.Hour), "q", 7 * 3600}, // ben
	}, 1)
	want := []AgentReport{{"ana", 3, 1, 0, 3720}, {"ben", 5, 1, 0, 25440}}
	if fmt.Sprint(r.Agents) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", r.Agents, want)
	}
}

func TestAPolicyShiftsWaitAndLoad(t *testing.T) {
	arrivals := every(10*time.Minute, 40, "q", 300) // until 15:30
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		scenario string
		waiting  int
		max      time.Duration // longest wait
		agents   string        // assigned to each
	}{
		"no limits": {fmt.Sprintf(two, `{"on": true}`), 0, 0, "[20 20]"},
		"off":       {fmt.Sprintf(two, `{"on": false}`), 40, 0, "[0 0]"},
		// 20 of them at once; the other 20 from midnight on: the first came at 12:20.
		"a daily limit": {fmt.Sprintf(two, `{"on": true, "daily_limit": 10}`), 0, day - 12*time.Hour - 20*time.Minute, "[20 20]"},
		// Ana from ten on; what came before waits for her if only the logged-in get mail.
		"one comes later":       {`{"agents": [{"id": "ana", "hours": {"zone": "UTC", "week": [{"day": 1, "from": "10:00", "to": "24:00"}]}}], "queues": [{"id": "q", "agents": ["ana"], "assign": {"on": true, "only_logged_in": true}}]}`, 0, time.Hour, "[40]"},
		"log-ins do not matter": {`{"agents": [{"id": "ana", "hours": {"zone": "UTC", "week": [{"day": 1, "from": "10:00", "to": "24:00"}]}}], "queues": [{"id": "q", "agents": ["ana"], "assign": {"on": true}}]}`, 0, 0, "[40]"},
		// The queue opens at 11.
		"only in its hours": {`{"agents": [{"id": "ana"}], "queues": [{"id": "q", "agents": ["ana"], "hours": {"zone": "UTC", "week": [{"day": 1, "from": "11:00", "to": "24:00"}]}, "assign": {"on": true, "only_in_hours": true}}]}`, 0, 2 * time.Hour, "[40]"},
		"nobody":            {`{"queues": [{"id": "q", "assign": {"on": true}}]}`, 40, 0, "[]"},
		"hours that never meet": {`{"agents": [{"id": "ana", "hours": {"zone": "UTC", "week": [{"day": 3, "from": "09:00", "to": "10:00"}]}}],
			"queues": [{"id": "q", "agents": ["ana"], "hours": ` + office + `, "assign": {"on": true, "only_in_hours": true, "only_logged_in": true}}]}`, 40, 0, "[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := predict(t, scenario(t, c.scenario), arrivals, 1)
			shares := []int{}
			for _, a := range r.Agents {
				shares = append(shares, a.Assigned)
			}
			if q := r.Queues[0]; q.Waiting != c.waiting || q.Wait.Max != c.max.Seconds() || fmt.Sprint(shares) != c.agents {
				t.Errorf("%d wait, at most %gs, shares %v; want %d, %gs, %s", q.Waiting, q.Wait.Max, shares, c.waiting, c.max.Seconds(), c.agents)
			}
		})
	}
}

// The daily limit counts days of the queue's zone: Tokyo's next one begins at 15:00 UTC.
func TestTheLimitsDayIsTheQueues(t *testing.T) {
	s := scenario(t, `{"agents": [{"id": "ana"}], "queues": [{"id": "q", "agents": ["ana"], "hours": {"zone": "Asia/Tokyo"}, "assign": {"on": true, "daily_limit": 1}}]}`)
	r := predict(t, s, every(0, 2, "q", 60), 1)
	if got, want := r.Queues[0].Wait.Max, (6 * time.Hour).Seconds(); got != want {
		t.Errorf("the second waits %gs, not %gs", got, want)
	}
}

// Work is begun in working hours only, and finished.
func TestWorkingHours(t *testing.T) {
	s := scenario(t, `{"agents": [{"id": "ana", "hours": `+office+`}], "queues": [{"id": "q", "agents": ["ana"], "assign": {"on": true}}]}`)
	r := predict(t, s, []Arrival{{monday.Add(7 * time.Hour), "q", 7200}, {monday.Add(7 * time.Hour), "q", 60}}, 1)
	if got, want := r.Queues[0].Start, (Spread{0, 61200, 61200, 61200, 61200}); got != want { // 16:00, and 09:00 the next day
		t.Errorf("begun after %+v, not %+v", got, want)
	}
	if r.Agents[0].MaxOpen != 2 || r.Agents[0].Worked != 7260 {
		t.Errorf("%+v", r.Agents[0])
	}
}

func TestJain(t *testing.T) {
	for want, share := range map[float64][]int{1: {5, 5, 5}, 0.25: {8, 0, 0, 0}, 0.9: {2, 1}} {
		if got := jain(share); got != want {
			t.Errorf("%v: %g, want %g", share, got, want)
		}
	}
	if jain(nil) != 1 || jain([]int{0, 0}) != 1 {
		t.Error("nobody has anything, and that is unfair")
	}
}

func TestBadInputIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		`{"queues": []}`:                                                                                        "queues: there are none",
		`{"queues": [{"id": "q"}, {"id": "q"}]}`:                                                                "queues[1].id: \"q\" is there already",
		`{"queues": [{"id": "q", "agents": ["ana"]}]}`:                                                          "queues[0].agents[0]: there is no agent",
		`{"queues": [{"id": "q", "teams": ["x"]}]}`:                                                             "queues[0].teams[0]: no agent is in team",
		`{"queues": [{"id": "q", "colour": 1}]}`:                                                                "queues[0]: json: unknown field \"colour\"",
		`{"queues": [{"id": "q", "assign": {"limit": 1}}]}`:                                                     "queues[0].assign: json: unknown field",
		`{"queues": [{"id": "q", "assign": {"daily_limit": -1}}]}`:                                              "queues[0].assign.daily_limit: -1",
		`{"queues": [{"id": "q", "hours": {"zone": "Mars/Base"}}]}`:                                             "queues[0].hours.zone: ",
		`{"queues": [{"id": "q", "hours": {"zone": "UTC", "week": [{"day": 1, "from": "9", "to": "17:00"}]}}]}`: "queues[0].hours: ",
		`{"agents": [{"id": "a", "hours": {"zone": "X", "week": [{"day": 9}]}}], "queues": [{"id": "q"}]}`:      "agents[0].hours.week[0]: ",
		`{"agents": [{}], "queues": [{"id": "q"}]}`:                                                             "agents[0].id: missing",
		`{"queues": [{"id": "q", "handling": {"distribution": "normal"}}]}`:                                     "queues[0].handling.distribution: ",
		`{"handling": {"seconds": 0}, "queues": [{"id": "q"}]}`:                                                 "handling.seconds: 0",
		`{"queues": [{"id": "q"}]} {}`:                                                                          "policy: something follows",
		`[]`:                                                                                                    "policy: ",
	} {
		if _, err := ParseScenario([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	good := `{"time": "2026-03-02T09:00:00Z", "queue": "q", "handling_seconds": 1.5}`
	for text, want := range map[string]string{
		"":           "there are no arrivals",
		good + "\n{": "line 2: not a JSON object",
		good + "\n\n" + `{"time": "2026-03-02T09:00:00Z"}`: "line 3: queue: missing",
		`{"queue": "q"}`:                                          "line 1: time: missing",
		`{"time": "yesterday", "queue": "q"}`:                     "line 1: time: ",
		`{"time": "2026-03-02T09:00:00Z", "queue": 1}`:            "line 1: queue: ",
		strings.Replace(good, "1.5", "-1", 1):                     "line 1: handling_seconds: -1",
		strings.Replace(good, "queue", "queu", 1):                 "line 1: queu: is not known here",
		good + "\n" + `{"queue":"` + strings.Repeat("x", maxLine): "line 2: ",
	} {
		if _, err := ParseArrivals(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", text, err, want)
		}
	}
	if _, err := Run(scenario(t, `{"queues": [{"id": "q"}]}`), []Arrival{{monday, "q", 1}, {monday, "p", 1}}, 1); err == nil || !strings.Contains(err.Error(), `arrival 2: queue: the policy has no queue "p"`) {
		t.Errorf("an unknown queue: %v", err)
	}
}

// Nothing is lost and nothing happens twice, whatever the policy.
func TestEverySessionIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 3).Draw(t, "limit")
		logged, hours := rapid.Bool().Draw(t, "logged in"), rapid.Bool().Draw(t, "in hours")
		s, err := ParseScenario(fmt.Appendf(nil, `{"agents": [{"id": "ana", "hours": %s}, {"id": "ben", "teams": ["t"]}, {"id": "cho"}],
			"queues": [{"id": "q", "agents": ["ana"], "teams": ["t"], "hours": %s, "assign": {"on": true, "daily_limit": %d, "only_logged_in": %t, "only_in_hours": %t}},
			           {"id": "p", "agents": ["ana", "cho"], "assign": {"on": %t}}]}`, office, office, limit, logged, hours, rapid.Bool().Draw(t, "on")))
		if err != nil {
			t.Fatal(err)
		}
		arrivals := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Arrival {
			at := monday.Add(time.Duration(rapid.IntRange(0, 3*24*60).Draw(t, "minute")) * time.Minute)
			return Arrival{at, rapid.SampledFrom([]string{"q", "p"}).Draw(t, "queue"), rapid.Float64Range(0, 5000).Draw(t, "takes")}
		}), 1, 60).Draw(t, "arrivals")
		r, err := Run(s, arrivals, rapid.Uint64().Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		agents := 0
		for _, a := range r.Agents {
			if agents += a.Assigned; a.MaxOpen > a.Assigned || a.Open > a.MaxOpen {
				t.Fatalf("%+v", a)
			}
		}
		if r.Assigned+r.Waiting != len(arrivals) || agents != r.Assigned {
			t.Fatalf("%d arrivals, %d assigned, %d to agents, %d waiting", len(arrivals), r.Assigned, agents, r.Waiting)
		}
		for _, q := range r.Queues {
			for _, w := range []Spread{q.Wait, q.Start} {
				if w.P50 < 0 || w.P50 > w.P90 || w.P90 > w.P95 || w.P95 > w.P99 || w.P99 > w.Max {
					t.Fatalf("%+v", q)
				}
			}
		}
	})
}
