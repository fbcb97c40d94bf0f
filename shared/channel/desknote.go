package channel

import (
	"context"
	"strings"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/session"
)

// maxNote is the longest internal note, in bytes.
const maxNote = 64 << 10

// Note adds an internal note, which is never mailed. The same key makes it once.
func (d *Desk) Note(ctx context.Context, who Actor, id, key, text string) (*Message, error) {
	var bad Invalid
	if key == "" || len(key) > maxKey {
		bad.add("idempotency_key", "must have 1 to %d characters", maxKey)
	}
	if text = strings.TrimSpace(text); text == "" || len(text) > maxNote {
		bad.add("text", "must have 1 to %d bytes", maxNote)
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	var m Message
	_, err := d.If(Precondition{}).change(ctx, who, id, func(ctx context.Context, a *act) (*History, error) {
		note := "note-" + digest(a.s.ID, key)
		have, err := get[Message](ctx, a.tx, messagePath(a.s.ID, note))
		if err != nil || have != nil {
			if have != nil {
				m = *have
			}
			return nil, err
		}
		if err := d.only.session(ctx, a.tx, a.s); err != nil { // after what an earlier call with this key made of it
			return nil, err
		}
		m = Message{ID: note, Session: a.s.ID, Direction: Note, Agent: who.ID, From: email.Address{Addr: who.ID}, Subject: a.s.Subject, At: a.now, Text: text, Size: int64(len(text))}
		if a.agent != nil {
			m.From.Name = a.agent.Name
		}
		a.s.Messages++
		a.tx.Create(messagePath(a.s.ID, note), m)
		h := quiet(&a.s, session.KindNote, note, who.ID, a.now)
		h.Message = note
		return &h, nil
	})
	if err != nil {
		return nil, err
	}
	if m.Text != text {
		return nil, conflict("the idempotency key was used for another note")
	}
	return &m, nil
}
