package channel

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/wire"
)

// Thing is a kind of what admins decide about.
type Thing string

// The things. There is one each of the first two, and the others have IDs.
const (
	ThingSettings Thing = "settings"
	ThingStorage  Thing = "storage" // a part of the settings' document
	ThingAccount  Thing = "account"
	ThingQueue    Thing = "queue"
	ThingAgent    Thing = "agent"
	ThingTeam     Thing = "team"
)

// Things are all of them.
var Things = []Thing{ThingSettings, ThingStorage, ThingAccount, ThingQueue, ThingAgent, ThingTeam}

// form says which fields of a thing's document admins decide: those of a type,
// or all but some. The others are the channel's own: what it counts, has found
// out, or derives from other things.
type form struct {
	only   reflect.Type
	except []string
}

var forms = map[Thing]form{
	ThingSettings: {except: []string{"version", "updated_at", "subject_key", "storage"}},
	ThingStorage:  {except: []string{"earlier"}},
	ThingAccount:  {only: reflect.TypeFor[AccountForm]()},
	ThingQueue:    {except: []string{"id", "updated_at"}},
	ThingAgent:    {only: reflect.TypeFor[AgentForm]()},
	ThingTeam:     {except: []string{"id", "updated_at"}},
}

func (f form) has(field string) bool {
	if f.only == nil {
		return !slices.Contains(f.except, field)
	}
	return slices.ContainsFunc(wire.Fields(f.only), func(x wire.Field) bool { return x.Name == field })
}

// decided is the part of a thing's tree that admins decide, nil where the
// thing does not exist. It is what the audit log compares, what tags cover and
// what the configuration file has.
func (k Thing) decided(tree map[string]any) map[string]any {
	if tree == nil {
		return nil
	}
	out := maps.Clone(tree)
	maps.DeleteFunc(out, func(name string, _ any) bool { return !forms[k].has(name) })
	return out
}

// differ tells whether two versions of a thing differ in what admins decide.
func (k Thing) differ(before, after any) bool {
	return len(wire.Compare(k.decided(tree(before)), k.decided(tree(after)))) > 0
}

func tree(v any) map[string]any {
	t, _ := wire.Encode(v).(map[string]any)
	return t
}

// thingID names one thing; ID is empty where there is only one.
type thingID struct {
	Thing
	id string
}

// String returns words such as "queue support".
func (t thingID) String() string { return strings.TrimSpace(string(t.Thing) + " " + t.id) }

// path is where the thing's document is.
func (t thingID) path() string {
	switch t.Thing {
	case ThingAccount:
		return accountPath(t.id)
	case ThingQueue:
		return queuePath(t.id)
	case ThingAgent:
		return agentPath(t.id)
	case ThingTeam:
		return teamPath(t.id)
	}
	return settingsPath
}

// thingsAt are those that a document holds; none where admins decide nothing.
func thingsAt(path string) []thingID {
	if path == settingsPath {
		return []thingID{{Thing: ThingSettings}, {Thing: ThingStorage}}
	}
	_, id, _ := strings.Cut(path, "/")
	if strings.Contains(id, "/") {
		return nil
	}
	for _, k := range Things {
		if t := (thingID{k, id}); t.path() == path {
			return []thingID{t}
		}
	}
	return nil
}

// blank is a pointer for the document of a path with things.
func blank(path string) any {
	switch thingsAt(path)[0].Thing {
	case ThingAccount:
		return &Account{}
	case ThingQueue:
		return &Queue{}
	case ThingAgent:
		return &Agent{}
	case ThingTeam:
		return &Team{}
	}
	return &Settings{}
}

// part is what a thing is of its document's tree. The settings are there
// before anybody saved them.
func (t thingID) part(document map[string]any) map[string]any {
	if document == nil && (t.Thing == ThingSettings || t.Thing == ThingStorage) {
		document = tree(Defaults())
	}
	if t.Thing != ThingStorage {
		return document
	}
	if s, ok := document["storage"].(map[string]any); ok {
		return s
	}
	return tree(Storage{})
}

// digestOf identifies a tree's content.
func digestOf(tree map[string]any) string {
	b, err := json.Marshal(tree) // sorts by name
	if err != nil {
		panic(err) // trees have what JSON has
	}
	return digest(string(b))
}
