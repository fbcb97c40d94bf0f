package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
)

// Poll fetches what is new in the mailboxes: each mail goes into the archive
// raw, then its pointer is published, then the cursor passes it (AC-6).
type Poll struct {
	Docs    Docs
	Archive Archive
	Bus     Bus
	Secrets Secrets
	Mail    Mailbox
	Config  *Configuration
	Now     Clock
	Batch   int // mails per cursor write

	times bounds // other than pollBounds in tests
}

// Mailbox opens folders of mail servers.
type Mailbox interface {
	Open(ctx context.Context, a Account, secret, folder string) (Folder, error)
}

// Folder is an open folder. After an error it is only good for Close.
type Folder interface {
	// Fetch hands over, in order and not more than most, the mails that come
	// after the cursor, and returns the cursor past the last one that deliver took.
	Fetch(ctx context.Context, from Cursor, most int, deliver func(context.Context, Fetched) error) (Cursor, error)
	// Wait returns true when there is more mail than Fetch saw, and false when
	// most is over.
	Wait(ctx context.Context, most time.Duration) (bool, error)
	// UIDs gives each all UIDs in ascending order, in parts.
	UIDs(ctx context.Context, each func(uids []uint32) error) error
	UIDValidity() uint32
	Close()
}

// Cursor is how far a folder was read (RFC 3501 2.3.1.1), with the mail that
// cannot be taken and how often it was tried.
type Cursor struct {
	UIDValidity uint32    `json:"uid_validity"`
	LastUID     uint32    `json:"last_uid"`
	FailedUID   uint32    `json:"failed_uid,omitempty"`
	Tries       int       `json:"tries,omitempty"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// Fetched is a mail as the server hands it over.
type Fetched struct {
	UID, UIDValidity uint32
	At               time.Time // INTERNALDATE
	Size             int64
	Body             io.Reader
}

// bounds are the times of one invocation. What it begins within them ends
// before the function's time does, which is two minutes.
type bounds struct {
	takeFor time.Duration // it stops taking more after that
	idleFor time.Duration // and waits for more until then, where the account wants that
	mailBy  time.Duration // a mail that is not here by then cannot be taken: the first one of a run has the most time
	lookFor time.Duration // a reconciliation is gone on with by the next poll after that
}

var pollBounds = bounds{takeFor: 45 * time.Second, idleFor: 55 * time.Second, mailBy: 105 * time.Second, lookFor: 20 * time.Second}

const (
	writeFor = 5 * time.Second // to write down what was done when the invocation's time is over

	pollPatience = 3           // failures in a row that are tried again at once
	pollFirst    = time.Minute // back-off after that, which doubles
	pollMost     = 30 * time.Minute
)

// Handle polls one account, or asks for a poll of each. While another poll has
// the account it fails, so that the request comes back: mail may have arrived
// after that poll looked.
func (p *Poll) Handle(ctx context.Context, e event.Poll) error {
	cat, err := p.Config.Load(ctx)
	if err != nil {
		return err
	}
	a, ok := cat.Accounts[e.Account]
	_, used := cat.QueueOf(e.Account)
	switch polled := cat.Email && ok && used && !a.OutboundOnly; {
	case e.Mail != nil && !polled:
		return p.pass(ctx, *e.Mail, errors.New("its account is not polled"), 0, e.Round)
	case !cat.Email: // CH-1: OFF leaves the servers alone
		return nil
	case e.Account == "":
		return p.fanOut(ctx, cat)
	case !polled:
		return nil // its mail waits on the server
	}
	return locked(ctx, p.Docs, p.Now, "poll-"+a.ID, func(ctx context.Context) error { return p.account(ctx, e) })
}

func (p *Poll) fanOut(ctx context.Context, cat *Catalog) error {
	var errs []error
	for id, a := range cat.Accounts {
		if _, used := cat.QueueOf(id); used && !a.OutboundOnly {
			errs = append(errs, p.Bus.Publish(ctx, event.TopicPoll, event.Encode(event.Poll{Account: id})))
		}
	}
	return errors.Join(errs...)
}

// account reads every folder. A server that refuses marks its account and
// leaves the others alone (AC-3); after some failures it is asked less often.
// The account is read, as the catalog does not follow its status.
func (p *Poll) account(ctx context.Context, e event.Poll) error {
	id := e.Account
	a, err := get[Account](ctx, p.Docs, accountPath(id))
	if err != nil || a == nil || p.Now().Before(a.Status.Retry) && !e.Reconcile && e.Mail == nil {
		return err
	}
	if e.Mail != nil {
		return p.refetch(ctx, *a, *e.Mail, e.Round)
	}
	failed := p.folders(ctx, *a, e.Reconcile)
	var own *ownFailure
	if errors.As(failed, &own) { // the account is as it was, and the request comes back
		return failed
	}
	if err := p.status(ctx, *a, failed); err != nil || failed == nil {
		return errors.Join(failed, err)
	}
	if a.Status.Failures+1 >= pollPatience {
		slog.ErrorContext(ctx, "account cannot be polled", "account", id, "failures", a.Status.Failures+1, "error", failed)
		return nil // the next tick after the back-off comes by itself
	}
	return failed
}

// folders reads all folders, and then waits in the first one for more, if the
// account wants that: a mail is taken within seconds instead of a minute, and
// the function runs all the time for it.
func (p *Poll) folders(ctx context.Context, a Account, reconcile bool) error {
	secret, err := p.Secrets.Get(ctx, a.Secret)
	if err != nil {
		return fmt.Errorf("secret of account %s: %w", a.ID, err)
	}
	now := newSpan(p.times)
	var failed error
	for i, folder := range slices.Backward(a.Folders) {
		r := round{Poll: p, span: now, account: a, secret: secret, folder: folder, idle: a.Idle && i == 0, demanded: reconcile}
		if err := r.run(ctx); err != nil {
			failed = errors.Join(failed, fmt.Errorf("account %s folder %s: %w", a.ID, folder, err))
		}
	}
	return failed
}

// status is written when it changes, and every ten minutes as a sign of life.
func (p *Poll) status(ctx context.Context, a Account, failed error) error {
	now := p.Now().UTC()
	if failed == nil && a.Status.Valid && a.Status.Failures == 0 && now.Sub(a.Status.LastSuccess) < 10*time.Minute {
		return nil
	}
	fields := map[string]any{"status.valid": failed == nil, "status.checked_at": now, "status.error": "", "status.failures": 0, "status.retry": nil}
	if failed == nil {
		fields["status.last_success"] = now
	} else {
		n := a.Status.Failures + 1
		fields["status.error"], fields["status.failures"] = failed.Error(), n
		if n >= pollPatience {
			fields["status.retry"] = now.Add(min(pollFirst<<min(n-pollPatience, 10), pollMost))
		}
	}
	return p.settle(ctx, func(tx Tx) { tx.Patch(accountPath(a.ID), fields) })
}

// settle writes down what was done, also when the invocation's time is over,
// as else it would all be done again. A lost lease ends that, too: whoever has
// it now writes.
func (p *Poll) settle(ctx context.Context, f func(Tx)) error {
	if errors.Is(context.Cause(ctx), errLost) {
		return p.Docs.Write(ctx, f)
	}
	ctx, end := context.WithTimeout(context.WithoutCancel(ctx), writeFor)
	defer end()
	return p.Docs.Write(ctx, f)
}

// span is the time of one invocation, which an account's folders share.
type span struct {
	bounds
	start time.Time
	taken int // mails
	asked int // after mails, by reconciliations
}

func newSpan(b bounds) *span {
	if b == (bounds{}) {
		b = pollBounds
	}
	return &span{bounds: b, start: time.Now()}
}

// over tells whether no more mail is begun. One is in any case, however long
// the server took to be opened, unless it had so little time left that it would
// be to blame for what came before it.
func (s *span) over(idle bool) bool {
	most := s.takeFor
	if idle {
		most = s.idleFor
	}
	since := time.Since(s.start)
	return s.taken > 0 && since >= most || since >= s.mailBy*3/4
}

// round is one folder's share of a poll.
type round struct {
	*Poll
	*span
	account        Account
	secret, folder string
	box            Folder
	idle           bool // wait for more
	demanded       bool // a reconciliation
}

func (r *round) run(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	defer func() { r.box.Close() }()
	failed := r.reconcile(ctx) // before the rest: what is fetched now is known of in a minute
	if failed != nil {
		if err := r.open(ctx); err != nil {
			return errors.Join(failed, err)
		}
	}
	return errors.Join(failed, r.poll(ctx))
}

// open opens the folder, also again after an error, with which the connection is gone.
func (r *round) open(ctx context.Context) error {
	f, err := r.Mail.Open(ctx, r.account, r.secret, r.folder)
	if err != nil {
		return err
	}
	if r.box != nil {
		r.box.Close()
	}
	r.box = f
	return nil
}

// poll takes what is new, and waits for more where the account wants that.
func (r *round) poll(ctx context.Context) error {
	for {
		if err := r.fetch(ctx, r.box); errors.Is(err, errOver) {
			return nil // the rest is the next poll's
		} else if err != nil || !r.idle {
			return err
		}
		left := r.idleFor - time.Since(r.start)
		if more, err := r.box.Wait(ctx, max(left, 0)); err != nil || !more || left <= 0 {
			return err
		}
	}
}

// errOver ends a fetch between two mails.
var errOver = errors.New("the time of this poll is over")

// fetch takes what is new, a batch at a time, and moves the cursor over it.
func (r *round) fetch(ctx context.Context, f Folder) error {
	path := cursorPath(r.account.ID, r.folder)
	var cur Cursor
	if have, err := get[Cursor](ctx, r.Docs, path); err != nil {
		return err
	} else if have != nil {
		cur = *have
	}
	for !r.over(r.idle) {
		next, err := r.batch(ctx, f, cur)
		done := next.LastUID == cur.LastUID && next.UIDValidity == cur.UIDValidity
		if next.UIDValidity != cur.UIDValidity || next.LastUID >= next.FailedUID { // until then it is fetched for singly
			next.FailedUID, next.Tries = 0, 0
		}
		if werr := r.blame(ctx, cur, &next, err); werr != nil {
			return errors.Join(err, werr)
		}
		fault.Step(ctx, "poll.fetched")
		if !done || err != nil {
			next.UpdatedAt = r.Now().UTC()
			if werr := r.settle(ctx, func(tx Tx) { tx.Set(path, next) }); werr != nil {
				return errors.Join(err, werr)
			}
		}
		if done || err != nil {
			return err
		}
		cur = next
	}
	return errOver
}

// batch fetches until the cursor should be written.
func (r *round) batch(ctx context.Context, f Folder, cur Cursor) (Cursor, error) {
	most := r.Batch
	if cur.FailedUID != 0 { // alone, so that nothing but this mail can be to blame
		most = 1
	}
	return r.timed(ctx, f, cur, most, func(ctx context.Context, m Fetched) error {
		if r.over(r.idle) {
			return errOver
		}
		r.taken++
		return r.take(ctx, r.account, r.folder, m)
	})
}

// timed is the folder's Fetch with a bound of time for each mail. One that takes
// longer ends the connection, and is to blame if the server was waited for.
func (s *span) timed(ctx context.Context, f Folder, cur Cursor, most int, take func(context.Context, Fetched) error) (Cursor, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var blamed *Unfetched
	next, err := f.Fetch(ctx, cur, most, func(ctx context.Context, m Fetched) error {
		timer := time.AfterFunc(s.mailBy-time.Since(s.start), func() { end(errSlow) })
		defer timer.Stop()
		err := take(ctx, m)
		errors.As(err, &blamed)
		return err
	})
	if err != nil && errors.Is(context.Cause(ctx), errSlow) {
		if blamed != nil {
			return next, &Unfetched{blamed.UID, fmt.Errorf("%w: %w", errSlow, err)}
		}
		return next, fmt.Errorf("%w: %w", errSlow, err)
	}
	return next, err
}

var errSlow = errors.New("mail takes too long")

func (p *Poll) take(ctx context.Context, a Account, folder string, m Fetched) error {
	src := event.Source{Account: a.ID, Folder: folder, UIDValidity: m.UIDValidity, UID: m.UID}
	e := event.Received{Source: src, Object: rawObject(src), ReceivedAt: m.At.UTC(), Size: m.Size}
	body := &watched{Reader: m.Body}
	if err := p.Archive.Put(ctx, e.Object, "message/rfc822", body); err != nil {
		if body.err == nil { // the archive is down, not the mail bad: wait for it
			return &ownFailure{fmt.Errorf("archive %s: %w", e.Object, err)}
		}
		return &Unfetched{m.UID, err}
	}
	fault.Step(ctx, "poll.archived")
	if err := p.Bus.Publish(ctx, event.TopicReceived, event.Encode(e)); err != nil {
		return &ownFailure{fmt.Errorf("publish %s: %w", e.Object, err)}
	}
	fault.Step(ctx, "poll.published")
	return nil
}

// ownFailure is one of ours, in which no mail server has a part.
type ownFailure struct{ error }

func (o *ownFailure) Unwrap() error { return o.error }

// watched remembers whether reading failed.
type watched struct {
	io.Reader
	err error
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
