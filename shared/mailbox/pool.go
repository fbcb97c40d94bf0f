package mailbox

import (
	"context"
	"sync"
	"time"
)

const (
	mailsPerConnection = 100              // many servers end a connection after about as many
	idleConnection     = 30 * time.Second // shorter than any server's own limit
)

// Sender sends mail over connections that it keeps open for a while. It is safe for concurrent use.
type Sender struct {
	dialer *Dialer

	mu     sync.Mutex
	idle   map[poolKey][]*idleConn
	closed bool
}

// poolKey has the login in it: connections are never shared between accounts.
type poolKey struct {
	server Server
	login  Login
}

type idleConn struct {
	*smtpConn
	timer *time.Timer
}

// NewSender returns a sender without connections.
func NewSender(d *Dialer) *Sender {
	return &Sender{dialer: d, idle: map[poolKey][]*idleConn{}}
}

// Close ends the idle connections; mails being sent are not disturbed.
func (s *Sender) Close() error {
	s.mu.Lock()
	s.closed = true
	var keys []poolKey
	for key := range s.idle {
		keys = append(keys, key)
	}
	s.mu.Unlock()
	for _, key := range keys {
		s.drop(key)
	}
	return nil
}

// get takes the connection that was used last, or makes one.
func (s *Sender) get(ctx context.Context, key poolKey) (*smtpConn, error) {
	s.mu.Lock()
	for list := s.idle[key]; len(list) > 0; list = s.idle[key] {
		last := list[len(list)-1]
		s.keep(key, list[:len(list)-1])
		if last.timer.Stop() { // else it is being closed right now
			s.mu.Unlock()
			last.reused = true
			return last.smtpConn, nil
		}
	}
	s.mu.Unlock()
	return s.dialer.openSMTP(ctx, key.server, key.login)
}

// keep sets the list of a key. The lock must be held.
func (s *Sender) keep(key poolKey, list []*idleConn) {
	if len(list) == 0 {
		delete(s.idle, key)
		return
	}
	s.idle[key] = list
}

// put keeps the connection for the next mail, or ends it when it has had enough of them.
func (s *Sender) put(key poolKey, c *smtpConn) {
	c.sent++
	s.mu.Lock()
	full := s.closed || c.spent || c.sent >= mailsPerConnection
	if !full {
		entry := &idleConn{smtpConn: c}
		entry.timer = time.AfterFunc(idleConnection, func() { s.expire(key, entry) })
		s.idle[key] = append(s.idle[key], entry)
	}
	s.mu.Unlock()
	if full {
		c.quit()
	}
}

func (s *Sender) expire(key poolKey, gone *idleConn) {
	s.mu.Lock()
	var list []*idleConn
	for _, c := range s.idle[key] {
		if c != gone {
			list = append(list, c)
		}
	}
	s.keep(key, list)
	s.mu.Unlock()
	gone.quit()
}

// drop ends the idle connections of a key.
func (s *Sender) drop(key poolKey) {
	s.mu.Lock()
	list := s.idle[key]
	delete(s.idle, key)
	s.mu.Unlock()
	for _, c := range list {
		if c.timer.Stop() {
			c.raw.Close()
		}
	}
}
