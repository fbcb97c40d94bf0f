package channel

import (
	"context"
	"slices"
	"sync"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
)

// Catalog is the configuration as one consistent picture.
type Catalog struct {
	Settings
	Accounts map[string]Account
	ByQueue  map[string]Queue
}

// QueueOf returns the queue that takes the mail of an account.
func (c *Catalog) QueueOf(account string) (Queue, bool) {
	for _, q := range c.ByQueue {
		if slices.Contains(q.Accounts, account) {
			return q, true
		}
	}
	return Queue{}, false
}

// Serving tells whether mail of the queue is routed and answered.
func (c *Catalog) Serving(queue string) bool {
	q, ok := c.ByQueue[queue]
	return ok && c.Email && c.Queues && q.On
}

// Own tells whether an address is one of the channel's.
func (c *Catalog) Own(addr string) bool {
	for _, a := range c.Accounts {
		if a.Address == addr {
			return true
		}
	}
	return false
}

// returns tells whether mail to an address comes back to one of the channel's,
// which a detail behind a plus does not keep it from.
func (c *Catalog) returns(addr string) bool {
	_, ok := c.accountAt(addr)
	return ok
}

// accountAt is the account that mail to an address comes to.
func (c *Catalog) accountAt(addr string) (id string, ok bool) {
	for _, key := range []func(string) string{email.Normalize, email.BaseAddress} { // both may be accounts
		for id, a := range c.Accounts {
			if key(a.Address) == key(addr) {
				return id, true
			}
		}
	}
	return "", false
}

// Configuration reads the catalog. It is kept for a second, so that a thousand
// mails do not read it a thousand times; a changed setting takes effect after
// that second everywhere. That the channel is OFF is not kept: switched ON it
// takes up at once what waited, and who still believed in OFF would put that
// aside until the next sweep.
type Configuration struct {
	docs Docs
	mu   sync.Mutex
	at   time.Time
	last *Catalog
}

// NewConfiguration makes a Configuration over docs.
func NewConfiguration(docs Docs) *Configuration { return &Configuration{docs: docs} }

const catalogFresh = time.Second

// Load returns the catalog, at most a second old. The catalog is shared and
// must not be changed.
func (c *Configuration) Load(ctx context.Context) (*Catalog, error) {
	return c.load(ctx, catalogFresh)
}

// Refresh returns the catalog as it is now, for what a changed setting brought about.
func (c *Configuration) Refresh(ctx context.Context) (*Catalog, error) { return c.load(ctx, 0) }

func (c *Configuration) load(ctx context.Context, fresh time.Duration) (*Catalog, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && c.last.Email && time.Since(c.at) < fresh {
		return c.last, nil
	}
	next, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	c.last, c.at = next, time.Now()
	return next, nil
}

func (c *Configuration) read(ctx context.Context) (*Catalog, error) {
	cat := &Catalog{Accounts: map[string]Account{}, ByQueue: map[string]Queue{}}
	set, err := get[Settings](ctx, c.docs, settingsPath)
	if err != nil {
		return nil, err
	}
	if set == nil {
		return cat, nil // nothing is configured: everything is OFF
	}
	cat.Settings = *set
	if c.last != nil && c.last.Version == set.Version {
		cat.Accounts, cat.ByQueue = c.last.Accounts, c.last.ByQueue
		return cat, nil
	}
	accounts, err := find[Account](ctx, c.docs, Query{Collection: "accounts"})
	if err != nil {
		return nil, err
	}
	queues, err := find[Queue](ctx, c.docs, Query{Collection: "queues"})
	if err != nil {
		return nil, err
	}
	for _, a := range accounts {
		cat.Accounts[a.ID] = a
	}
	for _, q := range queues {
		cat.ByQueue[q.ID] = q
	}
	return cat, nil
}
