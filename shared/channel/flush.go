package channel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"emailchannel.dev/emailchannel/shared/crm"
	"emailchannel.dev/emailchannel/shared/fault"
)

// CRM carries operations out. Errors wrap [crm.ErrRefused] when no retry can
// help, [crm.RetryAfter] when the CRM says how long to wait, and
// [crm.Unfinished] when the CRM has the change and is not done with it.
type CRM interface {
	// Create opens a ticket and returns its ID. The same key never makes a
	// second one; lookup asks to search first, as the key may be too old. made
	// is false of a ticket that was there, perhaps with the facts of then.
	Create(ctx context.Context, key string, f crm.Facts, lookup bool) (ticket string, made bool, err error)
	// Apply carries out changes of different tickets and returns an error for each, nil where it is done.
	Apply(ctx context.Context, changes []Change) []error
}

// Change is what one ticket gets in a batch.
type Change struct {
	Ticket string
	Facts  *crm.Facts // bring agent and queue up to date, with a comment
	Post   *crm.Post  // a comment
	Body   string     // of the comment
	Lookup bool       // it may be there from an attempt whose answer was lost
	Job    string     // of the CRM, that has it since an attempt before
}

// Flush carries the stored CRM operations out, in batches (CR-6, CR-7), and
// lets the auto-responses go that waited for a ticket (AR-5).
type Flush struct {
	Docs    Docs
	Bus     Bus
	Config  *Configuration
	Connect func(context.Context, CRMSettings) (CRM, error)
	Now     Clock
}

const (
	flushBatch = 100              // operations read at a time; also update_many's limit
	lookups    = 20               // changes of a round that are looked up first: each costs a request of the few that an account has a minute
	flushFor   = 4 * time.Minute  // after which a run leaves the rest to the next
	claimFor   = 5 * time.Minute  // for which nobody else tells the CRM of a record; longer than any answer takes
	keyValid   = time.Hour        // for which the CRM surely knows an idempotency key
	blockFirst = 10 * time.Second // back-off of a record, doubled each time
	blockMost  = 15 * time.Minute
)

// Handle waits for the batching period, then works until nothing is due. One
// flush runs at a time; another does no more than let go the answers that
// waited long enough for a ticket.
func (f *Flush) Handle(ctx context.Context) error {
	return f.handle(ctx, func(*Catalog) (bool, error) { return true, nil })
}

// Tick is Handle for a flush by the schedule. It waits only for operations that
// are there: what is stored later has an event of its own, and an instance that
// waits is paid for.
func (f *Flush) Tick(ctx context.Context) error {
	return f.handle(ctx, func(cat *Catalog) (bool, error) {
		ops, err := f.due(ctx, f.Now().Add(cat.cadence()), 1)
		return len(ops) > 0, err
	})
}

func (f *Flush) handle(ctx context.Context, wanted func(*Catalog) (bool, error)) error {
	cat, err := f.Config.Load(ctx)
	if err != nil {
		return err
	}
	late := f.overdue(ctx, cat)
	if !cat.hasCRM() {
		return late
	}
	if is, err := wanted(cat); err != nil || !is {
		return errors.Join(late, err)
	}
	return errors.Join(late, f.alone(ctx, cat))
}

// due are the operations to be carried out by then.
func (f *Flush) due(ctx context.Context, then time.Time, limit int) ([]Operation, error) {
	return find[Operation](ctx, f.Docs, Query{Collection: "crmops", Where: []Where{{"state", "==", OpPending}, {"due", "<=", then.UTC()}}, Order: []Order{{Field: "due"}}, Limit: limit})
}

// alone runs unless another flush does.
func (f *Flush) alone(ctx context.Context, cat *Catalog) error {
	err := locked(ctx, f.Docs, f.Now, "flush", func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(cat.cadence()):
		}
		return f.run(ctx, cat)
	})
	if errors.Is(err, errBusy) {
		return nil
	}
	return err
}

func (f *Flush) run(ctx context.Context, cat *Catalog) error {
	to, err := f.Connect(ctx, cat.CRM)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", cat.CRM.Kind, err)
	}
	for start := time.Now(); time.Since(start) < flushFor; {
		ops, err := f.due(ctx, f.Now(), flushBatch)
		if err != nil || len(ops) == 0 {
			return err
		}
		b := batch{Flush: f, cat: cat, crm: to, now: f.Now().UTC()}
		if err := b.carryOut(ctx, ops); err != nil {
			return err
		}
	}
	return nil
}

// batch is one round over operations of many records.
type batch struct {
	*Flush
	cat *Catalog
	crm CRM
	now time.Time
}

// job is the next operation of one record with what it needs.
type job struct {
	op      Operation
	rec     CRMRecord
	change  Change
	post    string    // the message that the change posts
	told    string    // digest of the description that the change tells
	more    bool      // further messages wait to be posted
	version time.Time // of the record
	claimed bool
	left    string // the host of the CRM that has the ticket, if that is another one
}

