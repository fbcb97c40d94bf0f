package mailbox

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"
)

// maxUIDs bounds what UIDs returns: more is no mailbox but a hostile server.
const maxUIDs = 20_000_000

// UIDs lists the folder's UIDs in ascending order with the UIDVALIDITY that they belong to.
func (d *Dialer) UIDs(ctx context.Context, s Server, l Login, folder string) (uidValidity uint32, uids []uint32, err error) {
	c, err := d.openIMAP(ctx, s, l)
	if err != nil {
		return 0, nil, err
	}
	data, err := c.examine(folder)
	if err == nil {
		uids, err = c.search(from(1), maxUIDs)
	}
	if err != nil {
		c.close()
		return 0, nil, fmt.Errorf("%s: %w", s, because(ctx, err))
	}
	c.logout()
	return data.UIDValidity, uids, nil
}

// search returns the UIDs that exist in the set, the lowest limit of them, ascending. The set is applied again to the
// answer: "n:*" has the last mail even when its UID is below n, and servers have returned more than that.
func (c *imapConn) search(set imap.UIDSet, limit int) ([]uint32, error) {
	var data *imap.SearchData
	err := c.watch.during(func() (err error) {
		data, err = c.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{set}}, nil).Wait()
		return err
	})
	if err != nil {
		return nil, refusal("SEARCH", err)
	}
	found, _ := data.All.(imap.UIDSet)
	return expand(found, set, limit), nil
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
