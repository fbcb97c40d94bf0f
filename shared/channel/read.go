package channel

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/session"
)

// Read shows what is stored, to those who may see it (QU-4): an agent the
// sessions of the queues that he serves, supervisors and admins all.
//
// Lists come in pages under an opaque cursor and in a stable order: sessions
// by their last change, the latest first, messages and history from the
// oldest.
type Read struct {
	Docs    Docs
	Archive Archive
	Config  *Configuration
	Now     Clock
}

// Filter narrows the list of sessions; zero fields do not. All fields may be
// combined: each has an index of its own with the order, and Firestore merges
// them. A range of creation orders the list by creation instead.
type Filter struct {
	State         session.State
	Queue         string
	Agent         string
	Waiting       *bool
	Address       string    // of a participant
	CreatedFrom   time.Time // included
	CreatedBefore time.Time // not included
}

// maxQueues is how many values Firestore's "in" takes.
const maxQueues = 30

// Sessions lists sessions. An agent sees those of his queues that are ON, or
// of the one that the filter names.
func (r *Read) Sessions(ctx context.Context, who Actor, f Filter, p PageRequest) (*Page[Session], error) {
	q, err := f.query()
	if err != nil {
		return nil, err
	}
	if !who.everywhere() {
		ag, err := agentOf(ctx, r.Docs, who)
		switch {
		case err != nil:
			return nil, err
		case ag == nil || ag.Role != RoleAgent || f.Queue != "" && !slices.Contains(ag.Queues, f.Queue):
			return nil, fmt.Errorf("sessions of queue %q: %w", f.Queue, ErrForbidden)
		}
		mine := ag.Queues
		if f.Queue != "" {
			mine = []string{f.Queue}
		}
		mine, err = r.mailboxes(ctx, mine)
		switch {
		case err != nil:
			return nil, err
		case len(mine) == 0:
			return &Page[Session]{}, nil
		case f.Queue != "":
		case len(mine) > maxQueues:
			return nil, &Invalid{[]Field{{"queue", fmt.Sprintf("name one: you serve more than %d", maxQueues)}}}
		default:
			q.Where = append(q.Where, Where{"queue", "in", mine})
		}
	}
	byTime := func(s Session) time.Time { return s.UpdatedAt }
	if q.Order[0].Field == "created_at" {
		byTime = func(s Session) time.Time { return s.CreatedAt }
	}
	return page(ctx, r.Docs, q, p, func(s Session) position { return position{byTime(s), s.ID} })
}

// mailboxes are those of the queues that are ON: OFF hides a queue's mailbox
// from its agents (QU-1), also by the tile of the queue page.
func (r *Read) mailboxes(ctx context.Context, queues []string) ([]string, error) {
	var set Settings
	docs := make([]Queue, len(queues))
	refs := []*Ref{{Path: settingsPath, Into: &set}}
	for i, id := range queues {
		refs = append(refs, &Ref{Path: queuePath(id), Into: &docs[i]})
	}
	if err := r.Docs.Get(ctx, refs...); err != nil {
		return nil, err
	}
	var out []string
	for i, id := range queues {
		if set.Queues && docs[i].On {
			out = append(out, id)
		}
	}
	return out, nil
}

// query makes the query of a filter.
func (f Filter) query() (Query, error) {
	q := Query{Collection: "sessions"}
	equal := func(field, v string) {
		if v != "" {
			q.Where = append(q.Where, Where{field, "==", v})
		}
	}
	if f.State != "" && f.State.Validate() != nil {
		return q, &Invalid{[]Field{{"state", fmt.Sprintf("%q is not a state", f.State)}}}
	}
	equal("state", string(f.State))
	equal("queue", f.Queue)
	equal("agent", f.Agent)
	if f.Waiting != nil {
		q.Where = append(q.Where, Where{"waiting", "==", *f.Waiting})
	}
	if f.Address != "" {
		q.Where = append(q.Where, Where{"participants", "array-contains", email.Normalize(f.Address)})
	}
	order := "updated_at"
	if !f.CreatedFrom.IsZero() {
		q.Where, order = append(q.Where, Where{"created_at", ">=", f.CreatedFrom}), "created_at"
	}
	if !f.CreatedBefore.IsZero() {
		q.Where, order = append(q.Where, Where{"created_at", "<", f.CreatedBefore}), "created_at"
	}
	q.Order = []Order{{Field: order, Desc: true}, {Field: "id", Desc: true}}
	return q, nil
}

// Session returns one session.
func (r *Read) Session(ctx context.Context, who Actor, id string) (*Session, error) {
	s, _, err := visible(ctx, r.Docs, who, id)
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	return s, nil
}

// Messages lists the messages of a session.
func (r *Read) Messages(ctx context.Context, who Actor, id string, p PageRequest) (*Page[Message], error) {
	s, err := r.Session(ctx, who, id)
	if err != nil {
		return nil, err
	}
	q := Query{Collection: "sessions/" + s.ID + "/messages", Order: []Order{{Field: "at"}, {Field: "id"}}}
	return page(ctx, r.Docs, q, p, func(m Message) position { return position{m.At, m.ID} })
}

// History lists the interactions of a session (SE-1).
func (r *Read) History(ctx context.Context, who Actor, id string, p PageRequest) (*Page[History], error) {
	s, err := r.Session(ctx, who, id)
	if err != nil {
		return nil, err
	}
	q := Query{Collection: "sessions/" + s.ID + "/history", Order: []Order{{Field: "at"}, {Field: "id"}}}
	return page(ctx, r.Docs, q, p, func(h History) position { return position{h.At, h.ID} })
}

// Raw opens the raw form of a message.
func (r *Read) Raw(ctx context.Context, who Actor, id, message string) (io.ReadCloser, error) {
	m, err := r.message(ctx, who, id, message)
	if err != nil {
		return nil, err
	}
	if m.Raw == "" {
		return nil, notFound("raw form of message", message)
	}
	return r.Archive.Open(ctx, m.Raw)
}

// File opens an attachment of a message by its number, from 0.
func (r *Read) File(ctx context.Context, who Actor, id, message string, number int) (Attachment, io.ReadCloser, error) {
	m, err := r.message(ctx, who, id, message)
	if err != nil {
		return Attachment{}, nil, err
	}
	if number < 0 || number >= len(m.Attachments) {
		return Attachment{}, nil, notFound("attachment", fmt.Sprint(number))
	}
	a := m.Attachments[number]
	body, err := r.Archive.Open(ctx, a.Object)
	return a, body, err
}

func (r *Read) message(ctx context.Context, who Actor, id, message string) (*Message, error) {
	s, err := r.Session(ctx, who, id)
	if err != nil {
		return nil, err
	}
	if !plainID(message) {
		return nil, notFound("message", message)
	}
	m, err := get[Message](ctx, r.Docs, messagePath(s.ID, message))
	if err == nil && m == nil {
		err = notFound("message", message)
	}
	return m, err
}
