package channel

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/session"
	"emailchannel.dev/emailchannel/shared/thread"
)

// CRMRecord is what the CRM has of a session: records/{session}.
type CRMRecord struct {
	Session      string    `json:"session"`
	CRM          string    `json:"crm"`
	Ticket       string    `json:"ticket"`         // empty until it was created
	Host         string    `json:"host,omitempty"` // of the CRM that the ticket is in
	Posted       []string  `json:"posted,omitempty"`
	Told         string    `json:"told,omitempty"` // digest of the description that the ticket had last
	Seq          int       `json:"seq"`            // of the last operation
	BlockedUntil time.Time `json:"blocked_until,omitzero"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// elsewhere tells whether the ticket is in another CRM than the settings name,
// which may have one of the same number: a stranger's.
func (r CRMRecord) elsewhere(c CRMSettings) bool {
	return r.Ticket != "" && r.Host != "" && (r.CRM != c.Kind || r.Host != c.host())
}

// host is the host name of the CRM.
func (c CRMSettings) host() string {
	u, err := url.Parse(c.BaseURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// OpState is where a CRM operation stands; one that was carried out is gone.
type OpState string

const (
	OpPending OpState = "pending"
	OpParked  OpState = "parked" // refused for good, kept for a replay (CR-7)
)

// Operation is one thing that the CRM has to be told: crmops/{ID}. Operations
// of a record are carried out in the order of Seq. Each says what to bring up
// to date, not what to add, so doing it again adds nothing.
type Operation struct {
	ID       string    `json:"id"`
	Record   string    `json:"record"` // the session
	Seq      int       `json:"seq"`
	Kind     crm.Kind  `json:"kind"`
	State    OpState   `json:"state"`
	Due      time.Time `json:"due"`
	At       time.Time `json:"at"`
	Attempts int       `json:"attempts"`
	Reason   string    `json:"reason,omitempty"`
	Job      string    `json:"job,omitempty"`    // of the CRM, which has it and has not said yet what became of it
	JobOf    string    `json:"job_of,omitempty"` // the message, or the digest of the description, that is in the job
}

// Record decides what the CRM has to learn of an event and stores it as
// operations (CR-1, CR-2).
type Record struct {
	Docs   Docs
	Bus    Bus
	Config *Configuration
	Now    Clock

	mu     sync.Mutex
	nudged time.Time
}

var triggers = map[session.Kind]crm.Trigger{
	session.KindReceived:    crm.Inbound,
	session.KindAnswered:    crm.Outbound,
	session.KindAssigned:    crm.Changed,
	session.KindUnassigned:  crm.Changed,
	session.KindTransferred: crm.Changed,
	session.KindMerged:      crm.Changed,
	session.KindClosed:      crm.Ended,
}

// Handle stores the operations of one event, once.
func (r *Record) Handle(ctx context.Context, e event.Session) error {
	trigger, ok := triggers[session.Kind(e.Kind)]
	if !ok {
		return nil
	}
	cat, err := r.Config.Load(ctx)
	if err != nil || !cat.hasCRM() {
		return err
	}
	if trigger == crm.Changed { // mostly news about a ticket that is yet to be made, with the facts of then
		rec, err := get[CRMRecord](ctx, r.Docs, recordPath(e.Session))
		if err != nil || rec == nil || rec.Ticket == "" || rec.elsewhere(cat.CRM) {
			return err
		}
	}
	if e.Began {
		err := r.begin(ctx, cat, trigger, e)
		if !errors.Is(err, ErrExists) { // exists: an earlier delivery, or an agent's reply was faster
			return err
		}
	}
	var stored bool
	err = r.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		stored = false
		rec, err := get[CRMRecord](ctx, tx, recordPath(e.Session))
		if err != nil {
			return err
		}
		var known crm.Record
		switch {
		case rec == nil:
		case rec.elsewhere(cat.CRM): // the session goes on in this one
			rec = &CRMRecord{Session: e.Session, CRM: cat.CRM.Kind, Seq: rec.Seq}
		default:
			known = crm.Record{Exists: true, Created: rec.Ticket != ""}
		}
		kinds := crm.Decide(trigger, cat.Record, known)
		if len(kinds) == 0 {
			return nil
		}
		if rec == nil {
			if rec, err = r.inherit(ctx, tx, e.Session, cat); err != nil {
				return err
			}
		}
		r.add(tx, rec, e, kinds, tx.Set)
		stored = true
		return nil
	})
	if err != nil && !errors.Is(err, ErrExists) { // exists: stored by an earlier delivery
		return fmt.Errorf("record %s of session %s: %w", e.Kind, e.Session, err)
	}
	fault.Step(ctx, "record.committed")
	if !stored && err == nil {
		return nil
	}
	return r.nudge(ctx, cat)
}

// begin stores the record of a session that has just begun, and its
// operations, without a look at what is there: there is nothing.
func (r *Record) begin(ctx context.Context, cat *Catalog, t crm.Trigger, e event.Session) error {
	kinds := crm.Decide(t, cat.Record, crm.Record{})
	if len(kinds) == 0 {
		return nil
	}
	rec := CRMRecord{Session: e.Session, CRM: cat.CRM.Kind}
	err := r.Docs.Write(ctx, func(tx Tx) { r.add(tx, &rec, e, kinds, tx.Create) })
	fault.Step(ctx, "record.committed")
	if err != nil {
		return err
	}
	return r.nudge(ctx, cat)
}

// add writes the operations and, by put, the record with its new counter.
func (r *Record) add(tx Tx, rec *CRMRecord, e event.Session, kinds []crm.Kind, put func(string, any)) {
	now := r.Now().UTC()
	for _, kind := range kinds {
		rec.Seq++
		op := Operation{ID: digest(e.Session, e.ID, string(kind)), Record: e.Session, Seq: rec.Seq, Kind: kind, State: OpPending, Due: now, At: now}
		tx.Create(operationPath(op.ID), op)
	}
	rec.UpdatedAt = now
	put(recordPath(e.Session), rec)
}

// inherit makes the record of a session, with the ticket of its predecessor.
func (r *Record) inherit(ctx context.Context, tx Tx, id string, cat *Catalog) (*CRMRecord, error) {
	rec := &CRMRecord{Session: id, CRM: cat.CRM.Kind}
	s, err := get[Session](ctx, tx, sessionPath(id))
	if err != nil || s == nil {
		return rec, err
	}
	old, err := predecessor(ctx, tx, *s, cat.CRM)
	if old != nil {
		rec.Ticket, rec.Host = old.Ticket, old.Host
	}
	return rec, err
}

// predecessor is the record of the session whose thread s goes on with, as that
// one is closed for good: s keeps its ticket (CR-1). Nil when there is none in
// this CRM. The ticket may not be made yet.
func predecessor(ctx context.Context, r Reader, s Session, c CRMSettings) (*CRMRecord, error) {
	if !s.succeeds() {
		return nil, nil
	}
	old, err := get[CRMRecord](ctx, r, recordPath(s.Linked))
	if err != nil || old == nil || old.elsewhere(c) {
		return nil, err
	}
	return old, nil
}

// succeeds tells whether the session goes on a thread whose session is closed for good.
func (s Session) succeeds() bool { return s.Linked != "" && s.LinkedBy == thread.RuleExpired }

// nudge wakes flush, at most twice per batching period: flush waits that
// period before it looks, so it sees what is stored meanwhile.
func (r *Record) nudge(ctx context.Context, cat *Catalog) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.nudged) < cat.cadence()/2 {
		return nil
	}
	if err := r.Bus.Publish(ctx, event.TopicFlush, event.Encode(event.Flush{Stored: true})); err != nil {
		return fmt.Errorf("publish %s: %w", event.TopicFlush, err)
	}
	r.nudged = time.Now()
	return nil
}

// cadence is how long CRM operations are gathered (ZD-11).
func (c *Catalog) cadence() time.Duration {
	if s := c.CRM.Seconds; s >= 1 && s <= 60 {
		return time.Duration(s) * time.Second
	}
	return 10 * time.Second
}
