package channel

import (
	"context"
	"fmt"
	"time"
)

// Seed is a whole configuration, as the emulator starts with. Secrets are
// stored under their names.
type Seed struct {
	Settings Settings          `json:"settings"`
	Accounts []Account         `json:"accounts"`
	Queues   []Queue           `json:"queues"`
	Agents   []Agent           `json:"agents"`
	Teams    []Team            `json:"teams"`
	Secrets  map[string]string `json:"secrets"`
}

// Seed stores a configuration without logging in anywhere. What the channel
// has learned since stays: the counters and presence of agents, the status of
// accounts. Doing it again changes nothing else.
func (a *Admin) Seed(ctx context.Context, s Seed) error {
	for name, want := range s.Secrets {
		if have, err := a.Secrets.Get(ctx, name); err == nil && have == want {
			continue
		}
		if err := a.Secrets.Put(ctx, name, want); err != nil {
			return fmt.Errorf("secret %s: %w", name, err)
		}
	}
	return a.save(ctx, thingID{Thing: ThingSettings}, func(ctx context.Context, tx *edit, now time.Time) error {
		have, err := get[Settings](ctx, tx, settingsPath)
		if err != nil {
			return err
		}
		w, err := read(ctx, tx)
		if err != nil {
			return err
		}
		agents, err := all(ctx, tx, "agents", agentID)
		if err != nil {
			return err
		}
		settings := s.Settings
		settings.Version, settings.UpdatedAt = 1, now
		if have != nil {
			settings.Version = have.Version + 1
		}
		tx.Set(settingsPath, settings)
		s.store(tx, w, agents, now)
		return nil
	})
}

// store writes everything but the settings over what is there.
func (s Seed) store(tx Tx, w world, agents map[string]Agent, now time.Time) {
	for _, acc := range s.Accounts {
		if old, ok := w.accounts[acc.ID]; ok {
			acc.Status, acc.CreatedAt = old.Status, old.CreatedAt
		} else {
			tx.Set(loginPath(acc.ID), login(acc)) // due at once where nobody ever logged in
		}
		acc.UpdatedAt = now
		tx.Set(accountPath(acc.ID), acc)
	}
	for _, t := range s.Teams {
		t.UpdatedAt = now
		tx.Set(teamPath(t.ID), t)
	}
	for _, q := range s.Queues {
		q.UpdatedAt = now
		w.queues[q.ID] = q
		tx.Set(queuePath(q.ID), q)
	}
	for _, ag := range s.Agents {
		ag.UpdatedAt, ag.SeenAt = now, now
		old, known := agents[ag.ID]
		w.settle(&ag, old)
		ag.keep(tx, !known)
		delete(agents, ag.ID)
	}
	w.serve(tx, agents) // the others, for whom a queue may have changed
}
