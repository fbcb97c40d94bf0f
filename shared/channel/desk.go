package channel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"emailchannel.dev/emailchannel/shared/session"
)

// Desk is the agents' work: they open, answer, pass on and put aside sessions,
// and begin new ones. What an act changes is committed at once with its
// history; its event follows, and Sweep publishes it if that fails, so an act
// that was committed is a success.
type Desk struct {
	Docs    Docs
	Archive Archive
	Bus     Bus
	Secrets Secrets
	Config  *Configuration
	Now     Clock

	only Precondition // see If
}

// Actor is who acts.
type Actor struct {
	ID   string // an agent's, or the name of a service
	Role string // agent, supervisor, admin or service
}

// Roles of an actor; the first three are also those of an [Agent].
const (
	RoleAgent      = "agent"
	RoleSupervisor = "supervisor"
	RoleAdmin      = "admin"
	RoleService    = "service"
)

// everywhere tells whether the actor may act in every queue (QU-4).
func (a Actor) everywhere() bool {
	return a.leads() || a.Role == RoleService
}

// leads tells whether the actor may act for other people.
func (a Actor) leads() bool { return a.Role == RoleSupervisor || a.Role == RoleAdmin }

// Errors of [Desk], [Read] and [Admin] that callers tell apart, besides
// [*Invalid], [*Conflict] and [*session.TransitionError].
var (
	ErrForbidden = errors.New("not allowed") // the actor does not serve the queue (QU-4)
	ErrNotFound  = errors.New("not found")
)

// Conflict is an act that the present state of things does not allow.
type Conflict struct{ Message string }

func (c *Conflict) Error() string { return c.Message }

func conflict(format string, args ...any) error { return &Conflict{fmt.Sprintf(format, args...)} }

// Invalid lists what is wrong with an input, every bad field by its name.
type Invalid struct{ Fields []Field }

// Field is one bad field. Name is its path, such as "crm.flush_seconds".
type Field struct {
	Name    string `json:"field"`
	Message string `json:"message"`
}

func (e *Invalid) Error() string {
	var all []string
	for _, f := range e.Fields {
		all = append(all, f.Name+": "+f.Message)
	}
	return strings.Join(all, "; ")
}

func (e *Invalid) add(field, format string, args ...any) {
	e.Fields = append(e.Fields, Field{field, fmt.Sprintf(format, args...)})
}

// err is nil when nothing was added.
func (e *Invalid) err() error {
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}

func notFound(what, id string) error { return fmt.Errorf("%s %q: %w", what, id, ErrNotFound) }

// act is one act of an actor on a session, within a transaction.
type act struct {
	tx     Tx
	cat    *Catalog
	who    Actor
	only   Precondition
	agent  *Agent // the actor's document, if he has one
	key    string // part of the entry's ID, the same at every attempt of the transaction
	clock  Clock  // not set where now is given
	now    time.Time
	before Session
	s      Session
}

// change runs f on a session, stores what it made of it with the entry that it
// returns, and tells others. Without an entry nothing is stored.
func (d *Desk) change(ctx context.Context, who Actor, id string, f func(ctx context.Context, a *act) (*History, error)) (*Session, error) {
	cat, err := d.Config.Load(ctx)
	if err != nil {
		return nil, err
	}
	key := rand.Text()
	var h *History
	var s Session
	err = d.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		a := act{tx: tx, cat: cat, who: who, only: d.only, key: key, clock: d.Now}
		if err := a.load(ctx, id); err != nil {
			return err
		}
		h, err = f(ctx, &a)
		if s = a.s; err != nil || h == nil {
			return err
		}
		a.store(*h)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	if h != nil {
		d.tell(ctx, *h)
	}
	return &s, nil
}

// load reads the session and refuses who does not serve its queue.
func (a *act) load(ctx context.Context, id string) error {
	s, ag, err := visible(ctx, a.tx, a.who, id)
	if err != nil {
		return err
	}
	if s.MergedInto != "" {
		return conflict("it was merged into session %s", s.MergedInto)
	}
	if err := a.only.session(ctx, a.tx, *s); err != nil {
		return err
	}
	a.s, a.before, a.agent = *s, *s, ag
	a.tick()
	return nil
}

// tick takes the time once more after a read: what was read is locked by then,
// so that an act on the same documents that came before was at an earlier time.
func (a *act) tick() { a.now = a.clock().UTC() }

// identify reads the actor's document.
func (a *act) identify(ctx context.Context) error {
	ag, err := agentOf(ctx, a.tx, a.who)
	a.agent = ag
	a.tick()
	return err
}

// agentOf reads the document of an actor, nil if he has none.
func agentOf(ctx context.Context, r Reader, who Actor) (*Agent, error) {
	if !plainID(who.ID) || who.Role == RoleService {
		return nil, nil
	}
	return get[Agent](ctx, r, agentPath(who.ID))
}

// visible reads a session and its actor's document, and refuses who does not
// serve the session's queue (QU-4).
func visible(ctx context.Context, r Reader, who Actor, id string) (*Session, *Agent, error) {
	id, err := session.ParseID(id)
	if err != nil {
		return nil, nil, ErrNotFound
	}
	ag, err := agentOf(ctx, r, who)
	if err != nil {
		return nil, nil, err
	}
	s, err := get[Session](ctx, r, sessionPath(id))
	switch {
	case err != nil:
		return nil, nil, err
	case s == nil:
		return nil, nil, ErrNotFound
	case !serves(who, ag, s.Queue):
		return nil, nil, fmt.Errorf("%s does not serve its queue: %w", who.ID, ErrForbidden)
	}
	return s, ag, nil
}

// serves tells whether the actor works in the queue.
func serves(who Actor, ag *Agent, queue string) bool {
	return who.everywhere() || ag != nil && ag.Role == RoleAgent && slices.Contains(ag.Queues, queue)
}

// plainID tells whether an ID from outside can be a document's name.
func plainID(id string) bool {
	return id != "" && len(id) <= 320 && id != "." && id != ".." && !strings.Contains(id, "/") && !strings.HasPrefix(id, "__") && utf8.ValidString(id)
}

// store writes the session with its entry and the agents' counters.
func (a *act) store(h History) {
	a.s.UpdatedAt = a.now
	load(a.tx, a.before, a.s)
	a.tx.Set(sessionPath(a.s.ID), a.s)
	a.tx.Set(historyPath(h.Session, h.ID), h)
}

// entry makes the act's history entry, once the session is as it will be
// stored: only what counts as open and has no agent waits.
func (a *act) entry(kind session.Kind, from, to string) *History {
	if !session.Counted(a.s.State) || a.s.Agent != "" {
		a.s.Waiting = false
	}
	h := entry(&a.s, kind, string(kind)+"-"+a.key, a.who.ID, a.now)
	h.From, h.To = from, to
	return &h
}

// tell publishes the event of a committed entry. A failure is logged and no
// more: the entry is overdue soon, and Sweep publishes it.
func (d *Desk) tell(ctx context.Context, h History) {
	if err := announce(ctx, d.Bus, d.Docs, "desk", h); err != nil {
		late(ctx, h.Session, "entry "+h.ID, err)
	}
}

func late(ctx context.Context, session, what string, err error) {
	slog.WarnContext(ctx, "an event will be published later", "session", session, "of", what, "error", err)
}
