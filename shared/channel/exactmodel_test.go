package channel_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// happening is something committed: an entry of a history, or a log-in or log-out.
type happening struct {
	commit time.Time
	at     time.Time // orders what one transaction committed
	entry  channel.History
	presence
}

// committed reads all that happened, in the order of the commits: a document's
// creation time is that of the commit that made it.
func (r *rush) committed() []happening {
	c, err := firestore.NewClient(r.Context(), "demo", option.WithEndpoint(r.database), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())), option.WithTelemetryDisabled())
	if err != nil {
		r.Fatal(err)
	}
	defer c.Close()
	history, err := c.CollectionGroup("history").Documents(r.Context()).GetAll()
	if err != nil {
		r.Fatal(err)
	}
	changes, err := c.Collection("presence").Documents(r.Context()).GetAll()
	if err != nil {
		r.Fatal(err)
	}
	word := func(d *firestore.DocumentSnapshot, field string) string {
		v, _ := d.Data()[field].(string) // left out where it is empty
		return v
	}
	var out []happening
	for _, d := range history {
		h := channel.History{ID: word(d, "id"), Session: word(d, "session"), Kind: session.Kind(word(d, "kind")), Actor: word(d, "actor"), Queue: word(d, "queue"), Agent: word(d, "agent"), From: word(d, "from"), To: word(d, "to")}
		h.At, _ = d.Data()["at"].(time.Time)
		out = append(out, happening{commit: d.CreateTime, at: h.At, entry: h})
	}
	for _, d := range changes {
		in, _ := d.Data()["in"].(bool)
		out = append(out, happening{commit: d.CreateTime, presence: presence{word(d, "agent"), in}})
	}
	slices.SortFunc(out, func(a, b happening) int { return cmp.Or(a.commit.Compare(b.commit), a.at.Compare(b.at)) })
	return out
}

// model is the assignment as one person would do it, one thing after the
// other. When an agent was assigned something is what the entry says: two
// transactions that have no agent in common may commit in the other order than
// they took their time, and neither is wrong. For one agent time must grow.
type model struct {
	*testing.T
	queues   map[string]channel.Queue
	serving  map[string][]*clerk
	clerks   map[string]*clerk
	waiting  map[string][]string // by queue, the oldest first
	holder   map[string]string   // agent by session
	resolved map[string]bool

	assigned, byHand, wrong int
}

type clerk struct {
	id       string
	loggedIn bool
	open     int
	last     time.Time
	today    map[string]int
}

func newModel(t *testing.T, s channel.Seed) *model {
	m := &model{T: t, queues: map[string]channel.Queue{}, serving: map[string][]*clerk{}, clerks: map[string]*clerk{}, waiting: map[string][]string{}, holder: map[string]string{}, resolved: map[string]bool{}}
	for _, ag := range s.Agents {
		m.clerks[ag.ID] = &clerk{id: ag.ID, loggedIn: ag.LoggedIn, today: map[string]int{}}
	}
	r := &rush{seed: s}
	for _, q := range s.Queues {
		m.queues[q.ID] = q
		for _, id := range r.serving(q.ID) {
			m.serving[q.ID] = append(m.serving[q.ID], m.clerks[id])
		}
	}
	return m
}

// deviates counts and shows the first deviations.
func (m *model) deviates(format string, args ...any) {
	if m.wrong++; m.wrong <= 20 {
		m.Errorf(format, args...)
	}
	m.Fail()
}

func (m *model) replay(e happening) {
	h := e.entry
	switch {
	case e.Agent != "":
		m.clerks[e.Agent].loggedIn = e.In
	case h.Kind == session.KindReceived:
		m.waiting[h.Queue] = append(m.waiting[h.Queue], h.Session)
	case h.Kind == session.KindResolved:
		if a := m.holder[h.Session]; a != "" {
			m.clerks[a].open--
		}
		m.resolved[h.Session] = true
		m.leave(h)
	case h.Kind == session.KindAssigned && h.Actor == channel.ActorChannel:
		m.automatic(h)
	case h.Kind == session.KindAssigned:
		m.byHand++
		if h.From != m.holder[h.Session] {
			m.deviates("%s taken from %q, not %q", h.Session, h.From, m.holder[h.Session])
		}
		if h.From != "" && !m.resolved[h.Session] {
			m.clerks[h.From].open--
		}
		m.give(h)
	}
}

// automatic checks one assignment: the session that waits longest, to the
// first by (open, last assigned, ID) of those who qualify.
func (m *model) automatic(h channel.History) {
	m.assigned++
	switch first := m.first(h); {
	case m.holder[h.Session] != "" || m.resolved[h.Session]:
		m.deviates("%s assigned to %s, and %q has it already", h.Session, h.To, m.holder[h.Session])
	case len(m.waiting[h.Queue]) == 0 || m.waiting[h.Queue][0] != h.Session:
		m.deviates("%s assigned before older mail of %s: %v", h.Session, h.Queue, m.waiting[h.Queue])
	case first == nil:
		m.deviates("%s assigned to %s, though nobody qualifies: %+v", h.Session, h.To, m.clerks[h.To])
	case first.id != h.To:
		m.deviates("%s assigned to %+v, not %+v", h.Session, m.clerks[h.To], first)
	}
	m.clerks[h.To].today[m.day(h)]++
	m.give(h)
}

func (m *model) day(h channel.History) string {
	return h.Queue + " " + m.queues[h.Queue].Hours.Day(h.At)
}

func (m *model) first(h channel.History) *clerk {
	var best *clerk
	p := m.queues[h.Queue].Assign
	for _, c := range m.serving[h.Queue] {
		if p.OnlyLoggedIn && !c.loggedIn || p.DailyLimit > 0 && c.today[m.day(h)] >= p.DailyLimit {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(c.open, best.open), c.last.Compare(best.last), cmp.Compare(c.id, best.id)) < 0 {
			best = c
		}
	}
	return best
}

func (m *model) give(h channel.History) {
	m.leave(h)
	m.holder[h.Session] = h.To
	c := m.clerks[h.To]
	if !h.At.After(c.last) {
		m.deviates("%s assigned to %s at %s, not after the last at %s", h.Session, h.To, h.At, c.last)
	}
	if c.last = h.At; !m.resolved[h.Session] {
		c.open++
	}
}

// leave takes the session out of those that wait.
func (m *model) leave(h channel.History) {
	m.waiting[h.Queue] = slices.DeleteFunc(m.waiting[h.Queue], func(id string) bool { return id == h.Session })
}

// settled checks that nothing is forgotten, and that what is stored is what happened.
func (m *model) settled(r *rush) {
	for q, waiting := range m.waiting {
		if len(waiting) == 0 {
			continue
		}
		if c := m.first(channel.History{Queue: q, At: r.clock()}); c != nil {
			m.deviates("%d sessions wait in %s, and %s qualifies", len(waiting), q, c.id)
		}
	}
	for id, c := range m.clerks {
		if got := doc[channel.Agent](r.desks, "agents/"+id).Open; got != c.open {
			m.deviates("%s has %d open sessions, %d are stored", id, c.open, got)
		}
	}
	for n := range r.n {
		s := r.session(sessionID(n))
		if waits := slices.Contains(m.waiting[s.Queue], s.ID); s.Agent != m.holder[s.ID] || s.Waiting != waits {
			m.deviates("session %s: agent %q, waits %t; it happened: %q, %t", s.ID, s.Agent, s.Waiting, m.holder[s.ID], waits)
		}
	}
}
