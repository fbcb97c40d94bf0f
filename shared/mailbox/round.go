package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// round asks for the mails once. The small items come by a command of their own, because a server may send them after
// the body, which is a stream and must be used as it comes.
func (f *fetcher) round(ctx context.Context, uids []uint32) error {
	items := map[uint32]Item{}
	err := f.each(uids, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true},
		func(m *imapclient.FetchMessageData) error {
			item := Item{UIDValidity: f.cursor.UIDValidity}
			f.readItems(m, &item)
			items[item.UID] = item
			return nil
		})
	if err != nil {
		return unread(uids, items, err)
	}
	var known []uint32
	for _, uid := range uids {
		if _, ok := items[uid]; ok {
			known = append(known, uid)
		}
	}
	if len(known) == 0 {
		return nil
	}
	body := &imap.FetchItemBodySection{Peek: true}
	return f.each(known, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{body}},
		func(m *imapclient.FetchMessageData) error {
			var part Item
			lit := f.readItems(m, &part)
			item, ok := items[part.UID]
			if lit == nil || !ok {
				return nil
			}
			delete(items, part.UID) // a server that answers twice is heard once
			return f.hand(ctx, item, lit)
		})
}

// unread names the first mail whose small items did not come whole, unless the server refused: go-imap ends the connection
// at an item that it cannot read, such as a date without a day, and those before it are not to blame.
func unread(uids []uint32, items map[uint32]Item, err error) error {
	var refused *Refusal
	if errors.As(err, &refused) {
		return err
	}
	for _, uid := range uids {
		if item := items[uid]; item.InternalDate.IsZero() || item.Size == 0 {
			return &FetchError{UID: uid, Err: err}
		}
	}
	return err
}

// hand gives one mail to the caller and moves the cursor when it was taken whole.
func (f *fetcher) hand(ctx context.Context, item Item, lit imap.LiteralReader) error {
	body := &literal{lit: lit, left: lit.Size(), watch: f.watch}
	item.Body = body
	taken := false
	defer func() {
		if !taken { // also when deliver panics
			f.abandon(body)
		}
	}()
	err := ctx.Err() // mails that are here already would come in spite of the closed connection
	if err == nil {
		err = f.deliver(ctx, item)
	}
	// A caller that reads to the end has this error, too; one that ignored it must not lose the mail.
	if body.err == io.EOF {
		body.err = nil
	}
	switch {
	case body.err != nil:
		err = &FetchError{UID: item.UID, Err: body.err}
	case err != nil:
		err = deliverError{err}
	}
	if err != nil {
		return err
	}
	f.take(item.UID)
	taken = true
	return nil
}

// abandon closes the connection instead of reading what the caller did not want, which could be gigabytes, and lets go-imap
// out of its wait for the end of the body.
func (f *fetcher) abandon(body *literal) {
	f.raw.Close()
	io.Copy(io.Discard, body)
	f.cut = body.left > 0
}

// each runs one FETCH and calls use for every message of the answer. After an error of use, or its panic, the connection is closed.
func (f *fetcher) each(uids []uint32, o *imap.FetchOptions, use func(*imapclient.FetchMessageData) error) error {
	var cmd *imapclient.FetchCommand
	f.watch.during(func() error { cmd = f.client.Fetch(setOf(uids), o); return nil })
	whole := false
	defer func() {
		if whole {
			return
		}
		f.raw.Close()
		if !f.cut { // else go-imap would read on in the body that failed, while its decoder does, too
			cmd.Close()
		}
	}()
	for {
		var m *imapclient.FetchMessageData
		f.watch.during(func() error { m = cmd.Next(); return nil })
		if m == nil {
			whole = true
			return f.watch.during(func() error { return refusal("FETCH", cmd.Close()) })
		}
		if err := use(m); err != nil {
			return err
		}
	}
}

// readItems fills in what comes before the body and returns the body, nil when there is none.
func (f *fetcher) readItems(m *imapclient.FetchMessageData, item *Item) imap.LiteralReader {
	for {
		var data imapclient.FetchItemData
		f.watch.during(func() error { data = m.Next(); return nil })
		switch data := data.(type) {
		case nil:
			return nil
		case imapclient.FetchItemDataUID:
			item.UID = uint32(data.UID)
		case imapclient.FetchItemDataFlags:
			for _, flag := range data.Flags {
				item.Flags = append(item.Flags, string(flag))
			}
		case imapclient.FetchItemDataInternalDate:
			item.InternalDate = data.Time
		case imapclient.FetchItemDataRFC822Size:
			item.Size = data.Size
		case imapclient.FetchItemDataBodySection:
			if data.Literal != nil {
				return data.Literal
			}
		}
	}
}

// literal is a body on its way. go-imap ends it without an error when the connection ends.
type literal struct {
	lit   io.Reader
	left  int64
	watch *watchdog
	err   error
}

func (l *literal) Read(b []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	var n int
	err := l.watch.during(func() (err error) {
		n, err = l.lit.Read(b)
		return err
	})
	l.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.EOF
		if l.left > 0 {
			err = fmt.Errorf("%w, %d bytes before the end of the mail", io.ErrUnexpectedEOF, l.left)
		}
	}
	l.err = err
	return n, err
}
