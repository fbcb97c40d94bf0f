package api

import (
	"fmt"
	"slices"
	"strconv"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/session"
)

func (s *server) listSessions(c *call) (any, error) {
	q, err := c.query("state", "queue", "agent", "waiting", "address", "created_from", "created_before", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	f := channel.Filter{State: session.State(q["state"]), Queue: q["queue"], Agent: c.agent(q["agent"]), Address: q["address"]}
	var bad channel.Invalid
	if _, ok := q["waiting"]; ok {
		f.Waiting = new(bool)
		truth(q, "waiting", f.Waiting, &bad)
	}
	times(q, &bad, moment{"created_from", &f.CreatedFrom}, moment{"created_before", &f.CreatedBefore})
	if len(bad.Fields) > 0 {
		return nil, &bad
	}
	p, err := page(q)
	if err != nil {
		return nil, err
	}
	return s.Read.Sessions(c.ctx(), c.who, f, p)
}

func (s *server) getSession(c *call) (any, error) {
	return conversation(s.Read.Session(c.ctx(), c.who, c.id()))
}

func (s *server) listMessages(c *call) (any, error) {
	return paged(c, func(p channel.PageRequest) (any, error) { return s.Read.Messages(c.ctx(), c.who, c.id(), p) })
}

// historyView is an entry without what only the channel's own events need.
type historyView struct {
	channel.History
	Scenario, Waiting, Began, Due, Kept struct{} `json:"-"`
}

func (s *server) listHistory(c *call) (any, error) {
	return paged(c, func(p channel.PageRequest) (any, error) {
		page, err := s.Read.History(c.ctx(), c.who, c.id(), p)
		if err != nil {
			return nil, err
		}
		out := channel.Page[historyView]{Next: page.Next}
		for _, h := range page.Items {
			out.Items = append(out.Items, historyView{History: h})
		}
		return out, nil
	})
}

func (s *server) listDecisions(c *call) (any, error) {
	return paged(c, func(p channel.PageRequest) (any, error) { return s.Read.Decisions(c.ctx(), c.who, c.id(), p) })
}

// paged reads the parameters of a list that has no others.
func paged(c *call, list func(channel.PageRequest) (any, error)) (any, error) {
	q, err := c.query("limit", "cursor")
	if err != nil {
		return nil, err
	}
	p, err := page(q)
	if err != nil {
		return nil, err
	}
	return list(p)
}

func (s *server) rawMessage(c *call) (any, error) {
	id := c.r.PathValue("message")
	body, err := s.Read.Raw(c.ctx(), c.who, c.id(), id)
	if err != nil {
		return nil, err
	}
	return download{name: id + ".eml", mediaType: "message/rfc822", body: body}, nil
}

// shown are the types that a browser may show itself; it saves all others.
var shown = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

func (s *server) attachment(c *call) (any, error) {
	number, err := strconv.Atoi(c.r.PathValue("number"))
	if err != nil {
		return nil, fmt.Errorf("attachment %q: %w", c.r.PathValue("number"), channel.ErrNotFound)
	}
	a, body, err := s.Read.File(c.ctx(), c.who, c.id(), c.r.PathValue("message"), number)
	if err != nil {
		return nil, err
	}
	d := download{name: a.Name, mediaType: "application/octet-stream", body: body}
	if d.name == "" {
		d.name = fmt.Sprintf("attachment-%d", number)
	}
	if slices.Contains(shown, a.Type) {
		d.mediaType = a.Type
	}
	return d, nil
}

func (s *server) listViewers(c *call) (any, error) {
	return listed(s.Desk.Viewers(c.ctx(), c.who, c.id()))
}

func (s *server) view(c *call) (any, error) {
	var in struct{ Doing channel.Doing }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return listed(s.Desk.View(c.ctx(), c.who, c.id(), in.Doing))
}

func (s *server) leave(c *call) (any, error) { return nil, s.Desk.Leave(c.ctx(), c.who, c.id()) }

// act does something to a session under the caller's precondition.
func (s *server) act(c *call, f func(d *channel.Desk) (*channel.Session, error)) (any, error) {
	p, err := c.precondition()
	if err != nil {
		return nil, err
	}
	return conversation(f(s.Desk.If(p)))
}

func (s *server) openSession(c *call) (any, error) {
	return s.act(c, func(d *channel.Desk) (*channel.Session, error) { return d.Open(c.ctx(), c.who, c.id()) })
}

func (s *server) unassign(c *call) (any, error) {
	return s.act(c, func(d *channel.Desk) (*channel.Session, error) { return d.Unassign(c.ctx(), c.who, c.id()) })
}

func (s *server) pause(c *call) (any, error)    { return s.state(c, session.Paused) }
func (s *server) resolve(c *call) (any, error)  { return s.state(c, session.Resolved) }
func (s *server) activate(c *call) (any, error) { return s.state(c, session.Active) }

func (s *server) state(c *call, to session.State) (any, error) {
	return s.act(c, func(d *channel.Desk) (*channel.Session, error) { return d.SetState(c.ctx(), c.who, c.id(), to) })
}

func (s *server) bulkStates(c *call) (any, error) {
	var in struct {
		Sessions []string
		State    session.State
	}
	if err := c.body(&in); err != nil {
		return nil, err
	}
	results, err := s.Desk.SetStates(c.ctx(), c.who, in.Sessions, in.State)
	return struct{ Results []channel.StateResult }{results}, err
}

func (s *server) assign(c *call) (any, error) {
	var in struct{ Agent string }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return s.act(c, func(d *channel.Desk) (*channel.Session, error) {
		return d.Assign(c.ctx(), c.who, c.id(), c.agent(in.Agent))
	})
}

// agent is the address of an agent; "me" is who calls.
func (c *call) agent(id string) string {
	if id == "me" {
		return c.who.ID
	}
	return email.Normalize(id)
}

func (s *server) transfer(c *call) (any, error) {
	var in struct{ Queue, Agent string }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.Agent != "" {
		in.Agent = c.agent(in.Agent)
	}
	return s.act(c, func(d *channel.Desk) (*channel.Session, error) {
		return d.Transfer(c.ctx(), c.who, c.id(), in.Queue, in.Agent)
	})
}

func (s *server) note(c *call) (any, error) {
	var in struct{ Text string }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	p, err := c.precondition()
	if err != nil {
		return nil, err
	}
	return s.Desk.If(p).Note(c.ctx(), c.who, c.id(), c.key(), in.Text)
}

// letter is the mail that a request brings.
type letter struct {
	To, Cc  []email.Address
	Subject string
	Text    string
	HTML    string
	Files   []string
	Inline  []channel.Inline

	Signature bool
}

func (l letter) words(key string) channel.Words {
	return channel.Words{Key: key, To: l.To, Cc: l.Cc, Subject: l.Subject, Text: l.Text, HTML: l.HTML, Files: l.Files, Inline: l.Inline, Signature: l.Signature}
}

func (s *server) reply(c *call) (any, error) {
	var in letter
	if err := c.body(&in); err != nil {
		return nil, err
	}
	p, err := c.precondition()
	if err != nil {
		return nil, err
	}
	return s.Desk.If(p).Reply(c.ctx(), c.who, c.id(), in.words(c.key()))
}

func (s *server) startSession(c *call) (any, error) {
	var in struct {
		Queue string
		letter
	}
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return s.Desk.Start(c.ctx(), c.who, in.Queue, in.words(c.key()))
}
