package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/route"
	"emailchannel.dev/emailchannel/shared/route/sim"
)

// recorder reads from the API of a running channel what a simulation needs.
type recorder struct{ url, token string }

// record writes every session that an end user began as an arrival, and the
// queues and agents as they are now. How long a session took nobody recorded.
func (r *recorder) record(ctx context.Context, arrivals, policy string) error {
	list, err := r.arrivals(ctx)
	if err != nil {
		return err
	}
	text, err := r.policy(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(policy, text, 0o600); err != nil {
		return err
	}
	f, err := os.Create(arrivals)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, a := range list {
		if err := enc.Encode(a); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(w.Flush(), f.Close())
}

func (r *recorder) arrivals(ctx context.Context) ([]sim.Arrival, error) {
	type session struct {
		Queue     string    `json:"queue"`
		CreatedAt time.Time `json:"created_at"`
		Outbound  bool      `json:"outbound"`
	}
	var out []sim.Arrival
	err := items(ctx, r, "/v1/sessions?limit=200&created_from=0001-01-01T00:00:00Z", func(s session) {
		if !s.Outbound && s.Queue != "" {
			out = append(out, sim.Arrival{Time: s.CreatedAt, Queue: s.Queue})
		}
	})
	slices.Reverse(out) // the list has the latest first
	return out, err
}

// policy is the scenario of today, as [sim.ParseScenario] reads it.
func (r *recorder) policy(ctx context.Context) ([]byte, error) {
	type queue struct {
		ID     string       `json:"id"`
		Hours  hours.Hours  `json:"hours"`
		Assign route.Policy `json:"assign"`
		Agents []string     `json:"agents"`
		Teams  []string     `json:"teams"`
	}
	type agent struct {
		ID    string   `json:"id"`
		Teams []string `json:"teams"`
		Role  string   `json:"role,omitempty"` // read and not written
	}
	var all struct {
		Queues []queue `json:"queues"`
		Agents []agent `json:"agents"`
	}
	staffed := map[string]bool{}
	err := items(ctx, r, "/v1/agents", func(a agent) {
		if a.Role == channel.RoleAgent {
			a.Role = ""
			all.Agents = append(all.Agents, a)
			for _, t := range a.Teams {
				staffed[t] = true
			}
		}
	})
	if err != nil {
		return nil, err
	}
	err = items(ctx, r, "/v1/queues", func(q queue) {
		q.Teams = slices.DeleteFunc(q.Teams, func(t string) bool { return !staffed[t] })
		all.Queues = append(all.Queues, q)
	})
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(all, "", "  ")
}

// items calls each for every item of a list, page by page.
func items[T any](ctx context.Context, r *recorder, path string, each func(T)) error {
	at, err := url.Parse(r.url + path)
	if err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	for {
		var page struct {
			Items []T
			Next  string
		}
		if err := r.get(ctx, at.String(), &page); err != nil {
			return err
		}
		for _, v := range page.Items {
			each(v)
		}
		if page.Next == "" {
			return nil
		}
		q := at.Query()
		q.Set("cursor", page.Next)
		at.RawQuery = q.Encode()
	}
}

func (r *recorder) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("--record: %s: %s", url, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("--record: %s: %w", url, err)
	}
	return nil
}
