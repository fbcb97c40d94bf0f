package clock

import (
	"container/heap"
	"time"
)

// Timer is a call that AfterFunc has arranged.
type Timer struct {
	c     *Clock
	due   time.Time
	seq   uint64 // creation order, which decides between equal times
	index int    // in the heap, -1 once fired or stopped
	f     func()
}

// AfterFunc calls f in its own goroutine when the suite's clock reaches now+d, by real time or by Advance.
func (c *Clock) AfterFunc(d time.Duration, f func()) *Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	t := &Timer{c: c, due: c.now().Add(d), seq: c.seq, f: f}
	heap.Push(&c.timers, t)
	if t.index == 0 {
		c.arm()
	}
	return t
}

// Stop keeps the timer from firing. It reports false when the timer has fired or was stopped before; a callback
// that has begun runs on.
func (t *Timer) Stop() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.c.timers, t.index)
	return true
}

// Due is the suite time at which the timer fires.
func (t *Timer) Due() time.Time { return t.due }

// arm sets the real timer for the earliest suite timer. A clock that stands only fires what is due already;
// Advance fires its own.
func (c *Clock) arm() {
	if c.wake != nil {
		c.wake.Stop()
	}
	if c.pinned || len(c.timers) == 0 {
		return
	}
	wait := c.timers[0].due.Sub(c.now())
	if c.frozen && wait > 0 {
		return
	}
	c.wake = time.AfterFunc(max(wait, 0), c.ring)
}

// ring starts everything that real time has made due. A call that Stop came too late for finds nothing to do.
func (c *Clock) ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinned {
		return
	}
	for now := c.now(); len(c.timers) > 0 && !c.timers[0].due.After(now); {
		go heap.Pop(&c.timers).(*Timer).f()
	}
	c.arm()
}

type timerHeap []*Timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].seq < h[j].seq
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
