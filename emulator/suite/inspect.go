package suite

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/config"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/store"
)

// connect makes the clients by which the suite itself seeds and inspects.
func (s *Suite) connect(ctx context.Context) error {
	vars := s.env()
	env := config.Env{Function: "suite", Now: s.Clock.Now, Lookup: func(name string) (string, bool) {
		if v, ok := vars[name]; ok {
			return v, true
		}
		return os.LookupEnv(name)
	}}
	c, err := env.Connect(ctx)
	s.clients = c
	return err
}

// Docs is the suite's own view of the database.
func (s *Suite) Docs() *store.Store { return s.clients.Docs }

// Inboxes are the accounts that are polled, by address.
func (s *Suite) Inboxes() map[string]string {
	s.bell.mu.Lock()
	defer s.bell.mu.Unlock()
	out := make(map[string]string, len(s.bell.account))
	for addr, id := range s.bell.account {
		out[addr] = id
	}
	return out
}

// Inject archives a raw mail and publishes its pointer, as poll does.
func (s *Suite) Inject(ctx context.Context, e event.Received, raw []byte) error {
	if err := s.clients.Archive.Put(ctx, e.Object, "message/rfc822", bytesReader(raw)); err != nil {
		return err
	}
	return s.clients.Bus.Publish(ctx, event.TopicReceived, event.Encode(e))
}

// MailDoc reads the document of a mail; nil when there is none.
func (s *Suite) MailDoc(ctx context.Context, fingerprint string) (*channel.Mail, error) {
	return doc[channel.Mail](ctx, s, "mails/"+fingerprint)
}

// Quarantined reads the quarantine's entry for a source; nil when there is none.
func (s *Suite) Quarantined(ctx context.Context, src event.Source) (*channel.Quarantined, error) {
	return doc[channel.Quarantined](ctx, s, channel.QuarantinePath(src))
}

// Answered tells whether an event led to an auto-response.
func (s *Suite) Answered(ctx context.Context, eventID string) (bool, error) {
	o, err := doc[channel.Outbound](ctx, s, "outbound/"+channel.ResponseID(eventID))
	return o != nil, err
}

func doc[T any](ctx context.Context, s *Suite, path string) (*T, error) {
	var v T
	ref := channel.Ref{Path: path, Into: &v}
	if err := s.Docs().Get(ctx, &ref); err != nil || !ref.Found {
		return nil, err
	}
	return &v, nil
}

// Totals are the operations of the functions since the start, without the
// suite's own, and the tickets. Google's emulators count nothing: with them
// those of the database and the messages are zero.
func (s *Suite) Totals() (reads, writes, deletes, storageWrites, published int64, tickets int) {
	storageWrites, tickets = s.storage.Stats().Total.Writes, s.zendesk.Stats().Tickets
	if s.opt.Google {
		return 0, 0, 0, storageWrites, 0, tickets
	}
	for caller, ops := range s.firestore.Stats() {
		if caller != "suite" {
			reads, writes, deletes = reads+ops.Reads, writes+ops.Writes, deletes+ops.Deletes
		}
	}
	return reads, writes, deletes, storageWrites, int64(s.pubsub.Stats().Published), tickets
}

// repoint gives the accounts, the CRM and the destinations of mail the suite's
// present addresses: with free ports a data directory finds others at each start.
func (s *Suite) repoint(ctx context.Context) error {
	return s.Docs().Update(ctx, func(ctx context.Context, tx channel.Tx) error {
		var set channel.Settings
		ref := channel.Ref{Path: "settings/channel", Into: &set}
		if err := tx.Get(ctx, &ref); err != nil {
			return err
		}
		if !ref.Found {
			return fmt.Errorf("the data directory has no settings")
		}
		var accounts []channel.Account
		err := tx.Find(ctx, channel.Query{Collection: "accounts"}, func(_ string, decode func(any) error) error {
			var a channel.Account
			accounts = append(accounts, a)
			return decode(&accounts[len(accounts)-1])
		})
		if err != nil {
			return err
		}
		for _, a := range accounts {
			fields := map[string]any{}
			if a.Outgoing.Host == "127.0.0.1" {
				fields["outgoing"] = s.server(s.Addrs.SMTP)
			}
			if a.Incoming.Host == "127.0.0.1" {
				fields["incoming"] = s.server(s.Addrs.IMAP)
			}
			if len(fields) > 0 {
				tx.Patch("accounts/"+a.ID, fields)
			}
			if !a.OutboundOnly {
				s.bell.know(a.Address, a.ID)
			}
		}
		fields := map[string]any{"version": channel.Inc(1), "crm.base_url": "http://" + s.Addrs.Zendesk, "console_url": "http://" + s.Addrs.HTTP}
		if set.Storage.Destination != (channel.Destination{}) || set.Storage.Earlier != nil {
			s.here(&set.Storage.Destination)
			for i := range set.Storage.Earlier {
				s.here(&set.Storage.Earlier[i])
			}
			fields["storage"] = set.Storage
		}
		tx.Patch("settings/channel", fields)
		return nil
	})
}

// here gives a destination in the suite's S3 its present address.
func (s *Suite) here(d *channel.Destination) {
	if u, err := url.Parse(d.Endpoint); err == nil && d.Kind == channel.KindS3 && u.Hostname() == "127.0.0.1" {
		d.Endpoint = "http://" + s.Addrs.S3
	}
}
