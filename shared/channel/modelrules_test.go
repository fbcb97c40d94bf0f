package channel_test

import (
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// rules are what the channel should be: one event at a time, by the plainest rules, without a database, an index or a
// page. Times are whole seconds, one for each step of the test.
type rules struct {
	now      time.Time
	set      channel.Settings
	queues   map[string]*channel.Queue
	agents   []*modelAgent
	sessions []*modelSession
	mails    map[string]*modelMail // by fingerprint
	answers  []modelAnswer
	seq      int // orders what happens within a second
}

type modelAgent struct {
	id           string
	queues       []string
	in           bool
	lastAssigned int
	today        map[string]map[string]int // by queue and its day
}

type modelSession struct {
	id, queue, agent, customer string
	state                      session.State
	entered, active            time.Time
	waiting                    int // since when; 0: it does not
}

// modelMail is a mail of a customer, or of an agent, that was processed.
type modelMail struct {
	messageID string
	n         int
	in        *modelSession
	owed      bool   // an auto-response
	fate      string // of that: "", "answered", "withheld", "unserved", "dropped" or "kept"
}

type modelAnswer struct {
	to, session string
	at          time.Time
}

func (m *rules) next() int { m.seq++; return m.seq }

func (m *rules) agent(id string) *modelAgent {
	i := slices.IndexFunc(m.agents, func(a *modelAgent) bool { return a.id == id })
	if i < 0 {
		return nil
	}
	return m.agents[i]
}

func (m *rules) find(id string) *modelSession {
	i := slices.IndexFunc(m.sessions, func(s *modelSession) bool { return s.id == id })
	if i < 0 {
		return nil
	}
	return m.sessions[i]
}

func counted(s session.State) bool {
	return s == session.Unopened || s == session.Active || s == session.Reopened
}

func (m *rules) load(agent string) (n int) {
	for _, s := range m.sessions {
		if s.agent == agent && counted(s.state) {
			n++
		}
	}
	return n
}

// enter moves the session; activity is mail and what agents do to the state.
func (m *rules) enter(s *modelSession, to session.State, activity bool) {
	if s.state != to {
		s.state, s.entered = to, m.now
	}
	if activity {
		s.active = m.now
	}
}

func (m *rules) wait(s *modelSession) {
	if s.agent == "" && s.waiting == 0 {
		s.waiting = m.next()
	}
}

// settle is what holds after every act by hand: only what is open and has no agent waits.
func (s *modelSession) settle() {
	if s.agent != "" || !counted(s.state) {
		s.waiting = 0
	}
}

func over(t session.Threshold, since, now time.Time) bool {
	return t.On && !now.Before(since.Add(time.Duration(t.Days)*24*time.Hour))
}

// reopens tells whether activity reopens a closed session (SE-4, SE-5).
func (m *rules) reopens(s *modelSession) bool {
	return m.set.Session.ClosedReopen.On && !over(m.set.Session.ClosedReopen, s.active, m.now)
}

// receive processes a mail that no one has seen before; id is the new session's, should it begin one.
func (m *rules) receive(l letterIn, id string) {
	mail := &modelMail{messageID: l.id, n: l.n}
	defer func() { m.mails[l.fingerprint()] = mail }()
	begin := func() {
		mail.in, mail.owed = &modelSession{id: id, queue: l.queue, customer: l.from, state: session.Unopened, entered: m.now, active: m.now}, !l.auto
		m.wait(mail.in)
		m.sessions = append(m.sessions, mail.in)
	}
	parent := m.mails[l.parent]
	if parent == nil || parent.in.customer != l.from { // a stranger joins nothing
		begin()
		return
	}
	s := parent.in
	if l.auto { // it neither moves a session nor counts as activity
		mail.in = s
		return
	}
	idle := s.state == session.Active && m.now.Sub(s.active) >= 15*24*time.Hour
	switch s.state {
	case session.Closed:
		if !m.reopens(s) {
			begin()
			return
		}
		m.enter(s, session.Reopened, true)
		mail.owed = true
	case session.Paused:
		m.enter(s, session.Active, true)
		mail.owed = true
	case session.Resolved:
		m.enter(s, session.Reopened, true)
	default:
		m.enter(s, s.state, true)
		mail.owed = idle
	}
	mail.in = s
	if s.state == session.Active || s.state == session.Reopened {
		m.wait(s)
	}
}

// mailed is an agent's mail in a session; id is the new session's, should the old one be closed for good.
func (m *rules) mailed(s *modelSession, by, id string) *modelSession {
	if s.state == session.Closed && !m.reopens(s) {
		return m.start(s.queue, s.customer, by, id)
	}
	switch s.state {
	case session.Closed:
		m.enter(s, session.Reopened, true)
	case session.Paused, session.Resolved:
		m.enter(s, s.state, true)
	default:
		m.enter(s, session.Active, true)
	}
	if s.agent == "" {
		m.give(s, by)
	}
	s.waiting = 0
	return s
}

// start begins a session with an agent's mail.
func (m *rules) start(queue, customer, by, id string) *modelSession {
	s := &modelSession{id: id, queue: queue, customer: customer, state: session.Active, entered: m.now, active: m.now}
	m.give(s, by)
	m.sessions = append(m.sessions, s)
	return s
}

// give makes an agent the session's; a supervisor takes none.
func (m *rules) give(s *modelSession, id string) {
	if a := m.agent(id); a != nil {
		s.agent, s.waiting, a.lastAssigned = id, 0, m.next()
	}
}

// take takes the session from its agent.
func (m *rules) take(s *modelSession) {
	if s.agent = ""; counted(s.state) {
		m.wait(s)
	}
}

func (m *rules) serving(queue string) bool {
	return m.set.Email && m.set.Queues && m.queues[queue].On
}

// first is the agent who ranks first among those who may get a session of the queue, by AS-2 and AS-4.
func (m *rules) first(queue string) *modelAgent {
	q := m.queues[queue]
	p := q.Assign
	if !m.serving(queue) || !p.On || p.OnlyInHours && !q.Hours.Open(m.now) {
		return nil
	}
	var best *modelAgent
	for _, a := range m.agents {
		switch {
		case !slices.Contains(a.queues, queue), p.OnlyLoggedIn && !a.in, p.DailyLimit > 0 && a.today[queue][q.Hours.Day(m.now)] >= p.DailyLimit:
			continue
		}
		if best == nil || m.before(a, best) {
			best = a
		}
	}
	return best
}

func (m *rules) before(a, b *modelAgent) bool {
	if x, y := m.load(a.id), m.load(b.id); x != y {
		return x < y
	}
	if a.lastAssigned != b.lastAssigned {
		return a.lastAssigned < b.lastAssigned
	}
	return a.id < b.id
}

func (m *rules) waiting(queue string) []*modelSession {
	var out []*modelSession
	for _, s := range m.sessions {
		if s.queue == queue && s.waiting > 0 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *modelSession) int { return a.waiting - b.waiting })
	return out
}

