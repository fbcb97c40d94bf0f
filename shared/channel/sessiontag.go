package channel

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Tag identifies a version of a session, as a strong entity tag without its
// quotes: the time of its last change and all that is shown of it. The time
// only serves to tell, in an [*Outdated], what happened since.
func (s *Session) Tag() string {
	return strconv.FormatInt(s.UpdatedAt.UnixMicro(), 36) + "-" + digestOf(tree(s))
}

// If returns a Desk that changes a session only while p holds, and else returns
// [*Outdated]. It is asked in the transaction that changes the session, so that
// of two who saw the same version one acts, and the other is told (AG-2).
func (d *Desk) If(p Precondition) *Desk {
	e := *d
	e.only = p
	return &e
}

// session holds a session against the precondition.
func (p Precondition) session(ctx context.Context, r Reader, s Session) error {
	switch {
	case p.New:
		return &Outdated{What: "session " + s.ID, Problem: "exists already"}
	case len(p.Match) == 0, slices.Contains(p.Match, AnyTag), slices.Contains(p.Match, s.Tag()):
		return nil
	}
	out := &Outdated{What: "session " + s.ID, Problem: "was changed meanwhile"}
	since, known := p.since()
	if !known {
		return out
	}
	list, err := find[History](ctx, r, Query{
		Collection: "sessions/" + s.ID + "/history",
		Where:      []Where{{"at", ">", since}}, Order: []Order{{Field: "at"}, {Field: "id"}}, Limit: maxSince,
	})
	if err != nil {
		return err
	}
	for _, h := range slices.Backward(list) {
		out.Since = append(out.Since, Happened{At: h.At, Actor: h.Actor, Act: string(h.Kind)})
	}
	return out
}

// since is the time of the latest version that the tags name.
func (p Precondition) since() (at time.Time, ok bool) {
	for _, tag := range p.Match {
		word, _, _ := strings.Cut(tag, "-")
		n, err := strconv.ParseInt(word, 36, 64)
		if t := time.UnixMicro(n).UTC(); err == nil && t.Year() >= 1 && t.Year() <= 9999 && t.After(at) {
			at, ok = t, true
		}
	}
	return at, ok
}
