package channel

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// check names everything that is wrong with the configuration as it will be:
// first what the file says, thing by thing, then what it leaves out.
func (im *importing) check(ctx context.Context, tx Tx, who Actor) error {
	if err := im.general(); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(im.file.Accounts)) {
		acc, at := im.to.accounts[id], "accounts."+id+"."
		_ = im.bad.under(at, acc.check())
		_ = im.bad.under(at, im.to.alone(acc))
	}
	for _, id := range slices.Sorted(maps.Keys(im.file.Teams)) {
		_ = im.bad.under("teams."+id+".", im.to.teams[id].check())
	}
	for _, id := range slices.Sorted(maps.Keys(im.file.Agents)) {
		at := "agents." + id + "."
		_ = im.bad.under(at, im.file.Agents[id].check(id))
		_ = im.bad.under(at, im.to.member(im.file.Agents[id]))
	}
	for _, id := range slices.Sorted(maps.Keys(im.file.Queues)) {
		q := im.to.queues[id]
		q.UpdatedAt = im.now
		err := im.to.whole(ctx, tx, q, im.to.agents, im.was.queues[id])
		if err := im.bad.under("queues."+id+".", err); err != nil {
			return err
		}
	}
	for _, t := range im.gone {
		if err := im.leave(ctx, tx, t, who); err != nil {
			return err
		}
	}
	return im.bad.err()
}

// general makes the settings as they will be, and checks them.
func (im *importing) general() error {
	have := im.was.settings
	if set := im.file.Settings; set != nil {
		to := *set
		if to.SubjectKey == "" {
			to.SubjectKey = have.SubjectKey
		}
		to.follows(&have, false, im.now)
		im.to.settings = to
		if err := im.bad.under("settings.", to.check()); err != nil {
			return err
		}
	}
	if im.file.Storage == nil {
		return nil
	}
	to, err := im.file.Storage.after(have.Storage)
	if err := im.bad.under("storage.", err); err != nil {
		return err
	}
	if ThingStorage.differ(have.Storage, to) {
		im.to.settings.Storage, im.to.settings.UpdatedAt, im.to.settings.Version = to, im.now, have.Version+1
	}
	return nil
}

// leave names what is in the way of a thing that the file does not name and
// that is to be deleted.
func (im *importing) leave(ctx context.Context, tx Tx, t thingID, who Actor) error {
	at := sections[t.Thing] + "." + t.id
	var q Query
	remedy := ""
	switch t.Thing {
	case ThingAccount:
		im.inUse(at, func(q Queue) bool { return slices.Contains(q.Accounts, t.id) || q.Response.Account == t.id })
		return nil
	case ThingTeam:
		im.inUse(at, func(q Queue) bool { return slices.Contains(q.Teams, t.id) })
		for _, ag := range sorted(im.to.agents) {
			if slices.Contains(ag.Teams, t.id) {
				im.bad.add(at, "is not in the file, and agent %s is in it", ag.ID)
			}
		}
		return nil
	case ThingQueue:
		im.inUse(at, func(q Queue) bool { return q.Parent == t.id })
		q, remedy = openIn(t.id), fmt.Sprintf("DELETE /v1/queues/%s?move_to=… moves them", t.id)
	case ThingAgent:
		if t.id == who.ID {
			im.bad.add(at, "is not in the file, and you cannot delete yourself")
		}
		im.inUse(at, func(q Queue) bool { return slices.Contains(q.Agents, t.id) })
		q, remedy = Query{Collection: "sessions", Where: []Where{{"agent", "==", t.id}}}, fmt.Sprintf("DELETE /v1/agents/%s frees them", t.id)
	}
	n, err := tx.Count(ctx, q, maxCounted)
	if err == nil && n > 0 {
		im.bad.add(at, "is not in the file, and has %d sessions: %s", n, remedy)
	}
	return err
}

// inUse names the queues that stay and use what is to be deleted. Those that
// the file has name it themselves.
func (im *importing) inUse(at string, uses func(Queue) bool) {
	for _, q := range sorted(im.to.queues) {
		if _, named := im.file.Queues[q.ID]; !named && uses(q) {
			im.bad.add(at, "is not in the file, and queue %s (%s) uses it", q.ID, q.Name)
		}
	}
}
