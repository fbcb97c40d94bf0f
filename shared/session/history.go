package session

import (
	"fmt"
	"slices"
)

// Kind names an entry of a session's history (SE-1). The time, the actor and details stand beside it.
type Kind string

// The kinds of entries.
const (
	KindCreated       Kind = "created"        // the session came into being
	KindLinked        Kind = "linked"         // a late answer made a new session, linked to this one
	KindReceived      Kind = "received"       // mail from the end user
	KindEnteredQueue  Kind = "entered_queue"  // waits in a queue
	KindAssigned      Kind = "assigned"       // got an agent
	KindUnassigned    Kind = "unassigned"     // lost its agent
	KindTransferred   Kind = "transferred"    // went to another queue or agent
	KindOpened        Kind = "opened"         // an agent opened it
	KindAnswered      Kind = "answered"       // an agent's mail was handed over for sending
	KindSent          Kind = "sent"           // the mail server took the agent's mail
	KindSendFailed    Kind = "send_failed"    // it did not, for good
	KindBounced       Kind = "bounced"        // a delivery failure came back
	KindAutoReplied   Kind = "auto_replied"   // an automatic reply was sent
	KindAwaiting      Kind = "awaiting"       // an automatic reply waits for the CRM's ticket, whose ID it tells
	KindSuppressed    Kind = "suppressed"     // an automatic reply was held back, with the rule
	KindPaused        Kind = "paused"         // by an agent or a timer
	KindResolved      Kind = "resolved"       // by an agent
	KindActivated     Kind = "activated"      // taken out of paused or resolved
	KindClosed        Kind = "closed"         // by a timer
	KindReopened      Kind = "reopened"       // by activity
	KindNote          Kind = "note"           // an internal note
	KindMerged        Kind = "merged"         // folded into another session, or another one into it
	KindSubjectEdited Kind = "subject_edited" // an agent changed the subject (CH-3)
	KindRecorded      Kind = "recorded"       // linked to a CRM record
	KindRefused       Kind = "refused"        // mail pointed here and may not join (CH-5, SE-8)
	KindHeld          Kind = "held"           // kept from being purged and erased, with the reason (ST-5)
	KindReleased      Kind = "released"       // no longer held, with the reason
	KindErased        Kind = "erased"         // an end user's data were removed (ST-5)
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{KindCreated, KindLinked, KindReceived, KindEnteredQueue, KindAssigned, KindUnassigned,
		KindTransferred, KindOpened, KindAnswered, KindSent, KindSendFailed, KindBounced, KindAutoReplied,
		KindAwaiting, KindSuppressed, KindPaused, KindResolved, KindActivated, KindClosed, KindReopened, KindNote,
		KindMerged, KindSubjectEdited, KindRecorded, KindRefused, KindHeld, KindReleased, KindErased}
}

// Validate returns an error that quotes the value when k is not a known kind.
func (k Kind) Validate() error {
	if !slices.Contains(Kinds(), k) {
		return fmt.Errorf("session: unknown kind of history entry %q", string(k))
	}
	return nil
}
