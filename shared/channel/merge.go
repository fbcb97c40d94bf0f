package channel

import (
	"context"

	"emailchannel.dev/emailchannel/shared/session"
)

// How many messages a merge moves, and how many bytes of text, which is what
// one transaction can hold; a larger session stays as it is.
const (
	maxMerged      = 100
	maxMergedBytes = 6 << 20 // of a commit's 10 MiB
)

// merge folds the sessions that the mail shows to be parts of the same
// conversation into s: replies to a mail that had not arrived began them. Their
// messages move, their IDs go on leading here.
func (a *arrival) merge(ctx context.Context, tx Tx, k known, s *Session, ids []string) ([]History, error) {
	var out []History
	bytes := 0
	for _, id := range ids {
		from := *k.sessions[id]
		msgs, err := find[Message](ctx, tx, Query{Collection: "sessions/" + id + "/messages", Limit: maxMerged + 1})
		if err != nil {
			return nil, err
		}
		size := 0
		for _, m := range msgs {
			size += len(m.Text) + len(m.HTML)
		}
		if len(msgs) > maxMerged || bytes+size > maxMergedBytes { // more than its count may say: automatic answers are not in it
			continue
		}
		bytes += size
		before := from
		if err := from.apply(session.Merge, a.cat.Session, a.now); err != nil {
			return nil, err
		}
		load(tx, before, from)
		from.MergedInto, from.Waiting = s.ID, false
		if s.Hold == nil { // a hold goes where the messages go
			s.Hold = from.Hold
		}
		s.Released = s.Released || from.Released
		from.Hold, from.Released = nil, false
		s.Messages, from.Messages = s.Messages+from.Messages, 0
		tx.Set(sessionPath(id), from)
		for _, m := range msgs {
			m.Session = s.ID
			tx.Set(messagePath(s.ID, m.ID), m)
			tx.Delete(messagePath(id, m.ID))
			if m.Direction != Note { // a note is no mail
				tx.Patch(mailPath(m.ID), map[string]any{"session": s.ID})
			}
			if m.Outbound != "" { // what becomes of it is told in this session
				tx.Patch(outboundPath(m.Outbound), map[string]any{"session": s.ID})
			}
		}
		s.Participants = union(s.Participants, from.Participants, maxParticipants)
		h := entry(&from, session.KindMerged, "merged-"+k.id, ActorChannel, a.now)
		h.To = s.ID
		tx.Set(historyPath(id, h.ID), h)
		out = append(out, h)
	}
	return out, nil
}

func union(a, b []string, most int) []string {
	seen := map[string]bool{}
	var out []string
	for _, list := range [][]string{a, b} {
		for _, v := range list {
			if !seen[v] && len(out) < most {
				seen[v] = true
				out = append(out, v)
			}
		}
	}
	return out
}
