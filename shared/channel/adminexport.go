package channel

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"emailchannel.dev/emailchannel/shared/wire"
)

// Export is the whole configuration as a file, see [Setup].
type Export struct {
	File []byte
	Tag  string // of this version, for a [Precondition] of an import
}

// maxExports bounds how often an export begins again because somebody saved
// meanwhile.
const maxExports = 5

// Export writes the configuration. It is one consistent picture without locking
// anything: the version of the settings grows with each change of any, and is
// the same before and after.
func (a *Admin) Export(ctx context.Context) (*Export, error) {
	for range maxExports {
		p, err := a.picture(ctx, a.Docs)
		if err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
		now, err := settings(ctx, a.Docs)
		if err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
		if now.Version == p.settings.Version {
			return p.export()
		}
	}
	return nil, conflict("somebody changes settings all the time; export once more")
}

// picture is the configuration as it is stored.
type picture struct {
	settings Settings
	world
	agents map[string]Agent
	last   time.Time // of the last change
}

func (a *Admin) picture(ctx context.Context, r Reader) (*picture, error) {
	set, err := settings(ctx, r)
	if err != nil {
		return nil, err
	}
	p := &picture{settings: *set}
	if p.world, err = read(ctx, r); err != nil {
		return nil, err
	}
	if p.agents, err = all(ctx, r, "agents", agentID); err != nil {
		return nil, err
	}
	q := latest("audit")
	q.Limit = 1
	entries, err := find[Audit](ctx, r, q)
	if len(entries) > 0 {
		p.last = entries[0].At
	}
	return p, err
}

// export makes the file, and its tag of the time of the last change and of all
// that the file has; the time only serves to tell what happened since.
func (p *picture) export() (*Export, error) {
	agents := maps.Clone(p.agents)
	maps.DeleteFunc(agents, func(_ string, ag Agent) bool { return ag.Role == "" }) // on his way out, see DeleteAgent
	file, err := wire.FormatYAML(map[string]any{
		"settings": ThingSettings.decided(tree(p.settings)),
		"storage":  ThingStorage.decided(tree(p.settings.Storage)),
		"accounts": formsOf(ThingAccount, p.accounts),
		"queues":   formsOf(ThingQueue, p.queues),
		"agents":   formsOf(ThingAgent, agents),
		"teams":    formsOf(ThingTeam, p.teams),
	})
	if err != nil {
		return nil, err
	}
	return &Export{file, strconv.FormatInt(p.last.UnixMicro(), 36) + "-" + digest(string(file))}, nil
}

func formsOf[T any](k Thing, things map[string]T) map[string]any {
	out := map[string]any{}
	for id, v := range things {
		out[id] = k.decided(tree(v))
	}
	return out
}

// check holds the whole configuration against a precondition.
func (p *picture) check(ctx context.Context, r Reader, only Precondition) error {
	now, err := p.export()
	if err != nil {
		return err
	}
	switch {
	case only.New:
		return &Outdated{What: "configuration", Problem: "exists already"}
	case len(only.Match) == 0, slices.Contains(only.Match, AnyTag), slices.Contains(only.Match, now.Tag):
		return nil
	}
	out := &Outdated{What: "configuration", Problem: "was changed meanwhile"}
	q := latest("audit")
	q.Limit = maxSince
	if since, ok := only.since(); ok {
		q.Where = []Where{{"at", ">", since}}
	} else {
		q.Limit = 1
	}
	list, err := find[Audit](ctx, r, q)
	if err != nil {
		return err
	}
	for _, e := range list {
		h := e.happened()
		h.Thing = (thingID{e.Kind, e.Thing}).String()
		out.Since = append(out.Since, h)
	}
	return out
}
