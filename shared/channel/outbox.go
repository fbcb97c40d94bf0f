package channel

import (
	"context"
	"fmt"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/session"
)

// overdue is how long an event may stay unpublished before Sweep takes it up.
const overdue = time.Minute

// entry makes a history entry whose event is to be published.
func entry(s *Session, kind session.Kind, id, actor string, now time.Time) History {
	return History{ID: id, Session: s.ID, Kind: kind, At: now, Actor: actor, Queue: s.Queue, Agent: s.Agent, Waiting: s.Waiting, Due: now.Add(overdue)}
}

// quiet makes a history entry that nobody needs to be told of.
func quiet(s *Session, kind session.Kind, id, actor string, now time.Time) History {
	h := entry(s, kind, id, actor, now)
	h.Due = time.Time{}
	return h
}

// announce publishes the events of committed entries and clears their Due.
// Doing it twice is harmless.
func announce(ctx context.Context, bus Bus, docs Docs, use string, entries ...History) error {
	var messages []event.Message
	for _, h := range entries {
		if !h.Due.IsZero() {
			messages = append(messages, event.Encode(h.event()))
		}
	}
	if len(messages) == 0 {
		return nil
	}
	fault.Step(ctx, use+".committed")
	if err := bus.Publish(ctx, event.TopicSession, messages...); err != nil {
		return fmt.Errorf("publish %s of session %s: %w", entries[0].Kind, entries[0].Session, err)
	}
	fault.Step(ctx, use+".published")
	return docs.Write(ctx, func(tx Tx) {
		for _, h := range entries {
			if !h.Due.IsZero() {
				tx.Patch(historyPath(h.Session, h.ID), map[string]any{"due": nil})
			}
		}
	})
}

// load changes an agent's number of open sessions by what a move of one of
// his sessions from before to after means (AS-4).
func load(tx Tx, before, after Session) {
	add := func(s Session, n int) {
		if s.Agent != "" && session.Counted(s.State) {
			tx.Patch(agentPath(s.Agent), map[string]any{"open": Inc(n)})
		}
	}
	if before.Agent == after.Agent && session.Counted(before.State) == session.Counted(after.State) {
		return
	}
	add(before, -1)
	add(after, +1)
}
