package suite

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"emailchannel.dev/emailchannel/shared/event"
)

// bell has an account polled as soon as mail for it arrives, so that nobody
// waits for the minute's tick. In the cloud the tick is what there is.
type bell struct {
	s       *Suite
	mu      sync.Mutex
	account map[string]string // by address
	dirty   map[string]bool
	active  map[string]bool
	busy    atomic.Int64
	closed  bool
}

func newBell(s *Suite) *bell {
	return &bell{s: s, account: map[string]string{}, dirty: map[string]bool{}, active: map[string]bool{}}
}

// gather is how long mail is gathered before the poll.
const gather = 50 * time.Millisecond

func (b *bell) know(address, account string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.account[address] = account
}

// ring notes that mail arrived for an address.
func (b *bell) ring(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id, ok := b.account[address]
	if !ok || b.closed {
		return
	}
	b.dirty[id] = true
	if !b.active[id] {
		b.active[id] = true
		b.busy.Add(1)
		go b.poll(id)
	}
}

// poll polls an account until no mail came meanwhile.
func (b *bell) poll(id string) {
	defer b.busy.Add(-1)
	for b.take(id) {
		time.Sleep(gather)
		b.clear(id)
		for try := 0; try < 50 && !b.stopped() && !b.once(id); try++ {
			time.Sleep(100 * time.Millisecond) // another poll has the account, or it was killed
		}
	}
}

// take tells whether there is something to do, and ends the account's turn otherwise.
func (b *bell) take(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dirty[id] || b.closed {
		b.active[id] = false
		return false
	}
	return true
}

func (b *bell) clear(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dirty[id] = false
}

// once makes the request that a push of mail-poll would make.
func (b *bell) once(id string) bool {
	m := event.Encode(event.Poll{Account: id})
	body, err := json.Marshal(map[string]any{
		"message":      map[string]any{"data": m.Data, "messageId": "bell", "attributes": m.Attributes},
		"subscription": "projects/" + Project + "/subscriptions/" + event.TopicPoll + ".poll",
	})
	if err != nil {
		return false
	}
	resp, err := http.Post("http://"+b.s.Addrs.HTTP+"/functions/poll", "application/json", bytes.NewReader(body))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode < 300
}

func (b *bell) stopped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

func (b *bell) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}
