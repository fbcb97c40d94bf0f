package channel

import (
	"context"
	"fmt"
	"time"
)

// Discard marks a secret that no account may have: discards/{secret}. It is
// written before a secret is made and together with the end of an account, and
// goes with the secret, or when an account has it. So a crash leaves none behind.
type Discard struct {
	Secret string    `json:"secret"`
	Due    time.Time `json:"due"` // from which on it is removed
}

const (
	accountSecrets = "account-"       // begins the names of all passwords of accounts
	savingTakes    = 15 * time.Minute // longer than any PutAccount
)

func discardPath(secret string) string { return "discards/" + secret }

// doubt marks a secret that may be left without an account.
func (a *Admin) doubt(ctx context.Context, secret string, wait time.Duration) error {
	err := a.Docs.Write(ctx, func(tx Tx) {
		tx.Set(discardPath(secret), Discard{Secret: secret, Due: a.Now().UTC().Add(wait)})
	})
	if err != nil {
		return fmt.Errorf("mark secret %s: %w", secret, err)
	}
	return nil
}

// discard removes a secret unless an account has it, and then its mark.
func discard(ctx context.Context, docs Docs, secrets Vault, name string) error {
	users, err := docs.Count(ctx, Query{Collection: "accounts", Where: []Where{{"secret", "==", name}}}, 1)
	if err != nil {
		return err
	}
	if users == 0 {
		if err := secrets.Delete(ctx, name); err != nil {
			return err
		}
	}
	return docs.Write(ctx, func(tx Tx) { tx.Delete(discardPath(name)) })
}
