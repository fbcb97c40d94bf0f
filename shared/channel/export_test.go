package channel

import "time"

// SetTimes shortens what would take a test minutes.
func (p *Poll) SetTimes(takeFor, idleFor, mailBy time.Duration) {
	p.times = bounds{takeFor, idleFor, mailBy, pollBounds.lookFor}
}

// SetLook shortens a poll's reconciliation.
func (p *Poll) SetLook(lookFor time.Duration) {
	p.times = pollBounds
	p.times.lookFor = lookFor
}
