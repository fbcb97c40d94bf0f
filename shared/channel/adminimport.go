package channel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/wire"
)

// ImportOptions say how a file is applied.
type ImportOptions struct {
	Prune  bool // of each section that the file has, what it does not name is deleted
	DryRun bool // nothing is written
}

// Imported is what an import changed, or would change.
type Imported struct {
	DryRun  bool    `json:"dry_run"`
	Changes []Audit `json:"changes"`
}

// maxImport bounds how many things one import changes: each is two writes, and
// all are one commit of at most 10 MiB.
const maxImport = 2000

// Import makes the configuration what a file says, in one transaction. All of
// it is checked first, as it will be together, and every bad field is named by
// its path; then nothing is written. What the file names is replaced as by a
// PUT; what it does not name stays, unless it is to be pruned. Secrets stay, and
// a new account has none and is invalid until it is given one. An import of an
// export changes nothing.
func (a *Admin) Import(ctx context.Context, s *Setup, o ImportOptions) (*Imported, error) {
	var bad Invalid
	if err := a.prepare(ctx, s, o, &bad); err != nil {
		return nil, err
	}
	out := &Imported{DryRun: o.DryRun}
	var done *edit
	err := a.If(Precondition{}).save(ctx, thingID{}, func(ctx context.Context, tx *edit, now time.Time) error {
		p, err := a.picture(ctx, tx)
		if err != nil {
			return err
		}
		if err := p.check(ctx, tx, a.only); err != nil {
			return err
		}
		im := importing{file: s, was: p, now: now, bad: Invalid{bad.Fields[:len(bad.Fields):len(bad.Fields)]}}
		im.overlay(o.Prune)
		if err := a.verdict(im.check(ctx, tx, a.who)); err != nil {
			return err
		}
		im.write(tx)
		done = tx
		before, after, err := tx.compare(ctx)
		if err != nil {
			return err
		}
		out.Changes = tx.entries(before, after)
		if n := len(out.Changes); n > maxImport {
			return &Invalid{[]Field{{"file", fmt.Sprintf("changes %d things, and at most %d can change at once: import it in parts, since what a part does not name stays", n, maxImport)}}}
		}
		if o.DryRun {
			return errUnchanged
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if o.DryRun {
		return out, nil
	}
	if done.log != nil {
		out.Changes = done.log
	}
	return out, errors.Join(a.follow(ctx), a.Bus.Publish(ctx, event.TopicQueue, event.Encode(event.Queue{})))
}

// prepare completes a file with what only secrets can tell.
func (a *Admin) prepare(ctx context.Context, s *Setup, o ImportOptions, bad *Invalid) error {
	if s.Storage != nil {
		st, err := a.checkStorage(ctx, *s.Storage, "")
		if err := bad.under("storage.", err); err != nil {
			return err
		}
		s.Storage = &st
	}
	for id, f := range s.Accounts {
		a.encrypted(bad, "accounts."+id+".oauth.token_url", f.OAuth.TokenURL)
	}
	if s.Settings == nil {
		return nil
	}
	s.Settings.CRM.complete()
	a.encrypted(bad, "settings.crm.base_url", s.Settings.CRM.BaseURL)
	if o.DryRun || a.bad != nil || s.Settings.check() != nil {
		return nil
	}
	if err := a.subjectKey(ctx, s.Settings); err != nil {
		return fmt.Errorf("key of the subject tokens: %w", err)
	}
	return nil
}

// importing is one import within its transaction.
type importing struct {
	file *Setup
	was  *picture
	to   picture   // as it will be
	gone []thingID // what is pruned
	now  time.Time
	bad  Invalid
}

// overlay puts the file over what is there.
func (im *importing) overlay(prune bool) {
	im.to = picture{settings: im.was.settings, agents: map[string]Agent{}, world: world{accounts: map[string]Account{}, queues: map[string]Queue{}, teams: map[string]Team{}}}
	over(im, ThingAccount, layer[Account]{im.was.accounts, im.to.accounts, keys(im.file.Accounts), prune && im.file.Accounts != nil}, im.account)
	over(im, ThingQueue, layer[Queue]{im.was.queues, im.to.queues, keys(im.file.Queues), prune && im.file.Queues != nil}, im.queue)
	over(im, ThingTeam, layer[Team]{im.was.teams, im.to.teams, keys(im.file.Teams), prune && im.file.Teams != nil}, im.team)
	over(im, ThingAgent, layer[Agent]{im.was.agents, im.to.agents, keys(im.file.Agents), prune && im.file.Agents != nil}, im.agent)
	for id := range im.file.Agents {
		ag := im.to.agents[id]
		im.to.settle(&ag, im.was.agents[id])
		im.to.agents[id] = ag
	}
}

// layer is a collection as it is and as it will be, and the IDs that the file names.
type layer[T any] struct {
	was, to map[string]T
	named   map[string]bool
	prune   bool
}

func over[T any](im *importing, k Thing, l layer[T], made func(id string) T) {
	for id, v := range l.was {
		if l.named[id] || !l.prune {
			l.to[id] = v
		} else {
			im.gone = append(im.gone, thingID{k, id})
		}
	}
	for id := range l.named {
		l.to[id] = made(id)
	}
}

func keys[T any](m map[string]T) map[string]bool {
	out := make(map[string]bool, len(m))
	for id := range m {
		out[id] = true
	}
	return out
}

func (im *importing) account(id string) Account {
	f := im.file.Accounts[id]
	before, was := im.was.accounts[id]
	if was && len(wire.Compare(tree(f), tree(before.form()))) == 0 {
		return before // also where it lacks what a new one is given
	}
	acc := f.account(id)
	acc.UpdatedAt = im.now
	if was {
		hosts, token := acc.elsewhere(before)
		if token {
			hosts = append(hosts, "oauth.token_url")
		}
		for _, field := range hosts {
			im.bad.add("accounts."+id+"."+field, "is another server than the stored credentials were given for: PUT /v1/accounts/%s takes both", id)
		}
		acc.Secret, acc.Status, acc.CreatedAt = before.Secret, before.Status, before.CreatedAt
		return acc
	}
	acc.CreatedAt = im.now
	acc.Secret = accountSecrets + id + "-" + strings.ToLower(rand.Text()[:10])
	acc.Status = AccountStatus{CheckedAt: im.now, Error: "it has no password yet: PUT /v1/accounts/" + id + " takes one"}
	return acc
}

// form is what an admin would say of the account.
func (acc Account) form() AccountForm {
	var f AccountForm
	wire.Decode(ThingAccount.decided(tree(acc)), &f)
	return f
}

func (im *importing) queue(id string) Queue {
	q := im.file.Queues[id]
	q.UpdatedAt = im.now
	return unlessSame(ThingQueue, im.was.queues, id, q)
}

func (im *importing) team(id string) Team {
	t := im.file.Teams[id]
	t.UpdatedAt = im.now
	return unlessSame(ThingTeam, im.was.teams, id, t)
}

// unlessSame is v, or what is there already when admins decide the same of both.
func unlessSame[T any](k Thing, was map[string]T, id string, v T) T {
	if before, ok := was[id]; ok && !k.differ(before, v) {
		return before
	}
	return v
}

func (im *importing) agent(id string) Agent {
	f := im.file.Agents[id]
	ag := im.was.agents[id]
	ag.ID, ag.Name, ag.Alias, ag.Role, ag.Teams, ag.UpdatedAt = id, f.Name, f.Alias, f.Role, f.Teams, im.now
	return unlessSame(ThingAgent, im.was.agents, id, ag)
}

// write writes what differs.
func (im *importing) write(tx *edit) {
	im.settings(tx)
	for _, acc := range sorted(im.to.accounts) {
		if before, was := im.was.accounts[acc.ID]; was && !ThingAccount.differ(before, acc) {
			continue
		}
		tx.Set(accountPath(acc.ID), acc)
		tx.Set(loginPath(acc.ID), Login{Account: acc.ID, Due: im.now, Status: acc.Status}) // the next sweep logs in
	}
	for _, t := range sorted(im.to.teams) {
		tx.Set(teamPath(t.ID), t)
	}
	for _, q := range sorted(im.to.queues) {
		tx.Set(queuePath(q.ID), q)
	}
	others := maps.Clone(im.was.agents)
	for id := range im.file.Agents {
		if before, was := im.was.agents[id]; !was || ThingAgent.differ(before, im.to.agents[id]) {
			im.to.agents[id].keep(tx, !was)
			delete(others, id)
		}
	}
	for _, t := range im.gone {
		delete(others, t.id) // an agent's
		tx.Delete(t.path())
		if acc, ok := im.was.accounts[t.id]; ok && t.Thing == ThingAccount {
			tx.Delete(loginPath(t.id))
			tx.Set(discardPath(acc.Secret), Discard{Secret: acc.Secret, Due: im.now})
		}
	}
	im.to.serve(tx, others) // for whom a queue may have changed
}

// settings writes those of the channel and of storage, which are one document.
func (im *importing) settings(tx *edit) {
	if im.to.settings.Version != im.was.settings.Version {
		tx.Set(settingsPath, im.to.settings)
	}
}
