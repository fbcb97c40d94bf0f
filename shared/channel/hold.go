package channel

import (
	"context"
	"fmt"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/session"
)

// Hold keeps a session as it is: while it is there, nothing of the session is
// purged or erased (ST-5).
type Hold struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// maxReason is the longest reason of a hold, in bytes.
const maxReason = 1000

// Hold puts a hold on a session. A session that is held keeps its first hold.
// What a purge began to delete before is not brought back.
func (d *Desk) Hold(ctx context.Context, who Actor, id, reason string) (*Session, error) {
	return d.hold(ctx, who, id, reason, func(a *act, reason string) (*History, error) {
		if a.s.Hold != nil {
			return nil, nil
		}
		if a.s.Erasure != "" {
			return nil, conflict("an erasure of it is under way")
		}
		a.s.Hold = &Hold{By: a.who.ID, Reason: reason, At: a.now}
		return a.remark(session.KindHeld, reason), nil
	})
}

// Release takes the hold from a session. What it kept over the storage period
// goes at the next sweep.
func (d *Desk) Release(ctx context.Context, who Actor, id, reason string) (*Session, error) {
	return d.hold(ctx, who, id, reason, func(a *act, reason string) (*History, error) {
		if a.s.Hold == nil {
			return nil, nil
		}
		a.s.Hold, a.s.Released = nil, true
		return a.remark(session.KindReleased, reason), nil
	})
}

func (d *Desk) hold(ctx context.Context, who Actor, id, reason string, f func(a *act, reason string) (*History, error)) (*Session, error) {
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > maxReason {
		return nil, &Invalid{[]Field{{"reason", fmt.Sprintf("must have 1 to %d bytes", maxReason)}}}
	}
	if !who.everywhere() {
		return nil, fmt.Errorf("session %s: holds are the supervisors' and admins': %w", id, ErrForbidden)
	}
	return d.change(ctx, who, id, func(_ context.Context, a *act) (*History, error) { return f(a, reason) })
}

// remark makes an entry that nobody needs to be told of.
func (a *act) remark(kind session.Kind, note string) *History {
	h := quiet(&a.s, kind, string(kind)+"-"+a.key, a.who.ID, a.now)
	h.Note = note
	return &h
}
