package channel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/fault"
)

// Erase removes an end user from everything that the channel stored (ST-5), by
// his address, and keeps a receipt.
//
// A session whose end user he is loses the content of all its messages, its
// subject and what its history quotes. From other sessions go his own mails
// and those of ours to him alone; elsewhere his address is taken out of the
// fields. The raw form of other people's mails that name him stays theirs, and
// the receipt lists it as kept. Mail of his without a session and in
// quarantine goes too. What stays are facts that tell nobody: that there was a
// message, when, in which session; and the tombstone of each mail, which knows
// it by a hash and keeps it from being imported again. Tickets are the CRM's:
// the receipt names them.
//
// One hold on a session of his refuses the whole. A call that a crash ended is
// finished by calling again: each step is repeated until its line is in the
// receipt, and adds no second one.
type Erase struct {
	Docs    Docs
	Objects Objects
	Now     Clock
}

// ErasureState is where an erasure stands.
type ErasureState string

// The states.
const (
	ErasureRunning ErasureState = "running"
	ErasureDone    ErasureState = "done"
)

// Erasure is the receipt's head: erasures/{ID}. It never has the address.
type Erasure struct {
	ID    string       `json:"id"`
	Hash  string       `json:"hash"` // SHA-256 of the normalised address, in hexadecimal
	State ErasureState `json:"state"`
	By    string       `json:"by"` // who asked first
	Asked time.Time    `json:"asked_at"`
	Done  time.Time    `json:"done_at,omitzero"` // when something was last removed
}

// ErasedItem is a line of the receipt: erasures/{id}/items/{ID}.
type ErasedItem struct {
	ID      string    `json:"id"`
	What    string    `json:"what"` // session, message, mention, mail or quarantined
	Session string    `json:"session,omitempty"`
	Message string    `json:"message,omitempty"` // or the mail's fingerprint
	Objects []string  `json:"objects,omitempty"` // removed from the archive
	Kept    []string  `json:"kept,omitempty"`    // other people's mails in the archive that name the address
	CRM     string    `json:"crm,omitempty"`     // where the ticket is to be erased
	Ticket  string    `json:"ticket,omitempty"`
	At      time.Time `json:"at"`
}

// ErasureReceipt is the whole receipt.
type ErasureReceipt struct {
	Erasure
	Items []ErasedItem `json:"items"`
}

func erasurePath(id string) string         { return "erasures/" + id }
func erasedPath(erasure, id string) string { return erasurePath(erasure) + "/items/" + id }

// erasure is one call.
type erasure struct {
	*Erase
	who     Actor
	address string // normalised
	head    Erasure
}

// Handle erases an address. Refused are an address that is the channel's own
// or an agent's ([*Invalid]), and one of whom a session is held or has a mail
// that is just being sent ([*Conflict]). Calling again finishes what was
// begun, and removes what came in since.
func (e *Erase) Handle(ctx context.Context, who Actor, address string) (*ErasureReceipt, error) {
	if who.Role != RoleAdmin && who.Role != RoleService {
		return nil, fmt.Errorf("erase: %w", ErrForbidden)
	}
	r := &erasure{Erase: e, who: who, address: email.Normalize(address)}
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(r.address))
	r.head = Erasure{ID: digest("erasure", r.address), Hash: hex.EncodeToString(sum[:]), State: ErasureRunning, By: who.ID, Asked: e.Now().UTC()}
	if err := r.run(ctx); err != nil {
		return nil, fmt.Errorf("erasure %s: %w", r.head.ID, err)
	}
	return e.Receipt(ctx, r.head.ID)
}

// Receipt returns the receipt of an erasure.
func (e *Erase) Receipt(ctx context.Context, id string) (*ErasureReceipt, error) {
	if !plainID(id) {
		return nil, notFound("erasure", id)
	}
	head, err := get[Erasure](ctx, e.Docs, erasurePath(id))
	if err != nil {
		return nil, err
	}
	if head == nil {
		return nil, notFound("erasure", id)
	}
	items, err := find[ErasedItem](ctx, e.Docs, Query{Collection: erasurePath(id) + "/items"})
	return &ErasureReceipt{*head, items}, err
}

// check refuses addresses that are nobody's who writes to the centre.
func (r *erasure) check(ctx context.Context) error {
	var bad Invalid
	if !isAddress(r.address) {
		bad.add("address", "is not an address")
		return bad.err()
	}
	n, err := r.Docs.Count(ctx, Query{Collection: "accounts", Where: []Where{{"address", "==", r.address}}}, 1)
	if err != nil {
		return err
	}
	ag, err := get[Agent](ctx, r.Docs, agentPath(r.address))
	if err != nil {
		return err
	}
	if n > 0 || ag != nil {
		bad.add("address", "belongs to the centre, not to an end user")
	}
	return bad.err()
}

func (r *erasure) run(ctx context.Context) error {
	sessions, mails, err := r.search(ctx)
	if err != nil {
		return err
	}
	if err := r.held(sessions); err != nil {
		return err
	}
	waiting, err := r.quarantined(ctx)
	if err != nil {
		return err
	}
	done, err := r.begin(ctx, len(sessions)+len(mails)+len(waiting) > 0)
	if err != nil || done {
		return err
	}
	fault.Step(ctx, "erase.begun")
	for _, s := range sessions {
		if err := r.session(ctx, s); err != nil {
			return fmt.Errorf("session %s: %w", s.ID, err)
		}
	}
	for _, id := range mails {
		if err := r.stray(ctx, id); err != nil {
			return fmt.Errorf("mail %s: %w", id, err)
		}
	}
	for _, q := range waiting {
		if err := r.unprocessed(ctx, q); err != nil {
			return fmt.Errorf("quarantined mail %s: %w", q.ID, err)
		}
	}
	return r.Docs.Write(ctx, func(tx Tx) {
		tx.Patch(erasurePath(r.head.ID), map[string]any{"state": string(ErasureDone), "done_at": r.Now().UTC()})
	})
}

