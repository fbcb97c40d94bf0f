package channel

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// enclosed deletes the files that an agent sent with a mail: uploads, which
// became the message's with it.
func (p *Purge) enclosed(ctx context.Context, id string) error {
	var names []string
	err := p.Docs.Update(ctx, func(ctx context.Context, tx Tx) error { // one look, or a merge could move the message in between
		names = nil
		m, err := get[Mail](ctx, tx, mailPath(id))
		if err != nil || m == nil || m.Session == "" || m.Direction != Out {
			return err
		}
		msg, err := get[Message](ctx, tx, messagePath(m.Session, id))
		if err != nil || msg == nil {
			return err
		}
		for _, a := range msg.Attachments {
			if strings.HasPrefix(a.Object, uploadsPath) {
				names = append(names, a.Object)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return deleteAll(ctx, p.Objects, names)
}

// uploads deletes what was uploaded and not used in time. What a queue's
// auto-response or signature names stays for another while.
func (p *Purge) uploads(ctx context.Context, cat *Catalog, until time.Time) error {
	now := p.Now().UTC()
	q := Query{Collection: "files", Where: []Where{{"expires_at", "<=", now.Add(-dropUpload)}}, Order: []Order{{Field: "expires_at"}}}
	return pages(ctx, p.Docs, q, until, func(d found[Upload]) error {
		id, u := d.id, d.v
		if cat.sends(u.Object) {
			err := p.Docs.Write(ctx, func(tx Tx) { tx.Patch(uploadPath(id), map[string]any{"expires_at": now.Add(keepUpload)}) })
			if errors.Is(err, ErrMissing) {
				return nil
			}
			return err
		}
		if err := p.Objects.Delete(ctx, u.Object); err != nil { // the object first: without its document nothing finds it
			return err
		}
		return p.Docs.Write(ctx, func(tx Tx) { tx.Delete(uploadPath(id)) })
	})
}

// sends tells whether a queue's settings have the object go out with mail.
func (c *Catalog) sends(object string) bool {
	for _, q := range c.ByQueue {
		if slices.ContainsFunc(q.placed(), func(f placed) bool { return f.Object == object }) {
			return true
		}
	}
	return false
}
