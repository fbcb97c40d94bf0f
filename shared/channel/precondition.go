package channel

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Precondition is what must be true of a thing or a session for a change of it
// to be made (RFC 9110 13.1), as the transaction that changes it sees it. The
// zero value is always true.
type Precondition struct {
	Match []string // tags of which it has one; AnyTag: it exists
	New   bool     // it does not exist
}

// AnyTag stands for every tag.
const AnyTag = "*"

// Outdated is a change that was refused because its [Precondition] does not hold.
type Outdated struct {
	What    string     // "queue support"
	Problem string     // "was changed meanwhile"
	Since   []Happened // what happened to it, the latest first, as far as that is known
}

// Happened is one change of a thing or session.
type Happened struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Act    string    `json:"act"`
	Thing  string    `json:"thing,omitempty"` // of the whole configuration: which one
	Fields []string  `json:"fields,omitempty"`
}

func (e *Outdated) Error() string {
	words := e.What + " " + e.Problem
	for i, h := range e.Since {
		if i == 3 {
			return words + " and more"
		}
		words += fmt.Sprintf("; %s by %s at %s", strings.TrimSpace(h.Thing+" "+h.Act), h.Actor, h.At.Format(time.RFC3339))
		if len(h.Fields) > 0 {
			words += " (" + strings.Join(h.Fields, ", ") + ")"
		}
	}
	return words
}

// Tag identifies a version of a thing, as a strong entity tag without its
// quotes. It has two parts: one of what admins decide, which a [Precondition]
// looks at, and one of all that is shown, so that two answers with the same tag
// are the same. A form that was open while the channel counted or polled can
// still be saved.
func (k Thing) Tag(v any) string {
	all := tree(v)
	return digestOf(k.decided(all)) + "-" + digestOf(all)
}

// check holds a thing against the precondition.
func (p Precondition) check(ctx context.Context, r Reader, t thingID) error {
	if len(p.Match) == 0 && !p.New {
		return nil
	}
	path := t.path()
	ref := Ref{Path: path, Into: blank(path)}
	if err := r.Get(ctx, &ref); err != nil {
		return err
	}
	var doc map[string]any
	if ref.Found {
		doc = tree(ref.Into)
	}
	now := t.decided(t.part(doc))
	exists, current := now != nil, digestOf(now)
	switch {
	case p.New && exists:
		return t.outdated(ctx, r, "exists already", nil)
	case len(p.Match) > 0 && !exists:
		return t.outdated(ctx, r, "does not exist", nil)
	case len(p.Match) > 0 && !slices.Contains(p.contents(), current) && !slices.Contains(p.Match, AnyTag):
		return t.outdated(ctx, r, "was changed meanwhile", p.contents())
	}
	return nil
}

// contents are the parts of the tags that are about what admins decide.
func (p Precondition) contents() []string {
	out := make([]string, len(p.Match))
	for i, tag := range p.Match {
		out[i], _, _ = strings.Cut(tag, "-")
	}
	return out
}

// maxSince bounds how far back the audit log is read for what a caller missed.
const maxSince = 20

// outdated tells what happened to a thing since it was what one of the contents
// says. When none of the last changes began there, the latest one is told.
func (t thingID) outdated(ctx context.Context, r Reader, problem string, contents []string) error {
	q := latest("audit", Where{"kind", "==", string(t.Thing)})
	if t.id != "" {
		q.Where = append(q.Where, Where{"thing", "==", t.id})
	}
	q.Limit = maxSince
	list, err := find[Audit](ctx, r, q)
	if err != nil {
		return err
	}
	since := slices.IndexFunc(list, func(e Audit) bool { return slices.Contains(contents, e.Before) })
	out := &Outdated{What: t.String(), Problem: problem}
	for _, e := range list[:max(since+1, min(1, len(list)))] {
		out.Since = append(out.Since, e.happened())
	}
	return out
}

func (e Audit) happened() Happened {
	h := Happened{At: e.At, Actor: e.Actor, Act: string(e.Act)}
	if e.Act == AuditChanged {
		for _, c := range e.Changes {
			h.Fields = append(h.Fields, c.Field)
		}
	}
	return h
}
