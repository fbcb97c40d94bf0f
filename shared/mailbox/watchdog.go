package mailbox

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// watchdog closes a connection when the server does not move while we wait for it. go-imap sets deadlines of its own
// and has none for the wait between responses, so its calls to set deadlines are ignored (see patient) and this is the
// only one.
type watchdog struct {
	limit time.Duration
	timer *time.Timer
	fired atomic.Bool
}

func newWatchdog(conn net.Conn, limit time.Duration) *watchdog {
	w := &watchdog{limit: limit}
	w.timer = time.AfterFunc(limit, func() {
		w.fired.Store(true)
		conn.Close()
	})
	w.timer.Stop()
	return w
}

// during runs wait, at the end of which the server has moved. Time outside of it is our own and does not count.
func (w *watchdog) during(wait func() error) error {
	w.timer.Reset(w.limit)
	defer w.timer.Stop()
	return w.explain(wait())
}

// explain makes the error of a closed connection say why it was closed.
func (w *watchdog) explain(err error) error {
	if err != nil && w.fired.Load() {
		return fmt.Errorf("server did not answer within %v: %w", w.limit, err)
	}
	return err
}

// patient is a connection whose deadlines cannot be set.
type patient struct{ net.Conn }

func (patient) SetDeadline(time.Time) error      { return nil }
func (patient) SetReadDeadline(time.Time) error  { return nil }
func (patient) SetWriteDeadline(time.Time) error { return nil }
