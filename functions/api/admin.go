package api

import (
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
)

// items is a list that has no pages.
type items[T any] struct{ Items []T }

func listed[T any](list []T, err error) (any, error) { return items[T]{list}, err }

// admin is who changes settings for the caller, under his precondition.
func (s *server) admin(c *call) (*channel.Admin, error) {
	p, err := c.precondition()
	return s.Admin.As(c.who).If(p), err
}

// editor is the admin who saves the body, see [call.form].
func (s *server) editor(c *call, body any) (*channel.Admin, error) {
	admin, err := s.admin(c)
	if err != nil {
		return nil, err
	}
	return c.form(body, admin)
}

func (s *server) getSettings(c *call) (any, error) {
	v, err := s.Admin.Settings(c.ctx())
	return thing(channel.ThingSettings, v, err)
}

// settingsBody are the settings with the CRM's token, which is only written.
type settingsBody struct {
	channel.Settings
	CRMToken string `json:"crm_token"`
}

func (s *server) putSettings(c *call) (any, error) {
	in := settingsBody{Settings: channel.Blank()}
	admin, err := s.editor(c, &in)
	if err != nil {
		return nil, err
	}
	v, err := admin.PutSettings(c.ctx(), in.Settings, in.CRMToken)
	return thing(channel.ThingSettings, v, err)
}

// accountBody is an account as it comes in: what the channel finds out itself
// may stand there, as an answer had it, and is not read.
type accountBody struct {
	channel.AccountForm
	ID        string
	Status    channel.AccountStatus
	CreatedAt time.Time
	UpdatedAt time.Time
}

// accountView is an account as it goes out: without the name of its secret.
type accountView struct {
	channel.Account
	Secret string `json:"-"`
}

func viewed(a *channel.Account, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return tagged{channel.ThingAccount.Tag(a), accountView{Account: *a}}, nil
}

func (s *server) listAccounts(c *call) (any, error) {
	all, err := s.Admin.Accounts(c.ctx())
	out := make([]accountView, len(all))
	for i, a := range all {
		out[i] = accountView{Account: a}
	}
	return listed(out, err)
}

func (s *server) getAccount(c *call) (any, error) { return viewed(s.Admin.Account(c.ctx(), c.id())) }

func (s *server) putAccount(c *call) (any, error) {
	var in accountBody
	admin, err := s.editor(c, &in)
	if err != nil {
		return nil, err
	}
	if err := c.same(in.ID); err != nil {
		return nil, err
	}
	return viewed(admin.PutAccount(c.ctx(), c.id(), in.AccountForm))
}

func (s *server) listReconciliations(c *call) (any, error) {
	return listed(s.Admin.Reconciliations(c.ctx(), c.id()))
}

func (s *server) reconcile(c *call) (any, error) { return nil, s.Admin.Reconcile(c.ctx(), c.id()) }

// same refuses a body that is about another thing than the path.
func (c *call) same(id string) error {
	if id != "" && id != c.id() {
		return &channel.Invalid{Fields: []channel.Field{{Name: "id", Message: "is another than the path's"}}}
	}
	return nil
}

func (s *server) verifyAccount(c *call) (any, error) {
	return viewed(s.Admin.VerifyAccount(c.ctx(), c.id()))
}

func (s *server) deleteAccount(c *call) (any, error) {
	admin, err := s.admin(c)
	if err != nil {
		return nil, err
	}
	return nil, admin.DeleteAccount(c.ctx(), c.id())
}

func (s *server) putQueue(c *call) (any, error) {
	var in queueView
	admin, err := s.editor(c, &in)
	if err != nil {
		return nil, err
	}
	if err := c.same(in.ID); err != nil {
		return nil, err
	}
	in.ID = c.id()
	v, err := admin.PutQueue(c.ctx(), in.Queue)
	return s.staffed(c, v, err)
}

func (s *server) deleteQueue(c *call) (any, error) {
	q, err := c.query("move_to")
	if err != nil {
		return nil, err
	}
	admin, err := s.admin(c)
	if err != nil {
		return nil, err
	}
	return nil, admin.DeleteQueue(c.ctx(), c.id(), q["move_to"])
}

func (s *server) importHolidays(c *call) (any, error) {
	q, err := c.query("folder")
	if err != nil {
		return nil, err
	}
	calendar, err := c.content("text/calendar", maxCalendar)
	if err != nil {
		return nil, err
	}
	admin, err := s.admin(c)
	if err != nil {
		return nil, err
	}
	return admin.ImportHolidays(c.ctx(), c.id(), q["folder"], calendar)
}

func (s *server) listHolidays(c *call) (any, error) {
	q, err := c.query("folder")
	if err != nil {
		return nil, err
	}
	return listed(s.Admin.Holidays(c.ctx(), c.id(), q["folder"]))
}

func (s *server) deleteHolidays(c *call) (any, error) {
	q, err := c.query("folder")
	if err != nil {
		return nil, err
	}
	admin, err := s.admin(c)
	if err != nil {
		return nil, err
	}
	return nil, admin.DeleteHolidays(c.ctx(), c.id(), q["folder"])
}

