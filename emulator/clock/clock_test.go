package clock

import (
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"
)

func TestAdvanceFiresInOrderAtDueTime(t *testing.T) {
	c := New()
	c.Freeze(true)
	start := c.Now()
	var got []string
	note := func(name string) func() {
		return func() { got = append(got, fmt.Sprintf("%s@%v", name, c.Now().Sub(start))) }
	}
	c.AfterFunc(3*time.Hour, note("three"))
	c.AfterFunc(time.Hour, func() {
		note("one")()
		c.AfterFunc(time.Hour, note("nested"))
		c.AfterFunc(24*time.Hour, note("outside"))
	})
	c.AfterFunc(2*time.Hour, note("two"))
	c.AfterFunc(3*time.Hour, note("three again"))
	stopped := c.AfterFunc(90*time.Minute, note("stopped"))
	if !stopped.Stop() {
		t.Error("Stop of a waiting timer = false")
	}
	if stopped.Stop() {
		t.Error("second Stop = true")
	}
	c.Advance(10 * time.Hour)
	want := []string{"one@1h0m0s", "two@2h0m0s", "nested@2h0m0s", "three@3h0m0s", "three again@3h0m0s"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("fired %v, want %v", got, want)
	}
	if d := c.Now().Sub(start); d != 10*time.Hour {
		t.Errorf("after Advance the frozen clock moved by %v, want 10h", d)
	}
}

func TestRunningClockFires(t *testing.T) {
	c := New()
	due := make(chan time.Time, 1)
	timer := c.AfterFunc(5*time.Millisecond, func() { due <- c.Now() })
	if at := <-due; at.Before(timer.Due()) {
		t.Errorf("fired at %v, before %v", at, timer.Due())
	}
	if timer.Stop() {
		t.Error("Stop after firing = true")
	}
}

func TestFreezeHoldsTimersUntilReleased(t *testing.T) {
	c := New()
	c.Freeze(true)
	at := c.Now()
	var fired atomic.Int32
	late := make(chan struct{})
	c.AfterFunc(time.Nanosecond, func() { fired.Add(1); close(late) })
	now := make(chan struct{})
	c.AfterFunc(0, func() { close(now) })
	<-now // due at once, although frozen
	if !c.Frozen() || !c.Now().Equal(at) || fired.Load() != 0 {
		t.Fatalf("frozen clock moved from %v to %v, %d fired", at, c.Now(), fired.Load())
	}
	c.Freeze(false)
	<-late
	if c.Frozen() || !c.Now().After(at) {
		t.Errorf("released clock stands at %v", c.Now())
	}
}

func TestOffsetSurvivesRestart(t *testing.T) {
	c := New()
	c.Advance(720 * time.Hour)
	if c.Offset() < 720*time.Hour-time.Minute {
		t.Fatalf("Offset = %v", c.Offset())
	}
	again := New()
	fired := make(chan struct{})
	again.AfterFunc(time.Hour, func() { close(fired) })
	again.SetOffset(c.Offset())
	<-fired
	if d := again.Now().Sub(c.Now()).Abs(); d > time.Minute {
		t.Errorf("clocks differ by %v", d)
	}
}

func TestSettleLetsStartedWorkSeeItsTime(t *testing.T) {
	c := New()
	c.Freeze(true)
	start := c.Now()
	work := make(chan time.Duration, 10)
	busy := make(chan struct{}, 1)
	c.Settle(func() {
		select {
		case <-busy:
			work <- c.Now().Sub(start)
		default:
		}
	})
	for i := 1; i <= 3; i++ {
		c.AfterFunc(time.Duration(i)*time.Hour, func() { busy <- struct{}{} })
	}
	c.Advance(5 * time.Hour)
	close(work)
	var got []time.Duration
	for d := range work {
		got = append(got, d)
	}
	if want := []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}; !reflect.DeepEqual(got, want) {
		t.Errorf("work ran at %v, want %v", got, want)
	}
}

func TestConcurrentUse(t *testing.T) {
	c := New()
	const n = 200
	var fired atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			c.Advance(time.Second)
		}
	}()
	for i := range n {
		c.AfterFunc(time.Duration(i%7)*time.Second, func() { fired.Add(1) })
	}
	<-done
	c.Advance(10 * time.Second)
	if fired.Load() != n {
		// ring may have started some itself; they are only counted once they ran
		for deadline := time.Now().Add(5 * time.Second); fired.Load() != n && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	if fired.Load() != n {
		t.Errorf("%d of %d fired", fired.Load(), n)
	}
}

func TestHorizon(t *testing.T) {
	c := New()
	c.Freeze(true)
	start := c.Now()
	if !c.Horizon().Equal(start) {
		t.Errorf("Horizon = %v without Advance, want %v", c.Horizon(), start)
	}
	var seen time.Time
	c.AfterFunc(time.Hour, func() { seen = c.Horizon() })
	c.Advance(5 * time.Hour)
	if want := start.Add(5 * time.Hour); !seen.Equal(want) || !c.Horizon().Equal(want) {
		t.Errorf("Horizon = %v during and %v after Advance, want %v", seen, c.Horizon(), want)
	}
}
