package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
)

// fetchBatch is how many mails one FETCH command asks for. go-imap buffers up to 128 responses, of which the bodies are
// never more than one at a time.
const fetchBatch = 100

// Cursor is how far a folder has been read. The zero value is before its first mail.
type Cursor struct {
	UIDValidity uint32
	LastUID     uint32
}

// Item is one mail on the server. Body is valid until deliver returns; it fails rather than ends early when the connection
// is cut. Size is what the server claims, which is not always what Body has.
type Item struct {
	UID          uint32
	UIDValidity  uint32
	InternalDate time.Time
	Size         int64
	Flags        []string
	Body         io.Reader
}

// Fetch opens the folder, calls its Fetch once and closes it.
func (d *Dialer) Fetch(ctx context.Context, s Server, l Login, folder string, after Cursor, limit int, deliver func(context.Context, Item) error) (Cursor, error) {
	f, err := d.Open(ctx, s, l, folder)
	if err != nil {
		return after, err
	}
	defer f.conn.under(ctx)()
	defer f.Close()
	return f.Fetch(ctx, after, limit, deliver)
}

// Fetch gives deliver the mails after the cursor, at most limit of them (0 means all), and returns the cursor past those that
// deliver took. When UIDVALIDITY is not the cursor's it starts at the first mail under the new value; what was taken
// before comes again.
//
// The error of deliver ends the call and is returned as it is. A *FetchError names the mail at which the server failed,
// with a *Refusal inside when it said so. The cursor is right in every case. Mails may be delivered out of order when
// the server answers so, and the cursor then waits for the ones left out; whoever restarts from it gets some again.
func (f *Folder) Fetch(ctx context.Context, after Cursor, limit int, deliver func(context.Context, Item) error) (Cursor, error) {
	defer f.conn.under(ctx)()
	f.broken = true // until the answer was read: a deliver that panics leaves no connection on which to say goodbye
	cursor, err := f.fetch(ctx, after, limit, deliver)
	var mine deliverError
	var theirs *FetchError
	switch {
	case err == nil:
		f.broken = false
		return cursor, nil
	case errors.As(err, &mine):
		err = mine.error
	case ctx.Err() != nil && errors.As(err, &theirs):
		err = fmt.Errorf("%s: %w", f.conn.server, because(ctx, theirs.Err)) // the mail is not to blame
	default:
		err = fmt.Errorf("%s: %w", f.conn.server, because(ctx, err))
	}
	return cursor, err
}

// deliverError marks what came from the caller's function.
type deliverError struct{ error }

func (f *Folder) fetch(ctx context.Context, after Cursor, limit int, deliver func(context.Context, Item) error) (Cursor, error) {
	if f.validity != after.UIDValidity {
		after = Cursor{UIDValidity: f.validity}
	}
	if after.LastUID == math.MaxUint32 {
		return after, nil
	}
	if limit <= 0 {
		limit = maxUIDs
	}
	f.conn.news.heard() // the search sees what was told until now
	uids, err := f.following(after.LastUID, limit)
	if err != nil {
		return after, err
	}
	p := &progress{cursor: after, waiting: uids, taken: map[uint32]bool{}}
	run := &fetcher{imapConn: f.conn, progress: p, deliver: deliver}
	for len(p.waiting) > 0 && err == nil {
		err = run.batch(ctx, p.waiting[:min(fetchBatch, len(p.waiting))])
	}
	return p.cursor, run.blame(err)
}

// progress moves the cursor over the mails that were taken, in order of UID.
type progress struct {
	cursor  Cursor
	waiting []uint32 // what the cursor has not passed
	taken   map[uint32]bool
}

func (p *progress) take(uid uint32) {
	p.taken[uid] = true
	for len(p.waiting) > 0 && p.taken[p.waiting[0]] {
		p.cursor.LastUID = p.waiting[0]
		delete(p.taken, p.waiting[0])
		p.waiting = p.waiting[1:]
	}
}

func (p *progress) left(uids []uint32) []uint32 {
	var out []uint32
	for _, uid := range uids {
		if !p.taken[uid] && uid > p.cursor.LastUID {
			out = append(out, uid)
		}
	}
	return out
}

// fetcher is one call of Fetch.
type fetcher struct {
	*imapConn
	*progress
	deliver func(context.Context, Item) error
	cut     bool // the connection ended within a body
}

// blame names the first mail that did not come when the connection failed: a response that go-imap cannot read fails
// there every time.
func (f *fetcher) blame(err error) error {
	var mine deliverError
	var theirs *FetchError
	if err == nil || errors.As(err, &mine) || errors.As(err, &theirs) || len(f.waiting) == 0 {
		return err
	}
	return &FetchError{UID: f.waiting[0], Err: err}
}

// batch takes all of uids. A mail can be missing from an answer for three reasons: it was expunged (RFC 2180), which
// passes; somebody changed its flags at that moment and go-imap took the news for the answer, which a second try cures;
// or the server cannot read it, for which alone the last remaining try is an error.
func (f *fetcher) batch(ctx context.Context, uids []uint32) error {
	size := len(uids)
	for len(uids) > 0 {
		part := uids[:min(size, len(uids))]
		err := f.round(ctx, part)
		var refused *Refusal
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		left := f.left(part)
		if len(left) == len(part) {
			if err = f.missing(left, err); err != nil && len(part) == 1 {
				return &FetchError{UID: part[0], Err: err}
			}
			size = 1 // one by one, to find the one that does not come
		}
		uids = f.left(uids)
	}
	return nil
}

var errNotReturned = errors.New("server lists the mail but does not return it")

// missing passes those mails that do not exist any more. It returns why the others are missed, nil when there are none.
func (f *fetcher) missing(uids []uint32, refused error) error {
	exist, err := f.search(setOf(uids), len(uids))
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if !slices.Contains(exist, uid) {
			f.take(uid)
		}
	}
	if len(exist) > 0 && refused == nil {
		return errNotReturned
	}
	if len(exist) == 0 {
		return nil
	}
	return refused
}

func setOf(uids []uint32) imap.UIDSet {
	var set imap.UIDSet
	for _, uid := range uids {
		set.AddNum(imap.UID(uid))
	}
	return set
}
