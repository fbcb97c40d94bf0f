package suite

import "runtime/debug"

// TuneMemory trades memory for processor time in a process that is the whole
// cloud: garbage is collected late while there is room, and early when the
// heap comes near the bound.
func TuneMemory() {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(300 << 20) // resident stays below 400 MB
}
