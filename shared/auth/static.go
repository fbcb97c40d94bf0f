package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
)

// StaticTokens are fixed tokens with their identities, roles included: for the
// emulator, where no issuer is. They never expire.
type StaticTokens map[string]Identity

// Verify takes the same time for each token: it compares with every one, and
// hashes, which have one length.
func (s StaticTokens) Verify(_ context.Context, token string) (Identity, error) {
	var found Identity
	match := 0
	got := sha256.Sum256([]byte(token))
	for known, id := range s {
		want := sha256.Sum256([]byte(known))
		if known != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			found, match = id, 1
		}
	}
	if match == 0 {
		return Identity{}, invalid("unknown token")
	}
	return found, nil
}
