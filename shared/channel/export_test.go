package channel

import "time"

// SetTimes shortens what would take a test minutes.
func (p *Poll) SetTimes(takeFor, idleFor, mailFor time.Duration) {
	p.times = bounds{takeFor, idleFor, mailFor}
}
