package channel

import (
	"context"
	"fmt"
	"time"
)

// Viewer is somebody who has a session before him: sessions/{id}/viewers/{agent}.
// He is there until he leaves, or was not heard of for a minute.
type Viewer struct {
	Agent   string    `json:"agent"`
	Name    string    `json:"name"`
	Doing   Doing     `json:"doing"`
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires"` // from then on he counts as gone, unless he is heard of; TTL
}

// Doing is what a viewer does.
type Doing string

const (
	Viewing  Doing = "viewing"
	Replying Doing = "replying"
)

// Validate returns an error that quotes the value when d is not known.
func (d Doing) Validate() error {
	if d != Viewing && d != Replying {
		return fmt.Errorf("%q is neither %s nor %s", string(d), Viewing, Replying)
	}
	return nil
}

const (
	viewerFor  = time.Minute
	maxViewers = 50 // shown of one session
)

func viewerPath(session, agent string) string { return "sessions/" + session + "/viewers/" + agent }

// View notes that the actor has the session before him, and returns who else
// has (AG-2). The agent page repeats it within [viewerFor]; of two who begin at
// the same time the later one sees the other at once, and both at the next time.
func (d *Desk) View(ctx context.Context, who Actor, id string, doing Doing) ([]Viewer, error) {
	if err := doing.Validate(); err != nil {
		return nil, &Invalid{[]Field{{"doing", err.Error()}}}
	}
	s, ag, err := visible(ctx, d.Docs, who, id)
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	if !plainID(who.ID) {
		return nil, fmt.Errorf("session %s: %q is no user's address: %w", id, who.ID, ErrForbidden)
	}
	have, err := get[Viewer](ctx, d.Docs, viewerPath(s.ID, who.ID))
	if err != nil {
		return nil, err
	}
	now := d.Now().UTC()
	v := Viewer{Agent: who.ID, Name: who.ID, Doing: doing, Since: now, Expires: now.Add(viewerFor)}
	if ag != nil {
		v.Name = ag.Name
	}
	if have != nil && now.Before(have.Expires) {
		v.Since = have.Since
	}
	if err := d.Docs.Write(ctx, func(tx Tx) { tx.Set(viewerPath(s.ID, who.ID), v) }); err != nil {
		return nil, fmt.Errorf("view session %s: %w", id, err)
	}
	return d.others(ctx, s.ID, who.ID, now)
}

// Leave notes that the actor has the session before him no more.
func (d *Desk) Leave(ctx context.Context, who Actor, id string) error {
	s, _, err := visible(ctx, d.Docs, who, id)
	if err != nil || !plainID(who.ID) {
		return err
	}
	return d.Docs.Write(ctx, func(tx Tx) { tx.Delete(viewerPath(s.ID, who.ID)) })
}

// Viewers lists who has the session before him, the actor left out.
func (d *Desk) Viewers(ctx context.Context, who Actor, id string) ([]Viewer, error) {
	s, _, err := visible(ctx, d.Docs, who, id)
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	return d.others(ctx, s.ID, who.ID, d.Now().UTC())
}

func (d *Desk) others(ctx context.Context, session, me string, now time.Time) ([]Viewer, error) {
	list, err := find[Viewer](ctx, d.Docs, Query{
		Collection: "sessions/" + session + "/viewers",
		Where:      []Where{{"expires", ">", now}}, Order: []Order{{Field: "expires"}}, Limit: maxViewers,
	})
	var out []Viewer
	for _, v := range list {
		if v.Agent != me {
			out = append(out, v)
		}
	}
	return out, err
}
