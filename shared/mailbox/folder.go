package mailbox

import (
	"context"
	"fmt"
	"time"
)

// Folder is a folder that is open, read-only, over a connection of its own. It is for one goroutine. After an error of any
// of its methods the connection is of no more use: Close it and Open another.
type Folder struct {
	conn     *imapConn
	name     string
	validity uint32
	next     uint32 // UIDNEXT as the server foretold it, 0 when it did not
	broken   bool

	idleFor, askEvery time.Duration
}

// Open logs in and opens the folder. The context limits the opening; each method has one of its own, whose end closes the
// connection. A refusal is a *Refusal.
func (d *Dialer) Open(ctx context.Context, s Server, l Login, folder string) (*Folder, error) {
	c, err := d.openIMAP(ctx, s, l)
	if err != nil {
		return nil, err
	}
	defer c.under(ctx)()
	data, err := c.examine(folder)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%s: %w", s, because(ctx, err))
	}
	return &Folder{conn: c, name: folder, validity: data.UIDValidity, next: uint32(data.UIDNext), idleFor: idleFor, askEvery: askEvery}, nil
}

// UIDValidity is the value under which all UIDs of this Folder stand (RFC 9051 §2.3.1.1). It cannot change while the
// folder is open.
func (f *Folder) UIDValidity() uint32 { return f.validity }

// Close ends the connection, with a goodbye when the server has behaved.
func (f *Folder) Close() {
	if f.broken {
		f.conn.close()
		return
	}
	f.broken = true
	f.conn.logout()
}

// failed notes that the connection is of no more use, and names the server.
func (f *Folder) failed(ctx context.Context, err error) error {
	f.broken = true
	return fmt.Errorf("%s: folder %q: %w", f.conn.server, f.name, because(ctx, err))
}
