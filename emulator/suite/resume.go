package suite

import (
	"context"
	"fmt"

	"emailchannel.dev/emailchannel/shared/channel"
)

// orphaned ends the leases of functions that died with the suite before: in the
// cloud they run out by themselves, and here nobody need wait for them.
func (s *Suite) orphaned(ctx context.Context) error {
	var names []string
	if err := s.Docs().Find(ctx, channel.Query{Collection: "leases"}, func(name string, _ func(any) error) error {
		names = append(names, name)
		return nil
	}); err != nil {
		return fmt.Errorf("leases: %w", err)
	}
	if len(names) == 0 {
		return nil
	}
	return s.Docs().Write(ctx, func(tx channel.Tx) {
		for _, name := range names {
			tx.Delete("leases/" + name)
		}
	})
}

// fetch has mail polled that came before the suite ended, and was not.
func (s *Suite) fetch() {
	for addr := range s.Inboxes() {
		if len(s.Mail.Mailbox(addr)) > 0 {
			s.bell.ring(addr)
		}
	}
}
