package channel

import (
	"fmt"
	"maps"
	"slices"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/wire"
)

// Setup is a whole configuration as one YAML file has it: what admins decide,
// without secrets and without what the channel counts or finds out. Things are
// by their IDs, so that a change of one is a change of a few lines. A section
// that is nil says nothing about its things.
type Setup struct {
	Settings *Settings
	Storage  *Storage
	Accounts map[string]AccountForm
	Queues   map[string]Queue
	Agents   map[string]AgentForm
	Teams    map[string]Team
}

// sections are the names of the file's parts that have several things.
var sections = map[Thing]string{ThingAccount: "accounts", ThingQueue: "queues", ThingAgent: "agents", ThingTeam: "teams"}

// ParseSetup reads a file, and names everything in it that has no place there
// ([*Invalid]); what has one is returned even so, see [Admin.Besides]. The
// caller limits its bytes.
func ParseSetup(file []byte) (*Setup, error) {
	parsed, bad, err := wire.ParseYAML(file)
	if err != nil {
		return nil, &Invalid{[]Field{{"file", fmt.Sprintf("is no YAML: %v", err)}}}
	}
	root, ok := parsed.(map[string]any)
	if !ok && parsed != nil {
		return nil, &Invalid{[]Field{{"file", "must have settings, storage, accounts, queues, agents or teams"}}}
	}
	r := setupReader{bad: bad}
	var s Setup
	for _, name := range slices.Sorted(maps.Keys(root)) {
		switch name {
		case "settings":
			set := Blank()
			r.one(ThingSettings, name, root[name], &set, func(v any) { s.Settings = v.(*Settings) })
		case "storage":
			r.one(ThingStorage, name, root[name], new(Storage), func(v any) { s.Storage = v.(*Storage) })
		case "accounts":
			s.Accounts = several(&r, ThingAccount, root[name], func(id string, f *AccountForm) string { return id })
			r.noSecrets(s.Accounts)
		case "queues":
			s.Queues = several(&r, ThingQueue, root[name], func(id string, q *Queue) string { q.ID = id; return id })
		case "agents":
			s.Agents = several(&r, ThingAgent, root[name], func(id string, _ *AgentForm) string { return email.Normalize(id) })
		case "teams":
			s.Teams = several(&r, ThingTeam, root[name], func(id string, t *Team) string { t.ID = id; return id })
		default:
			r.refuse(name, "is not known here")
		}
	}
	return &s, Misfits(r.bad)
}

// setupReader collects what has no place in the file.
type setupReader struct{ bad []wire.Misfit }

func (r *setupReader) refuse(path, message string) {
	r.bad = append(r.bad, wire.Misfit{Path: path, Message: message})
}

// one reads a thing. What the channel keeps of it is refused by name.
func (r *setupReader) one(k Thing, path string, from any, into any, done func(any)) {
	fields, ok := from.(map[string]any)
	if !ok {
		r.refuse(path, "must be a map")
		return
	}
	for _, m := range wire.Decode(k.decided(fields), into) {
		r.refuse(path+"."+m.Path, m.Message)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !forms[k].has(name) {
			r.refuse(path+"."+name, "is not known here, or the channel's own")
		}
	}
	done(into)
}

func several[T any](r *setupReader, k Thing, from any, named func(id string, v *T) string) map[string]T {
	out := map[string]T{}
	things, ok := from.(map[string]any)
	if !ok && from != nil {
		r.refuse(sections[k], "must be a map")
	}
	for _, name := range slices.Sorted(maps.Keys(things)) {
		v, path := new(T), sections[k]+"."+name
		r.one(k, path, things[name], v, func(any) {})
		id := named(name, v)
		if _, twice := out[id]; twice {
			r.refuse(path, "is there twice")
		}
		out[id] = *v
	}
	return out
}

// noSecrets refuses passwords: the file is for repositories and mails.
func (r *setupReader) noSecrets(accounts map[string]AccountForm) {
	for _, id := range slices.Sorted(maps.Keys(accounts)) {
		c := accounts[id].Credentials
		for _, name := range c.names() {
			r.refuse("accounts."+id+"."+name, "secrets have no place in the file: PUT /v1/accounts/"+id+" takes them")
		}
	}
}

// under adds what an error says is invalid, with a prefix; another error is returned.
func (e *Invalid) under(prefix string, err error) error {
	bad, ok := err.(*Invalid)
	if !ok {
		return err
	}
	for _, f := range bad.Fields {
		e.Fields = append(e.Fields, Field{prefix + f.Name, f.Message})
	}
	return nil
}
