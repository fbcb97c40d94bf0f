package mailbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const (
	// idleFor is after how long an IDLE is begun anew: a server may end one after 30 minutes (RFC 2177), and some do after
	// a quarter of an hour.
	idleFor = 14 * time.Minute
	// askEvery is how often a server without IDLE is asked by NOOP.
	askEvery = 1500 * time.Millisecond
)

// Wait returns true as soon as the folder has more mail than before, and false when most is over. It waits by IDLE, or
// asks by NOOP every second and a half where the server has no IDLE (RFC 2177). Mail that came since the last Fetch began
// looking counts, so between Fetch and Wait nothing is missed; now and then that makes one Fetch in vain.
//
// It costs a connection, and the instance that runs it, for all of that time: a poll of a second a minute becomes sixty.
func (f *Folder) Wait(ctx context.Context, most time.Duration) (arrived bool, err error) {
	defer f.conn.under(ctx)()
	over := time.NewTimer(most)
	defer over.Stop()
	canIdle, err := f.conn.canIdle()
	arrived = f.conn.news.heard()
	for ended := false; err == nil && !arrived && !ended; {
		if canIdle {
			ended, err = f.conn.idle(over.C, f.idleFor)
		} else {
			ended, err = f.conn.ask(over.C, f.askEvery)
		}
		var refused *Refusal
		if canIdle && errors.As(err, &refused) { // it was offered, but not meant
			canIdle, err = false, nil
		}
		arrived = f.conn.news.heard()
	}
	if err != nil {
		return false, f.failed(ctx, err)
	}
	return arrived, nil
}

func (c *imapConn) canIdle() (has bool, err error) {
	err = c.watch.during(func() error { has = c.client.Caps().Has(imap.CapIdle); return nil })
	return has, err
}

// idle runs one IDLE until there is news or one of the times is over.
func (c *imapConn) idle(over <-chan time.Time, most time.Duration) (ended bool, err error) {
	var cmd *imapclient.IdleCommand
	err = c.watch.during(func() (err error) { cmd, err = c.client.Idle(); return err })
	if err != nil {
		return false, refusal("IDLE", err)
	}
	ended = c.pause(over, most)
	return ended, c.watch.during(func() error {
		if err := cmd.Close(); err != nil {
			return err
		}
		return refusal("IDLE", cmd.Wait())
	})
}

// ask waits a little and gives the server the opportunity to tell what it knows.
func (c *imapConn) ask(over <-chan time.Time, every time.Duration) (ended bool, err error) {
	ended = c.pause(over, every)
	return ended, c.noop()
}

func (c *imapConn) noop() error {
	return c.watch.during(func() error { return refusal("NOOP", c.client.Noop().Wait()) })
}

// pause returns when there is news, the connection is closed, or one of the times is over; true means the caller's.
func (c *imapConn) pause(over <-chan time.Time, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-over:
		return true
	case <-c.news.told:
		c.news.tell() // for Wait to hear
	case <-c.client.Closed():
	case <-timer.C:
	}
	return false
}

// news learns from the server's unsolicited answers, which come between those to any command, that a folder has grown. go-imap
// calls its handler on the goroutine that reads.
type news struct {
	mu    sync.Mutex
	mails uint32
	told  chan struct{} // holds one
}

func newNews() *news { return &news{told: make(chan struct{}, 1)} }

func (n *news) handler() *imapclient.UnilateralDataHandler {
	return &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil && n.count(*data.NumMessages) {
				n.tell()
			}
		},
		Expunge: func(uint32) { n.expunged() },
	}
}

// begin sets how many mails there are.
func (n *news) begin(mails uint32) {
	n.count(mails)
	n.heard()
}

// count tells whether there are more mails than before.
func (n *news) count(mails uint32) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	more := mails > n.mails
	n.mails = mails
	return more
}

func (n *news) expunged() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mails > 0 {
		n.mails--
	}
}

func (n *news) tell() {
	select {
	case n.told <- struct{}{}:
	default:
	}
}

// heard tells whether there was news and forgets it.
func (n *news) heard() bool {
	select {
	case <-n.told:
		return true
	default:
		return false
	}
}