func (s *server) listAgents(c *call) (any, error) { return listed(s.Admin.Agents(c.ctx())) }
func (s *server) getAgent(c *call) (any, error) {
	v, err := s.Admin.Agent(c.ctx(), c.agent(c.id()))
	return thing(channel.ThingAgent, v, err)
}

// agentBody is a user as he comes in; see accountBody.
type agentBody struct {
	channel.AgentForm
	ID           string
	Queues       []string
	LoggedIn     bool
	Status       channel.Status
	SeenAt       time.Time
	Open         int
	LastAssigned time.Time
	Daily        map[string]channel.Daily
	UpdatedAt    time.Time
}

func (s *server) putAgent(c *call) (any, error) {
	var in agentBody
	admin, err := s.editor(c, &in)
	if err != nil {
		return nil, err
	}
	if in.ID != "" && email.Normalize(in.ID) == email.Normalize(c.id()) {
		in.ID = c.id() // the same in other letters
	}
	if err := c.same(in.ID); err != nil {
		return nil, err
	}
	v, err := admin.PutAgent(c.ctx(), c.id(), in.AgentForm)
	return thing(channel.ThingAgent, v, err)
}

func (s *server) deleteAgent(c *call) (any, error) {
	admin, err := s.admin(c)
	if err != nil {
		return nil, err
	}
	return nil, admin.DeleteAgent(c.ctx(), c.id())
}

func (s *server) login(c *call) (any, error)  { return s.presence(c, true) }
func (s *server) logout(c *call) (any, error) { return s.presence(c, false) }

func (s *server) presence(c *call, in bool) (any, error) {
	return s.Admin.SetPresence(c.ctx(), c.who, c.agent(c.id()), in)
}

func (s *server) heartbeat(c *call) (any, error) {
	return s.Admin.Heartbeat(c.ctx(), c.who, c.agent(c.id()))
}

func (s *server) setStatus(c *call) (any, error) {
	var in struct{ Status channel.Status }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return s.Admin.SetStatus(c.ctx(), c.who, c.agent(c.id()), in.Status)
}

func (s *server) listTeams(c *call) (any, error) { return listed(s.Admin.Teams(c.ctx())) }
func (s *server) getTeam(c *call) (any, error) {
	v, err := s.Admin.Team(c.ctx(), c.id())
	return thing(channel.ThingTeam, v, err)
}

func (s *server) putTeam(c *call) (any, error) {
	var in channel.Team
	admin, err := s.editor(c, &in)
	if err != nil {
		return nil, err
	}
	if err := c.same(in.ID); err != nil {
		return nil, err
	}
	in.ID = c.id()
	v, err := admin.PutTeam(c.ctx(), in)
	return thing(channel.ThingTeam, v, err)
}

func (s *server) deleteTeam(c *call) (any, error) {
	admin, err := s.admin(c)
	if err != nil {
		return nil, err
	}
	return nil, admin.DeleteTeam(c.ctx(), c.id())
}

// trouble lists things in a state; without one in the state that needs people.
func trouble(c *call, state string, list func(state string, p channel.PageRequest) (any, error)) (any, error) {
	q, err := c.query("state", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	if v, ok := q["state"]; ok {
		state = v
	}
	p, err := page(q)
	if err != nil {
		return nil, err
	}
	return list(state, p)
}

func (s *server) listOutbound(c *call) (any, error) {
	return trouble(c, string(channel.Uncertain), func(state string, p channel.PageRequest) (any, error) {
		return s.Admin.Outbounds(c.ctx(), channel.OutState(state), p)
	})
}

func (s *server) settle(c *call) (any, error) {
	var in struct{ Resolution channel.Resolution }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return s.Desk.Settle(c.ctx(), c.who, c.id(), in.Resolution)
}

func (s *server) listOperations(c *call) (any, error) {
	return trouble(c, string(channel.OpParked), func(state string, p channel.PageRequest) (any, error) {
		return s.Admin.Operations(c.ctx(), channel.OpState(state), p)
	})
}

func (s *server) replayOperation(c *call) (any, error) {
	return s.Admin.ReplayOperation(c.ctx(), c.id())
}

func (s *server) listQuarantine(c *call) (any, error) {
	return paged(c, func(p channel.PageRequest) (any, error) { return s.Admin.Quarantine(c.ctx(), p) })
}

func (s *server) retryQuarantined(c *call) (any, error) {
	return nil, s.Admin.RetryQuarantined(c.ctx(), c.id())
}

func (s *server) listDeadLetters(c *call) (any, error) {
	return paged(c, func(p channel.PageRequest) (any, error) { return s.Admin.DeadLetters(c.ctx(), p) })
}

func (s *server) replayDeadLetter(c *call) (any, error) {
	return nil, s.Admin.ReplayDeadLetter(c.ctx(), c.id())
}

func (s *server) deleteDeadLetter(c *call) (any, error) {
	return nil, s.Admin.DeleteDeadLetter(c.ctx(), c.id())
}
