package api

import (
	"net/http"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/channel"
)

// tagged is an answer with its entity tag (RFC 9110 8.8.3).
type tagged struct {
	tag string
	v   any
}

// thing is the answer that shows a thing, with its tag.
func thing[T any](k channel.Thing, v *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return tagged{k.Tag(v), v}, nil
}

// conversation is the answer that shows a session, with its tag.
func conversation(s *channel.Session, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return tagged{s.Tag(), s}, nil
}

// precondition reads If-Match and If-None-Match of a request that changes
// something. Of the latter only * has a use there: make it, but replace nothing.
func (c *call) precondition() (p channel.Precondition, err error) {
	tags, err := c.tags("If-Match")
	if err != nil {
		return p, err
	}
	for _, t := range tags {
		if !t.weak {
			p.Match = append(p.Match, t.opaque)
		}
	}
	if len(tags) > 0 && len(p.Match) == 0 {
		p.Match = []string{""} // weak tags match nothing here (13.1.1)
	}
	not, err := c.tags("If-None-Match")
	if err != nil || len(not) == 0 {
		return p, err
	}
	if p.New = not[0].opaque == channel.AnyTag; !p.New {
		return p, &statusError{http.StatusBadRequest, "If-None-Match: a change can only depend on *"}
	}
	return p, nil
}

// fresh tells whether the caller has this version already (13.1.2).
func (c *call) fresh(tag string) bool {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return false
	}
	tags, err := c.tags("If-None-Match")
	return err == nil && slices.ContainsFunc(tags, func(t entityTag) bool { return t.opaque == tag || t.opaque == channel.AnyTag })
}

// entityTag is one of a header's list; * is one, too.
type entityTag struct {
	opaque string
	weak   bool
}

// tags reads a list of entity tags, or *.
func (c *call) tags(header string) ([]entityTag, error) {
	rest := strings.TrimSpace(strings.Join(c.r.Header.Values(header), ","))
	if rest == channel.AnyTag {
		return []entityTag{{opaque: channel.AnyTag}}, nil
	}
	var out []entityTag
	for rest != "" {
		var t entityTag
		rest, t.weak = strings.CutPrefix(rest, "W/")
		quoted, ok := strings.CutPrefix(rest, `"`)
		opaque, after, closed := strings.Cut(quoted, `"`)
		if !ok || !closed || opaque == channel.AnyTag {
			return nil, &statusError{http.StatusBadRequest, header + ` must be * or a list of tags in quotes, such as "abc"`}
		}
		t.opaque = opaque
		out = append(out, t)
		after = strings.TrimLeft(after, " \t")
		if after != "" && after[0] != ',' {
			return nil, &statusError{http.StatusBadRequest, header + ": tags are separated by commas"}
		}
		rest = strings.TrimLeft(after, ", \t")
	}
	return out, nil
}
