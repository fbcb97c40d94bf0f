package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"gopkg.in/yaml.v3"

	"emailchannel.dev/emailchannel/shared/route/sim"
)

// simulateCommand predicts wait and load under a policy (AS-8), or records
// what a prediction starts from.
func simulateCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("simulate", flag.ContinueOnError)
	arrivals := fs.String("arrivals", "", `file of arrivals, a line each: {"time":"2026-03-02T09:00:00Z","queue":"support","handling_seconds":300}; the last may be left out`)
	policy := fs.String("policy", "", "file of queues and agents, YAML or JSON; see package shared/route/sim")
	seed := fs.Uint64("seed", 1, "of the handling times that are drawn")
	oneLine := fs.Bool("json", false, "print the report as JSON on one line")
	from := fs.String("record", "", "address of a running channel, such as http://127.0.0.1:8080: write its arrivals and its policy to the two files, and end")
	token := fs.String("token", "supervisor-token", "bearer token for --record")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *arrivals == "" || *policy == "" || fs.NArg() > 0 {
		return errors.New("simulate: name two files, with --arrivals and --policy")
	}
	if *from != "" {
		return (&recorder{url: *from, token: *token}).record(ctx, *arrivals, *policy)
	}
	report, err := simulate(*arrivals, *policy, *seed)
	if err != nil {
		return err
	}
	if *oneLine {
		return json.NewEncoder(os.Stdout).Encode(report)
	}
	return tabulate(os.Stdout, report)
}

func simulate(arrivals, policy string, seed uint64) (sim.Report, error) {
	text, err := os.ReadFile(policy)
	if err != nil {
		return sim.Report{}, err
	}
	if text, err = toJSON(text); err != nil {
		return sim.Report{}, fmt.Errorf("%s: %w", policy, err)
	}
	scenario, err := sim.ParseScenario(text)
	if err != nil {
		return sim.Report{}, fmt.Errorf("%s: %w", policy, err)
	}
	f, err := os.Open(arrivals)
	if err != nil {
		return sim.Report{}, err
	}
	defer f.Close()
	list, err := sim.ParseArrivals(f)
	if err != nil {
		return sim.Report{}, fmt.Errorf("%s: %w", arrivals, err)
	}
	report, err := sim.Run(scenario, list, seed)
	if err != nil {
		return report, fmt.Errorf("%s: %w", arrivals, err)
	}
	return report, nil
}

// toJSON makes JSON of YAML; what begins with a brace is JSON already. A date
// stays as it is written.
func toJSON(text []byte) ([]byte, error) {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return text, nil
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	datesAreWords(&root)
	var v any
	if err := root.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func datesAreWords(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, c := range n.Content {
		datesAreWords(c)
	}
}

// tabulate prints the report for people.
func tabulate(w io.Writer, r sim.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	const stamp = "2006-01-02 15:04:05"
	fmt.Fprintf(w, "%d arrivals from %s, until %s UTC, seed %d: %d assigned, %d still waiting, fairness %.4f (Jain)\n\n",
		r.Arrivals, r.From.Format(stamp), r.Until.Format(stamp), r.Seed, r.Assigned, r.Waiting, r.Fairness)
	fmt.Fprintln(t, "queue\tarrivals\tassigned\twaiting\twait p50\tp90\tp95\tp99\tmax\tstart p50\tp90\tp99\tmax\tfairness\t")
	for _, q := range r.Queues {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.0fs\t%.0fs\t%.0fs\t%.0fs\t%.0fs\t%.0fs\t%.0fs\t%.0fs\t%.0fs\t%.4f\t\n", q.ID, q.Arrivals, q.Assigned, q.Waiting,
			q.Wait.P50, q.Wait.P90, q.Wait.P95, q.Wait.P99, q.Wait.Max, q.Start.P50, q.Start.P90, q.Start.P99, q.Start.Max, q.Fairness)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(t, "agent\tassigned\tmax open\tstill open\tworked\t")
	for _, a := range r.Agents {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.0fs\t\n", a.ID, a.Assigned, a.MaxOpen, a.Open, a.Worked)
	}
	return t.Flush()
}
