package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/replay"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const arrivals = `{"time": "2026-03-02T09:00:00Z", "queue": "support", "handling_seconds": 60}
{"time": "2026-03-10T09:00:00Z", "queue": "support"}
`

// YAML and JSON say the same, also where YAML knows more types.
func TestAPolicyIsYAMLOrJSON(t *testing.T) {
	for name, text := range map[string]string{
		"p.yaml": "agents:\n- id: ana\nqueues:\n- id: support\n  agents: [ana]\n  hours:\n    zone: UTC\n    week: [{day: 2, from: 09:00, to: '24:00'}]\n    holidays: [{name: Fair, date: 2026-03-03}]\n  assign: {on: true, only_in_hours: true}\n",
		"p.json": "\n\t" + `{"agents": [{"id": "ana"}], "queues": [{"id": "support", "agents": ["ana"], "hours": {"zone": "UTC", "week": [{"day": 2, "from": "09:00", "to": "24:00"}], "holidays": [{"name": "Fair", "date": "2026-03-03"}]}, "assign": {"on": true, "only_in_hours": true}}]}`,
	} {
		r, err := simulate(write(t, "a.jsonl", arrivals), write(t, name, text), 1)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// Tuesday the 3rd is a holiday, so the first waits until the 10th, when the second comes.
		if q := r.Queues[0]; q.Wait.Max != (8*24*time.Hour).Seconds() || q.Wait.P50 != 0 {
			t.Errorf("%s: %+v", name, q)
		}
	}
}

func TestBadFilesAreNamed(t *testing.T) {
	good := "queues: [{id: support}]"
	for _, c := range []struct{ arrivals, policy, want string }{
		{arrivals, "queues: [{id: support, assign: {of: true}}]", "p.yaml: queues[0].assign: "},
		{arrivals, "queues: [", "p.yaml: yaml: line 1"},
		{arrivals + "{}", good, "a.jsonl: line 3: time: missing"},
		{strings.ReplaceAll(arrivals, "support", "sales"), good, `a.jsonl: arrival 1: queue: the policy has no queue "sales"`},
	} {
		if _, err := simulate(write(t, "a.jsonl", c.arrivals), write(t, "p.yaml", c.policy), 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	if err := simulateCommand(t.Context(), []string{"--policy", "x"}); err == nil {
		t.Error("without arrivals")
	}
}

// What a running channel recorded can be played again under its own policy.
func TestRecordedArrivalsAreSimulated(t *testing.T) {
	var f suiteFlags
	s, err := f.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	fed, _, err := replay.Run(ctx, s, "ingest", replay.Generate(30, 1, []string{"support@example.com"}))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	arrivals, policy := filepath.Join(dir, "a.jsonl"), filepath.Join(dir, "p.json")
	if err := simulateCommand(ctx, []string{"--record", "http://" + s.Addrs.HTTP, "--arrivals", arrivals, "--policy", policy}); err != nil {
		t.Fatal(err)
	}
	var reports []string
	for range 2 {
		r, err := simulate(arrivals, policy, 1)
		if err != nil {
			t.Fatal(err)
		}
		if r.Arrivals != fed.Sessions || r.Assigned != fed.Sessions || len(r.Agents) != 5 || len(r.Queues) != 3 {
			t.Errorf("%d sessions, and %+v", fed.Sessions, r)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, string(b))
	}
	if reports[0] != reports[1] {
		t.Errorf("two reports:\n%s\n%s", reports[0], reports[1])
	}
}
