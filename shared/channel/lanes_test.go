package channel

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestLanesRunAtTheSameTime(t *testing.T) {
	var met sync.WaitGroup
	met.Add(8)
	var sum atomic.Int32
	lanes(t.Context(), 8, func(_ context.Context, lane int) {
		met.Done()
		met.Wait() // for ever, unless all of them are here
		sum.Add(int32(lane))
	})
	if sum.Load() != 28 {
		t.Errorf("the lanes add up to %d", sum.Load())
	}
}

// TestLanesEndTheirCaller holds that a lane which dies takes the others and
// the caller with it, as it would if all were one goroutine.
func TestLanesEndTheirCaller(t *testing.T) {
	for name, die := range map[string]func(){"exit": runtime.Goexit, "panic": func() { panic("a bug") }} {
		t.Run(name, func(t *testing.T) {
			var returned, canceled bool
			var panicked any
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { panicked = recover() }()
				lanes(t.Context(), 2, func(ctx context.Context, lane int) {
					if lane == 0 {
						die()
					}
					<-ctx.Done()
					canceled = errors.Is(ctx.Err(), context.Canceled)
				})
				returned = true
			}()
			<-done
			if returned || !canceled {
				t.Errorf("the caller went on: %t, the other lane was told: %t", returned, canceled)
			}
			if want := map[string]any{"exit": nil, "panic": "a bug"}[name]; panicked != want {
				t.Errorf("the caller's panic is %v", panicked)
			}
		})
	}
}

func TestTroublesAreCounted(t *testing.T) {
	var none troubles
	none.add(nil)
	if err := none.err(); err != nil {
		t.Error(err)
	}
	var many troubles
	lanes(t.Context(), 8, func(_ context.Context, lane int) {
		for i := range 100 {
			many.add(fmt.Errorf("session %d-%d: %w", lane, i, ErrMissing))
		}
	})
	err := many.err()
	if !errors.Is(err, ErrMissing) || strings.Count(err.Error(), "session ") != maxTroubles || !strings.HasSuffix(err.Error(), "\nand 790 errors more") {
		t.Error(err)
	}
}
