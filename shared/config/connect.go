package config

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/shared/archive"
	"emailchannel.dev/emailchannel/shared/bus"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/mailbox"
	"emailchannel.dev/emailchannel/shared/secret"
	"emailchannel.dev/emailchannel/shared/store"
	"emailchannel.dev/emailchannel/shared/zendesk"
)

// Clients are the connections that most functions need.
type Clients struct {
	Docs    *store.Store
	Archive *channel.Destinations
	Bus     Bus
	Secrets channel.Vault
	Config  *channel.Configuration

	storages *storages
}

// Connect makes the clients. It reports every variable that is missing.
func (e Env) Connect(ctx context.Context) (*Clients, error) {
	project, err1 := e.must("GOOGLE_CLOUD_PROJECT")
	bucket, err2 := e.must("MAIL_BUCKET")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	docs, err := store.Open(ctx, project, e.or("FIRESTORE_DATABASE", ""), e.options("FIRESTORE_EMULATOR_HOST")...)
	if err != nil {
		return nil, err
	}
	files, err := archive.New(ctx, bucket, e.or("MAIL_FOLDER", ""), e.storage()...)
	if err != nil {
		return nil, err
	}
	b, err := bus.New(ctx, project, e.options("PUBSUB_EMULATOR_HOST")...)
	if err != nil {
		return nil, err
	}
	manager, err := secret.NewManager(ctx, project, e.options("SECRETS_EMULATOR_HOST")...)
	if err != nil {
		return nil, err
	}
	secrets, settings := &kept{Manager: manager}, channel.NewConfiguration(docs)
	stores, err := e.storages(secrets, files)
	if err != nil {
		return nil, err
	}
	objects := &channel.Destinations{Config: settings, Local: files, Connect: stores.connect}
	return &Clients{Docs: docs, Archive: objects, Bus: Bus{b}, Secrets: secrets, Config: settings, storages: stores}, nil
}

// agent is the User-Agent by which an emulator counts operations per function.
func (e Env) agent() string { return "emailchannel-" + e.Function }

// options point a gRPC client to an emulator where one is named.
func (e Env) options(variable string) []option.ClientOption {
	opts := []option.ClientOption{option.WithUserAgent(e.agent())}
	if host := e.or(variable, ""); host != "" {
		opts = append(opts, option.WithEndpoint(host), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())), option.WithTelemetryDisabled())
	}
	return opts
}

func (e Env) storage() []option.ClientOption {
	opts := []option.ClientOption{option.WithUserAgent(e.agent())}
	if host := e.or("STORAGE_EMULATOR_HOST", ""); host != "" {
		opts = append(opts, option.WithEndpoint("http://"+strings.TrimPrefix(host, "http://")+"/storage/v1/"), option.WithoutAuthentication())
	}
	return opts
}

// Bus publishes events.
type Bus struct{ b *bus.Bus }

// Publish implements channel.Bus.
func (b Bus) Publish(ctx context.Context, topic string, ms ...event.Message) error {
	out := make([]bus.Message, len(ms))
	for i, m := range ms {
		out[i] = bus.Message{Data: m.Data, Attributes: m.Attributes, Key: m.Key}
	}
	return b.b.PublishAll(ctx, topic, out)
}

// Insecure tells whether servers without TLS are allowed (ALLOW_INSECURE_MAIL).
func (c *Clients) Insecure() bool { return c.storages.insecure }

// CRM connects to the CRM that the settings name, under the rules for whatever
// admins name: not into our own network, and not in clear text.
func (c *Clients) CRM(ctx context.Context, s channel.CRMSettings) (channel.CRM, error) {
	if s.Kind != "zendesk" {
		return nil, fmt.Errorf("crm.kind: no CRM is called %q", s.Kind)
	}
	token, err := c.Secrets.Get(ctx, s.Secret)
	if err != nil {
		return nil, fmt.Errorf("token of %s: %w", s.Kind, err)
	}
	if !c.Insecure() && !strings.HasPrefix(strings.ToLower(s.BaseURL), "https:") {
		return nil, fmt.Errorf("crm.base_url: %s: the token is not sent in clear text, the address must be https", s.BaseURL)
	}
	web := zendesk.NewHTTPClient()
	t := web.Transport.(*http.Transport)
	t.Proxy, t.DialContext = nil, (&mailbox.Dialer{AllowInsecure: c.Insecure()}).DialContext // a proxy would resolve the name once more
	return zendesk.NewRecords(zendesk.New(zendesk.Config{BaseURL: s.BaseURL, Email: s.User, Token: token, HTTPClient: web})), nil
}
