package channel

import (
	"context"
	"maps"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/session"
)

// session erases the address from one session: claims it against a hold, then
// its messages, its history, what the CRM is yet to be told, and last what
// makes the session be found.
func (r *erasure) session(ctx context.Context, s Session) error {
	whole, err := r.claim(ctx, s.ID)
	if err != nil {
		return err
	}
	byTime := []Order{{Field: "at"}}
	err = walk(ctx, r.Docs, Query{Collection: "sessions/" + s.ID + "/messages", Order: byTime},
		func(m Message) error { return r.message(ctx, m, whole) })
	if err != nil {
		return err
	}
	err = walk(ctx, r.Docs, Query{Collection: "sessions/" + s.ID + "/history", Order: byTime},
		func(h History) error { return r.entry(ctx, h, whole) })
	if err != nil {
		return err
	}
	fault.Step(ctx, "erase.messages")
	return r.end(ctx, s.ID, whole)
}

// claim refuses a session that is held, and keeps a hold away from now on.
// whole tells whether the address is the session's end user.
func (r *erasure) claim(ctx context.Context, id string) (whole bool, err error) {
	err = r.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		s, err := get[Session](ctx, tx, sessionPath(id))
		if err != nil {
			return err
		}
		if s == nil {
			return ErrNotFound
		}
		if s.Hold != nil {
			return conflict("held: session %s", id)
		}
		whole = email.Normalize(s.Consumer.Addr) == r.address
		tx.Patch(sessionPath(id), map[string]any{"erasure": r.head.ID})
		return nil
	})
	return whole, err
}

// message erases one message, or the address from it.
func (r *erasure) message(ctx context.Context, m Message, whole bool) error {
	if !whole && !r.owns(m) {
		return r.mention(ctx, m)
	}
	var known *Mail
	if m.Direction != Note {
		var err error
		if known, err = get[Mail](ctx, r.Docs, mailPath(m.ID)); err != nil {
			return err
		}
	}
	if m.Outbound != "" {
		if err := r.cancel(ctx, m.Outbound); err != nil {
			return err
		}
	}
	raws, files := m.objects(known)
	if err := r.remove(ctx, ErasedItem{ID: "message-" + m.ID, What: "message", Session: m.Session, Message: m.ID}, raws, files); err != nil {
		return err
	}
	return r.Docs.Write(ctx, func(tx Tx) {
		tx.Patch(messagePath(m.Session, m.ID), r.blank(m))
		if known != nil {
			r.entomb(tx, m.ID)
		}
		if m.Outbound != "" {
			tx.Patch(outboundPath(m.Outbound), map[string]any{"to": []string{}, "to_hash": nil, "asked": nil, "answer": nil, "results": nil, "bounced": nil, "object": "", "due": nil})
		}
	})
}

// objects are those of a message, of which known is the mail.
func (m Message) objects(known *Mail) (raws, files []string) {
	if known != nil {
		raws = known.raws()
	}
	if m.Raw != "" && !slices.Contains(raws, m.Raw) {
		raws = append(raws, m.Raw)
	}
	for _, a := range m.Attachments {
		if a.Object != "" {
			files = append(files, a.Object)
		}
	}
	return raws, files
}

// blank are the fields of a message whose content and people are gone. An
// agent's own name stays.
func (r *erasure) blank(m Message) map[string]any {
	now := r.Now().UTC()
	fields := map[string]any{
		"text": "", "html": nil, "attachments": nil, "raw": "", "subject": "", "message_id": "", "in_reply_to": nil, "references": nil,
		"to": []string{}, "cc": nil, "reply_to": nil, "bounced": nil, "class_reason": nil, "authentication": nil, "retention_at": now, "purged_at": now,
	}
	if m.Direction == In {
		fields["from"] = email.Address{}
	}
	return fields
}

func (r *erasure) is(a email.Address) bool { return email.Normalize(a.Addr) == r.address }

// owns tells whether a message is from the address, or of ours to it alone.
func (r *erasure) owns(m Message) bool {
	if m.Direction != Out {
		return m.Direction == In && r.is(m.From)
	}
	to := append(slices.Clone(m.To), m.Cc...)
	return len(to) > 0 && !slices.ContainsFunc(to, func(a email.Address) bool { return !r.is(a) })
}