// begin stores the receipt's head. One that is done stays as it is unless
// there is something to remove.
func (r *erasure) begin(ctx context.Context, more bool) (done bool, err error) {
	err = r.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, err := get[Erasure](ctx, tx, erasurePath(r.head.ID))
		if err != nil {
			return err
		}
		switch done = false; {
		case have == nil:
			tx.Set(erasurePath(r.head.ID), r.head)
		case have.State == ErasureDone && !more:
			done = true
		case have.State == ErasureDone:
			tx.Patch(erasurePath(r.head.ID), map[string]any{"state": string(ErasureRunning)})
		}
		return nil
	})
	return done, err
}

// search finds the address's sessions, by ID, and its mails without one. A
// session has it among its participants until all else is done; the senders
// find what a session with too many participants forgot.
func (r *erasure) search(ctx context.Context) (sessions []Session, strays []string, err error) {
	byID := map[string]Session{}
	for _, w := range []Where{{"participants", "array-contains", r.address}, {"erasure", "==", r.head.ID}} {
		found, err := find[Session](ctx, r.Docs, Query{Collection: "sessions", Where: []Where{w}})
		if err != nil {
			return nil, nil, err
		}
		for _, s := range found {
			byID[s.ID] = s
		}
	}
	err = r.Docs.Find(ctx, Query{Collection: "mails", Where: []Where{{"sender", "==", r.address}}}, func(id string, decode func(any) error) error {
		var m Mail
		if err := decode(&m); err != nil {
			return err
		}
		if m.Session == "" {
			strays = append(strays, id)
		} else if _, ok := byID[m.Session]; !ok {
			byID[m.Session] = Session{ID: m.Session}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, s := range byID {
		if s.CreatedAt.IsZero() {
			full, err := get[Session](ctx, r.Docs, sessionPath(s.ID))
			if err != nil {
				return nil, nil, err
			}
			if full == nil {
				continue
			}
			s = *full
		}
		sessions = append(sessions, s)
	}
	slices.SortFunc(sessions, func(a, b Session) int { return strings.Compare(a.ID, b.ID) })
	return sessions, strays, nil
}

// held refuses when one of the sessions is held, and names all that are.
func (r *erasure) held(sessions []Session) error {
	var ids []string
	for _, s := range sessions {
		if s.Hold != nil {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) > 0 {
		return conflict("held: session %s", strings.Join(ids, ", "))
	}
	return nil
}

// stray erases a mail that has no session.
func (r *erasure) stray(ctx context.Context, id string) error {
	m, err := get[Mail](ctx, r.Docs, mailPath(id))
	if err != nil || m == nil {
		return err
	}
	if err := r.remove(ctx, ErasedItem{ID: "mail-" + id, What: "mail", Message: id}, m.raws(), nil); err != nil {
		return err
	}
	return r.Docs.Write(ctx, func(tx Tx) { r.entomb(tx, id) })
}

// remove deletes objects: raw mails with their files, and others. The
// receipt's line is written first, or a crash would leave nobody to tell what
// was there.
func (r *erasure) remove(ctx context.Context, item ErasedItem, raws, others []string) error {
	names, err := objectsOf(ctx, r.Objects, raws)
	if err != nil {
		return err
	}
	have, err := get[ErasedItem](ctx, r.Docs, erasedPath(r.head.ID, item.ID))
	if err != nil {
		return err
	}
	if have != nil {
		item = *have
	}
	before := len(item.Objects)
	for _, name := range append(names, others...) {
		if !slices.Contains(item.Objects, name) {
			item.Objects = append(item.Objects, name)
		}
	}
	if have == nil || len(item.Objects) > before {
		if err := r.Docs.Write(ctx, func(tx Tx) { r.line(tx, item) }); err != nil {
			return err
		}
	}
	fault.Step(ctx, "erase.listed")
	if err := deleteAll(ctx, r.Objects, item.Objects); err != nil {
		return err
	}
	fault.Step(ctx, "erase.objects")
	return nil
}

// entomb makes a tombstone of a mail.
func (r *erasure) entomb(tx Tx, id string) {
	tx.Patch(mailPath(id), map[string]any{"state": string(Erased), "retention": string(Purged), "message_id": nil, "sender": nil, "content": nil, "raw": nil})
}

// line writes a line of the receipt; the same line has the same ID.
func (r *erasure) line(tx Tx, item ErasedItem) {
	if item.At.IsZero() {
		item.At = r.Now().UTC()
	}
	tx.Set(erasedPath(r.head.ID, item.ID), item)
}

// errSending refuses an erasure for the minutes in which a mail is with the server.
var errSending = &Conflict{"a mail to the address is just being sent; call again in a few minutes"}

// cancel takes a mail of ours off its way out.
func (r *erasure) cancel(ctx context.Context, id string) error {
	err := r.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		o, err := get[Outbound](ctx, tx, outboundPath(id))
		if err != nil || o == nil {
			return err
		}
		switch o.State {
		case Sending:
			return errSending
		case Queued:
			tx.Patch(outboundPath(id), map[string]any{"state": string(Rejected), "due": nil, "updated_at": r.Now().UTC()})
		}
		return nil
	})
	if errors.Is(err, errSending) {
		return errSending
	}
	return err
}
