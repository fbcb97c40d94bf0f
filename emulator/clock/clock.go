// Package clock is the emulator suite's own clock: real time plus an offset that can be frozen and moved.
//
// Everything in the suite that waits (retries, ack deadlines, cron ticks, TTLs) waits on this clock, so a test
// moves a month in a second. The rules:
//
//   - A new clock follows real time. Freeze stops it; Advance moves it, frozen or not; it never goes back
//     except by SetOffset, which is meant for a restart.
//   - A timer whose time has come fires in its own goroutine. One that is due now fires now, frozen or not.
//   - Advance fires what falls due in order of time (then of creation), with Now pinned to each timer's own due
//     time, and waits for each callback before the next. Timers made meanwhile take part. Real time that passes
//     while Advance works does not count.
//   - Callbacks often only start work (a push, a request to a function). Settle registers a function that waits
//     for such work; Advance calls it before it moves and after each callback, so that the work, too, sees the
//     time at which it was due.
//
// A callback or settle function must not call Advance or SetOffset: they wait for it.
package clock

import (
	"container/heap"
	"sync"
	"time"
)

// Clock is safe for concurrent use. Its zero value is not usable; see New.
type Clock struct {
	steps sync.Mutex // serialises Advance and SetOffset

	mu     sync.Mutex
	offset time.Duration // Now is real time plus offset while nothing pins it
	pinned bool          // Advance is at work
	frozen bool
	at     time.Time // what Now says while pinned or frozen
	target time.Time // where the Advance at work goes
	timers timerHeap
	seq    uint64
	wake   *time.Timer // real timer for the earliest of timers
	settle []func()
}

// New returns a clock that follows real time.
func New() *Clock { return &Clock{} }

// Now is the suite's time, in UTC, without a monotonic reading (it is compared with stored times).
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	if c.pinned || c.frozen {
		return c.at
	}
	return time.Now().UTC().Round(0).Add(c.offset)
}

// Freeze stops the clock at its present time, or lets it run on from there.
func (c *Clock) Freeze(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on == c.frozen {
		return
	}
	now := c.now()
	c.frozen = on
	c.hold(now)
	c.arm()
}

// Frozen tells whether Freeze stopped the clock.
func (c *Clock) Frozen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frozen
}

// Offset is how far the clock is ahead of real time. For a frozen clock it shrinks as real time passes.
func (c *Clock) Offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinned || c.frozen {
		return c.at.Sub(time.Now().Round(0))
	}
	return c.offset
}

// SetOffset puts the clock at real time plus d, as after a restart. Timers keep their due times; those that
// lie behind the new time fire at once, without the order that Advance keeps.
func (c *Clock) SetOffset(d time.Duration) {
	c.steps.Lock()
	defer c.steps.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold(time.Now().UTC().Round(0).Add(d))
	c.arm()
}

// Settle registers f, which returns when the work started so far is done. f bounds its own wait.
func (c *Clock) Settle(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle = append(c.settle, f)
}

// Advance moves the clock by d and fires what falls due on the way. A negative d counts as zero.
func (c *Clock) Advance(d time.Duration) {
	c.steps.Lock()
	defer c.steps.Unlock()
	c.runSettle()

	c.mu.Lock()
	c.hold(c.now())
	c.pinned = true
	c.target = c.at.Add(max(d, 0))
	c.mu.Unlock()

	for c.step() {
		c.runSettle()
	}
}

// Horizon is the time that the present Advance will end at, or Now without one. What happens often may use it
// to leave out repetitions that nobody would miss.
func (c *Clock) Horizon() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinned {
		return c.target
	}
	return c.now()
}

// step fires the earliest timer due by the target. Without one it lets go of the clock there.
func (c *Clock) step() bool {
	c.mu.Lock()
	if len(c.timers) == 0 || c.timers[0].due.After(c.target) {
		c.pinned = false
		c.hold(c.target)
		c.arm()
		c.mu.Unlock()
		return false
	}
	t := heap.Pop(&c.timers).(*Timer)
	if t.due.After(c.at) { // one that was overdue does not turn the clock back
		c.at = t.due
	}
	c.mu.Unlock()

	done := make(chan struct{})
	go func() {
		defer close(done)
		t.f()
	}()
	<-done
	return true
}

func (c *Clock) runSettle() {
	c.mu.Lock()
	fs := c.settle
	c.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

// hold makes Now continue from t, whether the clock runs or stands.
func (c *Clock) hold(t time.Time) {
	c.at = t
	c.offset = t.Sub(time.Now().Round(0))
}
