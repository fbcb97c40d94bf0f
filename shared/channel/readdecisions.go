package channel

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/session"
)

// DecisionKind tells what was decided.
type DecisionKind string

// What the channel decides by itself.
const (
	DecidedThread   DecisionKind = "thread"   // which session a mail belongs to; Rule is a thread.Rule
	DecidedRoute    DecisionKind = "route"    // which agent gets the session
	DecidedAnswer   DecisionKind = "answer"   // that a mail is answered by an auto-response; Rule is a reply.Scenario
	DecidedSuppress DecisionKind = "suppress" // that it is not; Rule is the reason: of the mail, a cap, or "not-due" (AR-3)
	DecidedState    DecisionKind = "state"    // a timer moved the session; Rule is a session.Event
)

// Decision is one decision of the channel on a session, with the rule that it
// went by and what that rule was applied to (AS-7).
type Decision struct {
	ID      string       `json:"id"` // of the history entry
	Kind    DecisionKind `json:"kind"`
	At      time.Time    `json:"at"`
	Rule    string       `json:"rule"`
	Inputs  []string     `json:"inputs,omitempty"` // each "name:value"
	Message string       `json:"message,omitempty"`
	Queue   string       `json:"queue,omitempty"`
	From    string       `json:"from,omitempty"` // state before
	To      string       `json:"to,omitempty"`   // state or agent after
}

// Decisions is a page of decisions, from the oldest, and on the first page why
// the session waits now, if it does.
type Decisions struct {
	Page[Decision]
	Waits *Wait `json:"waits,omitempty"`
}

// decided is which kind of decision an entry tells of.
var decided = map[session.Kind]DecisionKind{
	session.KindReceived: DecidedThread, session.KindBounced: DecidedThread, session.KindAssigned: DecidedRoute,
	session.KindAutoReplied: DecidedAnswer, session.KindPaused: DecidedState, session.KindClosed: DecidedState,
}

// deciding are the kinds of decided, as a query has them.
var deciding = slices.Sorted(maps.Keys(decided))

// Decisions lists what the channel decided on a session and why. What people
// did is in the history; a page may therefore hold fewer than its limit.
func (r *Read) Decisions(ctx context.Context, who Actor, id string, p PageRequest) (*Decisions, error) {
	s, err := r.Session(ctx, who, id)
	if err != nil {
		return nil, err
	}
	q := Query{Collection: "sessions/" + s.ID + "/history", Where: []Where{{"kind", "in", deciding}}, Order: []Order{{Field: "at"}, {Field: "id"}}}
	after, skip := strings.CutPrefix(p.Cursor, halfway)
	entries, err := page(ctx, r.Docs, q, PageRequest{p.Limit, after}, entryPosition)
	if err != nil {
		return nil, err
	}
	all, err := r.explained(ctx, s.ID, entries.Items)
	if err != nil {
		return nil, err
	}
	if skip && len(all) > 0 && len(all[0]) > 0 {
		all[0] = all[0][1:]
	}
	out := Decisions{Page: Page[Decision]{Next: entries.Next}}
	for i, more := range all {
		room := cmp.Or(p.Limit, DefaultPage) - len(out.Items)
		out.Items = append(out.Items, more[:min(room, len(more))]...)
		if len(more) <= room {
			continue
		}
		if out.Next = after; i > 0 {
			if out.Next, err = q.cursor(entryPosition(entries.Items[i-1])); err != nil {
				return nil, err
			}
		}
		if room > 0 {
			out.Next = halfway + out.Next
		}
		break
	}
	if p.Cursor == "" {
		out.Waits, err = r.waits(ctx, s)
	}
	return &out, err
}

// halfway begins the cursor of a page that ends between the two decisions of a
// mail: the rest stands for the entry before.
const halfway = "1."

func entryPosition(h History) position { return position{h.At, h.ID} }

// explained are the decisions of each entry. Why a mail is not answered stands
// with the message.
func (r *Read) explained(ctx context.Context, id string, entries []History) ([][]Decision, error) {
	docs, refs := make([]Message, len(entries)), []*Ref{}
	for i, h := range entries {
		if decided[h.Kind] == DecidedThread && plainID(h.Message) {
			refs = append(refs, &Ref{Path: messagePath(id, h.Message), Into: &docs[i]})
		}
	}
	if err := r.Docs.Get(ctx, refs...); err != nil {
		return nil, fmt.Errorf("messages of session %s: %w", id, err)
	}
	out := make([][]Decision, len(entries))
	for i, h := range entries {
		out[i] = h.decisions(docs[i].NoAnswer)
	}
	return out, nil
}

// decisions are those that an entry tells of: none when somebody did it by
// hand. A mail has a second one when no auto-response follows it.
func (h History) decisions(noAnswer string) []Decision {
	if h.Rule == "" {
		return nil
	}
	d := Decision{ID: h.ID, Kind: decided[h.Kind], At: h.At, Rule: h.Rule, Inputs: h.Inputs, Message: h.Message, Queue: h.Queue, From: h.From, To: h.To}
	if d.Kind != DecidedThread {
		return []Decision{d}
	}
	class := h.input("class")
	switch {
	case noAnswer != "":
	case h.Scenario != "":
		return []Decision{d}
	case class == string(email.ClassNormal) || class == string(email.ClassList):
		noAnswer = notDue
	default:
		noAnswer = "class " + class
	}
	return []Decision{d, {ID: h.ID, Kind: DecidedSuppress, At: h.At, Rule: noAnswer, Inputs: []string{"class:" + class}, Message: h.Message, Queue: h.Queue}}
}

// notDue is the rule where no case of AR-3 holds.
const notDue = "not-due"

// input is an input of the entry by its name.
func (h History) input(name string) string {
	for _, in := range h.Inputs {
		if v, ok := strings.CutPrefix(in, name+":"); ok {
			return v
		}
	}
	return ""
}
