package firestore

import (
	"sync/atomic"
	"time"
)

// clock hands out the times of commits and reads, in microseconds: it follows the suite's clock but never goes
// back or stands still between commits, even when the suite's is frozen or set back.
type clock struct {
	now  func() time.Time
	last atomic.Int64
}

// commit returns a time later than any handed out before.
func (c *clock) commit() int64 { return c.advance(1) }

// read returns a time not before the last commit; later commits get later times.
func (c *clock) read() int64 { return c.advance(0) }

func (c *clock) advance(step int64) int64 {
	for {
		last := c.last.Load()
		t := max(c.now().UnixMicro(), last+step)
		if t == last || c.last.CompareAndSwap(last, t) {
			return t
		}
	}
}
