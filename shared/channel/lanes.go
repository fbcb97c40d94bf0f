package channel

import (
	"context"
	"runtime"
	"sync"
)

// lanes runs f for each number below n at the same time, and returns when all
// have. A lane that does not return, because it panics or its goroutine is
// ended, cancels the others and ends the caller in the same way: a use case
// dies as a whole, as if it had one goroutine.
func lanes(ctx context.Context, n int, f func(ctx context.Context, lane int)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type end struct {
		returned bool
		panicked any
	}
	ends := make([]end, n)
	var wg sync.WaitGroup
	for lane := range n {
		wg.Go(func() {
			defer func() {
				if ends[lane].panicked = recover(); !ends[lane].returned {
					cancel()
				}
			}()
			f(ctx, lane)
			ends[lane].returned = true
		})
	}
	wg.Wait()
	for _, e := range ends {
		switch {
		case e.panicked != nil:
			panic(e.panicked)
		case !e.returned:
			runtime.Goexit()
		}
	}
}
