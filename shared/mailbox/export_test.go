package mailbox

import "time"

// SetPauses shortens what would take a test minutes.
func (f *Folder) SetPauses(idleFor, askEvery time.Duration) {
	f.idleFor, f.askEvery = idleFor, askEvery
}
