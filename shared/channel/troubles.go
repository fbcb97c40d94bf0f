package channel

import (
	"errors"
	"fmt"
	"sync"
)

// troubles collects the errors of many pieces of work, of which each stands
// for itself. Several may add at the same time.
type troubles struct {
	mu    sync.Mutex
	first []error
	more  int
}

// maxTroubles is how many errors are told in full: a database that is down
// says the same of twenty thousand sessions.
const maxTroubles = 10

// add takes an error, or nil.
func (t *troubles) add(err error) {
	if err == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.first) < maxTroubles {
		t.first = append(t.first, err)
		return
	}
	t.more++
}

// err joins the first errors and counts the others; nil when there are none.
func (t *troubles) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := errors.Join(t.first...)
	if t.more > 0 {
		err = fmt.Errorf("%w\nand %d errors more", err, t.more)
	}
	return err
}