// carryOut does the first due operation of each record: creations one by one,
// everything else in one call. Of records that share a ticket, as those of a
// session and its successor, one is at its turn, and the others in the next round.
// So are look-ups beyond the limit. A round that leaves some out has claimed
// others, which are not due any more when it ends: the next one finds less.
func (b *batch) carryOut(ctx context.Context, ops []Operation) error {
	jobs, err := b.load(ctx, ops)
	if err != nil {
		return err
	}
	var rest []*job
	tickets, looked := map[string]bool{}, 0
	for _, j := range jobs {
		var err error
		switch {
		case b.now.Before(j.rec.BlockedUntil):
			err = b.postpone(ctx, j.op, j.rec.BlockedUntil)
		case j.op.Kind == crm.Create:
			err = b.create(ctx, j)
		case j.rec.Ticket == "":
			err = b.ticketless(ctx, j)
		case !tickets[j.rec.Ticket] && (j.op.Attempts == 0 || looked < lookups):
			var due bool
			if due, err = b.prepare(ctx, j); due {
				rest, tickets[j.rec.Ticket] = append(rest, j), true
			}
			if due && j.change.Lookup {
				looked++
			}
		}
		if err != nil {
			return err
		}
	}
	return b.apply(ctx, rest)
}

// load reads the records and picks the first operation of each.
func (b *batch) load(ctx context.Context, ops []Operation) ([]*job, error) {
	byRecord := map[string]*job{}
	var jobs []*job
	var refs []*Ref
	for _, op := range ops {
		if j := byRecord[op.Record]; j != nil {
			if op.Seq < j.op.Seq {
				j.op = op
			}
			continue
		}
		j := &job{op: op}
		byRecord[op.Record] = j
		jobs = append(jobs, j)
		refs = append(refs, &Ref{Path: recordPath(op.Record), Into: &j.rec})
	}
	err := b.Docs.Get(ctx, refs...)
	for i, j := range jobs {
		j.version = refs[i].Version
		if j.rec.elsewhere(b.cat.CRM) { // the settings were changed
			j.left = j.rec.Host
			j.rec.Ticket, j.rec.Posted, j.rec.Told = "", nil, ""
		}
	}
	return jobs, err
}

func (b *batch) apply(ctx context.Context, jobs []*job) error {
	if len(jobs) == 0 {
		return nil
	}
	fault.Step(ctx, "flush.claimed")
	changes := make([]Change, len(jobs))
	for i, j := range jobs {
		changes[i] = j.change
	}
	errs := b.crm.Apply(ctx, changes)
	fault.Step(ctx, "flush.applied")
	for i, j := range jobs {
		var err error
		switch {
		case errs[i] != nil:
			err = b.failed(ctx, j, errs[i])
		case j.post != "":
			err = b.posted(ctx, j)
		default:
			err = b.done(ctx, j, map[string]any{"told": j.told, "blocked_until": nil})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) posted(ctx context.Context, j *job) error {
	fields := map[string]any{"posted": append(j.rec.Posted, j.post), "blocked_until": nil}
	if !j.more {
		return b.done(ctx, j, fields)
	}
	return b.Docs.Write(ctx, func(tx Tx) {
		tx.Patch(recordPath(j.op.Record), fields)
		tx.Patch(operationPath(j.op.ID), map[string]any{"attempts": 0, "job": nil, "job_of": nil})
	})
}

func (b *batch) done(ctx context.Context, j *job, record map[string]any) error {
	return b.Docs.Write(ctx, func(tx Tx) { b.end(tx, j, record) })
}

func (b *batch) end(tx Tx, j *job, record map[string]any) {
	if record != nil {
		record["updated_at"] = b.now
		tx.Patch(recordPath(j.op.Record), record)
	}
	tx.Delete(operationPath(j.op.ID))
}

func (b *batch) postpone(ctx context.Context, op Operation, until time.Time) error {
	return b.Docs.Write(ctx, func(tx Tx) {
		tx.Patch(operationPath(op.ID), map[string]any{"due": until})
	})
}

// failed parks what was refused for good and blocks the record otherwise, so
// that its operations stay in order however long the CRM is away.
func (b *batch) failed(ctx context.Context, j *job, cause error) error {
	if errors.Is(cause, crm.ErrRefused) {
		return b.park(ctx, j, cause)
	}
	wait := min(blockFirst<<min(j.op.Attempts, 10), blockMost)
	var after *crm.RetryAfter
	if errors.As(cause, &after) && after.After > wait {
		wait = after.After
	}
	until := b.now.Add(wait)
	fields := map[string]any{"due": until, "attempts": j.op.Attempts + 1, "reason": cause.Error(), "job": nil, "job_of": nil}
	var under *crm.Unfinished
	if errors.As(cause, &under) {
		fields["job"], fields["job_of"] = under.Job, cmp.Or(j.post, j.told)
	}
	return b.Docs.Write(ctx, func(tx Tx) {
		tx.Patch(recordPath(j.op.Record), map[string]any{"blocked_until": until})
		tx.Patch(operationPath(j.op.ID), fields)
	})
}

func (b *batch) park(ctx context.Context, j *job, cause error) error {
	return b.Docs.Write(ctx, func(tx Tx) {
		if j.claimed {
			tx.Patch(recordPath(j.op.Record), map[string]any{"blocked_until": nil})
		}
		tx.Patch(operationPath(j.op.ID), map[string]any{"state": OpParked, "due": nil, "reason": cause.Error(), "job": nil, "job_of": nil})
	})
}