// mention takes the address out of the fields of somebody else's message.
func (r *erasure) mention(ctx context.Context, m Message) error {
	fields := map[string]any{}
	for name, list := range map[string][]email.Address{"to": m.To, "cc": m.Cc, "reply_to": m.ReplyTo} {
		if rest := slices.DeleteFunc(slices.Clone(list), r.is); len(rest) < len(list) {
			fields[name] = rest
		}
	}
	if len(fields) == 0 {
		return nil
	}
	var kept []string
	if m.Raw != "" {
		kept = append(kept, m.Raw)
	}
	return r.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		if m.Outbound != "" {
			o, err := get[Outbound](ctx, tx, outboundPath(m.Outbound))
			if err != nil {
				return err
			}
			if o != nil && (o.State == Queued || o.State == Sending) {
				return errSending // whom it goes to is not changed behind an agent's back
			}
			if o != nil {
				his := func(to string) bool { return email.Normalize(to) == r.address }
				rest := slices.DeleteFunc(slices.Clone(o.To), his)
				maps.DeleteFunc(o.Results, func(to string, _ Result) bool { return his(to) })
				tx.Patch(outboundPath(m.Outbound), map[string]any{"to": rest, "asked": nil, "answer": nil, "results": o.Results, "bounced": nil})
			}
		}
		tx.Patch(messagePath(m.Session, m.ID), fields)
		r.line(tx, ErasedItem{ID: "message-" + m.ID, What: "mention", Session: m.Session, Message: m.ID, Kept: kept})
		return nil
	})
}

// entry takes out of a history entry what it quotes.
func (r *erasure) entry(ctx context.Context, h History, whole bool) error {
	said := strings.ToLower(strings.Join(append([]string{h.Note, h.From, h.To}, h.Inputs...), "\n"))
	if !strings.Contains(said, r.address) && (!whole || h.Note == "" && h.Inputs == nil && h.Kind != session.KindSubjectEdited) {
		return nil
	}
	fields := map[string]any{"note": nil, "inputs": nil}
	if h.Kind == session.KindSubjectEdited || strings.Contains(strings.ToLower(h.From+"\n"+h.To), r.address) {
		fields["from"], fields["to"] = nil, nil
	}
	return r.Docs.Write(ctx, func(tx Tx) { tx.Patch(historyPath(h.Session, h.ID), fields) })
}

// end removes the address from the session itself, with what its mails
// announced and what waits for the CRM.
func (r *erasure) end(ctx context.Context, id string, whole bool) error {
	var ops []Operation
	var announced []string
	if whole {
		var err error
		if ops, err = find[Operation](ctx, r.Docs, Query{Collection: "crmops", Where: []Where{{"record", "==", id}}}); err != nil {
			return err
		}
		q := Query{Collection: "mails", Where: []Where{{"session", "==", id}, {"state", "==", string(Announced)}}}
		if err := r.Docs.Find(ctx, q, func(mail string, _ func(any) error) error { announced = append(announced, mail); return nil }); err != nil {
			return err
		}
	}
	return r.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		s, err := get[Session](ctx, tx, sessionPath(id))
		if err != nil || s == nil || s.Erasure != r.head.ID {
			return err
		}
		rec, err := get[CRMRecord](ctx, tx, recordPath(id))
		if err != nil {
			return err
		}
		now := r.Now().UTC()
		fields := map[string]any{"erasure": nil, "erased_at": now, "updated_at": now, "participants": slices.DeleteFunc(s.Participants, func(p string) bool { return p == r.address })}
		if whole {
			fields["subject"], fields["consumer"] = "", email.Address{}
		}
		tx.Patch(sessionPath(id), fields)
		for _, op := range ops {
			tx.Delete(operationPath(op.ID))
		}
		for _, mail := range announced {
			tx.Patch(mailPath(mail), map[string]any{"message_id": nil})
		}
		item := ErasedItem{ID: "session-" + id, What: "session", Session: id}
		if rec != nil {
			item.CRM, item.Ticket = rec.CRM, rec.Ticket
		}
		h := quiet(s, session.KindErased, "erased-"+r.head.ID, r.who.ID, now)
		tx.Set(historyPath(id, h.ID), h)
		r.line(tx, item)
		return nil
	})
}
