package mailbox

import (
	"context"
	"math"

	"github.com/emersion/go-imap/v2"
)

const (
	maxUIDs     = 20_000_000 // of one SEARCH; more is no mailbox but a hostile server
	narrowRange = 5000       // UIDs asked about first, and how many answers are aimed at
	widestRange = 4 << 20    // UIDs asked about at most: all of them existing, the answer takes 16 MiB
)

// UIDs gives each all UIDs of the folder in ascending order, in parts whose size is bounded however big the folder is. Mail
// that arrives meanwhile may be among them or not. The slice is the caller's. An error of each is returned as it is.
func (f *Folder) UIDs(ctx context.Context, each func(uids []uint32) error) error {
	defer f.conn.under(ctx)()
	err := f.conn.noop() // a search finds only what the server has told us of
	if err == nil {
		err = f.foretell()
	}
	if err != nil {
		return f.failed(ctx, err)
	}
	width := uint32(narrowRange)
	for low := uint32(1); ; {
		set, last := f.rangeFrom(low, width)
		uids, err := f.conn.search(set, maxUIDs)
		if err != nil {
			return f.failed(ctx, err)
		}
		if err := ctx.Err(); err != nil {
			return f.failed(ctx, err)
		}
		if len(uids) > 0 {
			if err := each(uids); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
		low += width
		width = nextWidth(width, len(uids))
	}
}

// following returns the next UIDs after one, at most limit, and none only when there are none. Who wants few is told of
// those nearby and not of all that are left, which with every batch anew would make the first import of a big folder
// quadratic.
func (f *Folder) following(uid uint32, limit int) ([]uint32, error) {
	if near, last := f.rangeFrom(uid+1, narrowRange); !last && limit <= narrowRange {
		if uids, err := f.conn.search(near, limit); err != nil || len(uids) > 0 {
			return uids, err
		}
		uid += narrowRange
	}
	return f.conn.search(from(uid+1), limit)
}

// foretell finds UIDNEXT where the server did not say it, which RFC 3501 allowed.
func (f *Folder) foretell() error {
	if f.next > 0 {
		return nil
	}
	last, err := f.conn.searchFor(&imap.SearchCriteria{UID: []imap.UIDSet{{{}}}}) // "*"
	if err == nil && len(last) > 0 {
		f.next = uint32(min(uint64(last[len(last)-1].Stop)+1, math.MaxUint32))
	}
	return err
}

// rangeFrom is the range of UIDs to ask about. The last one has no end: it begins at or before UIDNEXT, beyond which there can
// only be a few.
func (f *Folder) rangeFrom(low, width uint32) (set imap.UIDSet, last bool) {
	if end := uint64(low) + uint64(width); end <= uint64(f.next) {
		return imap.UIDSet{{Start: imap.UID(low), Stop: imap.UID(end - 1)}}, false
	}
	return from(low), true
}

// nextWidth follows how densely the UIDs lie: some servers number by the clock, and leave millions out.
func nextWidth(width uint32, found int) uint32 {
	switch {
	case found > narrowRange && width > narrowRange:
		return width / 2
	case found < narrowRange/4 && width < widestRange:
		return width * 2
	}
	return width
}

// search returns the UIDs that exist in the set, the lowest limit of them, ascending. The set is applied again to the
// answer: "n:*" has the last mail even when its UID is below n, and servers have returned more than that.
func (c *imapConn) search(set imap.UIDSet, limit int) ([]uint32, error) {
	found, err := c.searchFor(&imap.SearchCriteria{UID: []imap.UIDSet{set}})
	if err != nil {
		return nil, err
	}
	return expand(found, set, limit), nil
}

func (c *imapConn) searchFor(criteria *imap.SearchCriteria) (imap.UIDSet, error) {
	var data *imap.SearchData
	err := c.watch.during(func() (err error) {
		data, err = c.client.UIDSearch(criteria, nil).Wait()
		return err
	})
	if err != nil {
		return nil, refusal("SEARCH", err)
	}
	found, _ := data.All.(imap.UIDSet)
	return found, nil
}

// from is the set "n:*".
func from(n uint32) imap.UIDSet { return imap.UIDSet{{Start: imap.UID(n)}} }

// expand lists the numbers that are in both sets, without ever making the list of a range that a server made up.
func expand(found, within imap.UIDSet, limit int) []uint32 {
	var out []uint32
	for _, r := range found {
		for _, w := range within {
			last := uint64(r.Stop)
			if w.Stop != 0 {
				last = min(last, uint64(w.Stop))
			}
			for n := uint64(max(r.Start, w.Start)); n <= last && len(out) < limit; n++ {
				out = append(out, uint32(n))
			}
		}
	}
	return out
}
