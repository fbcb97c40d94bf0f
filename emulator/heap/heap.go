// Package heap measures what work takes while it runs.
package heap

import (
	"runtime"
	"time"
)

// Peak runs f and returns by how many bytes the heap grew over its start at
// most, sampled every millisecond.
func Peak(f func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	start, stop, result := m.HeapAlloc, make(chan struct{}), make(chan uint64)
	go func() {
		peak := start
		for {
			select {
			case <-stop:
				result <- peak - start
				return
			case <-time.After(time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}()
	f()
	close(stop)
	return <-result
}