// drain assigns the waiting sessions of a queue, oldest first, until the one that it was asked for has an agent. It
// tells how many transactions it made of that; most ends it earlier, as a crash would.
func (m *rules) drain(queue, until string, most int) (rounds int) {
	for rounds < most {
		given := 0
		done := false
		for _, s := range m.waiting(queue) {
			a := m.first(queue)
			if a == nil || given == 10 {
				break
			}
			m.give(s, a.id)
			day := m.queues[queue].Hours.Day(m.now)
			if a.today[queue] == nil {
				a.today[queue] = map[string]int{}
			}
			a.today[queue][day]++
			given++
			done = done || s.id == until
		}
		if given == 0 {
			return rounds
		}
		if rounds++; done {
			return rounds
		}
	}
	return rounds
}

// sweep moves what is due (SE-4).
func (m *rules) sweep() {
	if !m.set.Email {
		return
	}
	t := m.set.Session
	for _, s := range m.sessions {
		switch {
		case s.state == session.Active && over(t.ActivePause, s.active, m.now):
			m.enter(s, session.Paused, false)
		case s.state == session.Paused && over(t.PausedClose, s.entered, m.now),
			s.state == session.Resolved && over(t.ResolvedClose, s.entered, m.now):
			m.enter(s, session.Closed, false)
		default:
			continue
		}
		s.waiting = 0
	}
}

// respond decides about the answer to a mail that is owed one.
func (m *rules) respond(mail *modelMail, queue string, first bool) {
	s := mail.in
	q := m.queues[queue]
	switch {
	case mail.fate == "answered" || mail.fate == "withheld" || mail.fate == "unserved":
	case !q.Response.On:
		mail.fate = "dropped"
	case !m.set.Email:
		mail.fate = "kept"
	case !m.serving(queue):
		mail.fate = "unserved"
	case m.sent(func(a modelAnswer) bool { return a.to == s.customer }) >= m.set.Caps.PerAddress,
		!first && m.set.Caps.PerSession > 0 && m.sent(func(a modelAnswer) bool { return a.session == s.id }) >= m.set.Caps.PerSession:
		mail.fate = "withheld"
	default:
		mail.fate = "answered"
		m.answers = append(m.answers, modelAnswer{s.customer, s.id, m.now})
	}
}

// sent counts the answers of late.
func (m *rules) sent(which func(modelAnswer) bool) (n int) {
	for _, a := range m.answers {
		if which(a) && a.at.After(m.now.Add(-m.set.Caps.Window)) {
			n++
		}
	}
	return n
}

func (m *rules) String() string {
	var b strings.Builder
	for _, s := range m.sessions {
		b.WriteString(s.id + " " + s.queue + " " + string(s.state) + " " + s.agent + "\n")
	}
	return b.String()
}
