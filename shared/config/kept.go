package config

import (
	"context"
	"sync"
	"time"

	"emailchannel.dev/emailchannel/shared/secret"
)

// kept remembers secrets for a short while: each mail that goes out needs a
// password. A changed one is known everywhere after keepFor, and at once in the
// instance that changed it.
type kept struct {
	*secret.Manager
	mu     sync.Mutex
	values map[string]value
}

type value struct {
	secret string
	at     time.Time
}

const keepFor = 30 * time.Second

// Get reads a secret; failures are not remembered.
func (k *kept) Get(ctx context.Context, name string) (string, error) {
	k.mu.Lock()
	v, ok := k.values[name]
	k.mu.Unlock()
	if ok && time.Since(v.at) < keepFor {
		return v.secret, nil
	}
	s, err := k.Manager.Get(ctx, name)
	if err == nil {
		k.remember(name, s)
	}
	return s, err
}

// Put stores a secret.
func (k *kept) Put(ctx context.Context, name, v string) error {
	err := k.Manager.Put(ctx, name, v)
	if err == nil {
		k.remember(name, v)
	}
	return err
}

// Delete removes a secret. It is forgotten last: a Get meanwhile may have
// remembered it once more.
func (k *kept) Delete(ctx context.Context, name string) error {
	err := k.Manager.Delete(ctx, name)
	k.mu.Lock()
	delete(k.values, name)
	k.mu.Unlock()
	return err
}

func (k *kept) remember(name, s string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.values == nil {
		k.values = map[string]value{}
	}
	k.values[name] = value{s, time.Now()}
}
