package api

import (
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
)

// auditView is an entry without what only preconditions need.
type auditView struct {
	channel.Audit
	Before struct{} `json:"-"`
}

func (s *server) listAudit(c *call) (any, error) {
	q, err := c.query("kind", "thing", "actor", "from", "before", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	f := channel.AuditFilter{Kind: channel.Thing(q["kind"]), Thing: q["thing"], Actor: email.Normalize(q["actor"])}
	var bad channel.Invalid
	times(q, &bad, moment{"from", &f.From}, moment{"before", &f.Before})
	if len(bad.Fields) > 0 {
		return nil, &bad
	}
	p, err := page(q)
	if err != nil {
		return nil, err
	}
	entries, err := s.Admin.Audit(c.ctx(), f, p)
	if err != nil {
		return nil, err
	}
	out := channel.Page[auditView]{Next: entries.Next}
	for _, e := range entries.Items {
		out.Items = append(out.Items, auditView{Audit: e})
	}
	return out, nil
}

// moment is a parameter that is a time.
type moment struct {
	name string
	to   *time.Time
}

// times reads those parameters that are given.
func times(q map[string]string, bad *channel.Invalid, moments ...moment) {
	for _, m := range moments {
		v, ok := q[m.name]
		if !ok {
			continue
		}
		t, err := time.Parse(time.RFC3339, v)
		if err != nil || t.UTC().Year() < 1 || t.UTC().Year() > 9999 { // the database's times
			bad.Fields = append(bad.Fields, channel.Field{Name: m.name, Message: "must be a time like 2026-11-21T09:30:00Z"})
			continue
		}
		*m.to = t
	}
}
