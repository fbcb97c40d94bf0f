package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"emailchannel.dev/emailchannel/shared/wire"
)

// Audit is an entry of the audit log (AG-4): one change of one thing, written
// in the transaction that made it: audit/{ID}. A save that changes several
// things has an entry for each, with the same time. What admins do not decide
// is not in it, and no secret ever is. Entries are kept for ever: settings
// change rarely, and why something is as it is gets asked years later.
type Audit struct {
	ID      string        `json:"id"`
	At      time.Time     `json:"at"`
	Actor   string        `json:"actor"` // an admin's ID, or "channel"
	Role    string        `json:"role,omitempty"`
	Kind    Thing         `json:"kind"`
	Thing   string        `json:"thing,omitempty"` // its ID, where there are several
	Act     AuditAct      `json:"act"`
	Changes []FieldChange `json:"changes"`
	More    int           `json:"more,omitempty"` // changes that it has no room for
	Before  string        `json:"before_tag,omitempty"`
}

// AuditAct is what was done to a thing.
type AuditAct string

// The acts.
const (
	AuditCreated AuditAct = "created"
	AuditChanged AuditAct = "changed"
	AuditDeleted AuditAct = "deleted"
)

// FieldChange is one field before and after, as JSON; empty where it was not there.
type FieldChange struct {
	Field  string `json:"field"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Secret bool   `json:"secret,omitempty"` // given anew; its values are nowhere
}

// Bounds of an entry: with them it fits a document of 1 MiB.
const (
	maxChanges     = 100
	maxChangeValue = 4 << 10
	maxChangeField = 300
)

func auditPath(id string) string { return "audit/" + id }

// audit makes the entry of a change, nil when it is none.
func (t thingID) audit(before, after map[string]any, secrets []string) *Audit {
	e := Audit{Kind: t.Thing, Thing: t.id, Act: AuditChanged, Before: digestOf(before)}
	switch {
	case before == nil:
		e.Act, e.Before = AuditCreated, ""
	case after == nil:
		e.Act = AuditDeleted
	}
	for _, d := range wire.Compare(before, after) {
		e.add(FieldChange{Field: d.Path, Before: brief(d.Before), After: brief(d.After)})
	}
	for _, name := range secrets {
		e.add(FieldChange{Field: name, Secret: true})
	}
	if len(e.Changes) == 0 && (before == nil) == (after == nil) {
		return nil
	}
	return &e
}

func (e *Audit) add(c FieldChange) {
	if len(e.Changes) == maxChanges {
		e.More++
		return
	}
	c.Field = cut(c.Field, maxChangeField)
	e.Changes = append(e.Changes, c)
}

// brief is a value as JSON of a bounded length.
func brief(v any) string {
	if v == nil {
		return ""
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // trees have what JSON has
	}
	s := strings.TrimSuffix(b.String(), "\n")
	if len(s) <= maxChangeValue {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes)", cut(s, maxChangeValue), len(s))
}

// cut shortens to at most n bytes, between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// AuditFilter narrows the audit log; zero fields do not. All may be combined.
type AuditFilter struct {
	Kind   Thing
	Thing  string
	Actor  string
	From   time.Time // included
	Before time.Time // not included
}

// Audit lists the changes of settings, the latest first.
func (a *Admin) Audit(ctx context.Context, f AuditFilter, p PageRequest) (*Page[Audit], error) {
	q := latest("audit")
	if f.Kind != "" {
		var bad Invalid
		names := make([]string, len(Things))
		for i, k := range Things {
			names[i] = string(k)
		}
		bad.oneOf("kind", string(f.Kind), names...)
		if err := bad.err(); err != nil {
			return nil, err
		}
		q.Where = append(q.Where, Where{"kind", "==", string(f.Kind)})
	}
	if f.Thing != "" {
		q.Where = append(q.Where, Where{"thing", "==", f.Thing})
	}
	if f.Actor != "" {
		q.Where = append(q.Where, Where{"actor", "==", f.Actor})
	}
	if !f.From.IsZero() {
		q.Where = append(q.Where, Where{"at", ">=", f.From})
	}
	if !f.Before.IsZero() {
		q.Where = append(q.Where, Where{"at", "<", f.Before})
	}
	return page(ctx, a.Docs, q, p, func(e Audit) position { return position{e.At, e.ID} })
}
