package channel

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
)

// maxHeader is how much of a mail in quarantine is searched: it could not be
// parsed, or not stored, and its header says whose it is.
const maxHeader = 256 << 10

// quarantined finds the mails in quarantine whose header has the address. They
// are few, and nothing else is known of them, so all are looked at.
func (r *erasure) quarantined(ctx context.Context) (found []Quarantined, err error) {
	q := Query{Collection: "quarantine", Order: []Order{{Field: "at", Desc: true}, {Field: "id", Desc: true}}}
	err = walk(ctx, r.Docs, q, func(v Quarantined) error {
		named, err := r.named(ctx, v)
		if named {
			found = append(found, v)
		}
		return err
	})
	return found, err
}

// named tells whether the header of a mail has the address. Of one that is
// gone, the receipt knows whether an earlier call removed it.
func (r *erasure) named(ctx context.Context, q Quarantined) (bool, error) {
	raw, err := r.Objects.Open(ctx, q.Event.Object)
	if errors.Is(err, fs.ErrNotExist) {
		line, err := get[ErasedItem](ctx, r.Docs, erasedPath(r.head.ID, "quarantined-"+q.ID))
		return line != nil, err
	}
	if err != nil {
		return false, err
	}
	defer raw.Close()
	lines := bufio.NewReader(io.LimitReader(raw, maxHeader))
	for {
		line, err := lines.ReadString('\n')
		if strings.Contains(strings.ToLower(line), r.address) {
			return true, nil
		}
		if errors.Is(err, io.EOF) || err == nil && strings.Trim(line, "\r\n") == "" {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// unprocessed erases a mail in quarantine and leaves a tombstone, so that it
// stays accounted for.
func (r *erasure) unprocessed(ctx context.Context, q Quarantined) error {
	item := ErasedItem{ID: "quarantined-" + q.ID, What: "quarantined"}
	if err := r.remove(ctx, item, []string{q.Event.Object}, nil); err != nil {
		return err
	}
	return q.bury(ctx, r.Docs, "erased")
}
