package config

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/archive"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/mailbox"
)

// storages reaches the destinations that the settings name.
type storages struct {
	env      Env
	secrets  channel.Secrets
	local    channel.Objects // the deployment's own bucket
	insecure bool
	s3       *http.Transport // of all S3 servers
}

func (e Env) storages(secrets channel.Secrets, local channel.Objects) (*storages, error) {
	insecure, err := e.flag("ALLOW_INSECURE_MAIL")
	if err != nil {
		return nil, err
	}
	// Customers name the endpoints. There is no proxy: it would resolve the name
	// once more, behind the dialer's back.
	s3 := &http.Transport{
		DialContext:           (&mailbox.Dialer{AllowInsecure: insecure}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   16,
		DisableCompression:    true, // an object's bytes are its own
	}
	return &storages{env: e, secrets: secrets, local: local, insecure: insecure, s3: s3}, nil
}

// connect is the Connect of channel.Destinations.
func (s *storages) connect(ctx context.Context, d channel.Destination) (channel.Objects, error) {
	return s.reach(ctx, d, func(ctx context.Context) (archive.S3Key, error) {
		secret, err := s.secrets.Get(ctx, d.Secret)
		if err != nil {
			return archive.S3Key{}, fmt.Errorf("credentials of S3: %w", err)
		}
		return archive.ParseS3Key(secret)
	})
}

// reach makes the client; nothing is asked of the server.
func (s *storages) reach(ctx context.Context, d channel.Destination, key func(context.Context) (archive.S3Key, error)) (channel.Objects, error) {
	switch d.Kind {
	case channel.KindGCS:
		return archive.New(context.WithoutCancel(ctx), d.Bucket, d.Folder, s.env.storage()...) // it outlives the call
	case channel.KindS3:
		if !s.insecure && strings.HasPrefix(strings.ToLower(d.Endpoint), "http:") {
			return nil, fmt.Errorf("%s: mail is not sent in clear text, the endpoint must be https", d.Endpoint)
		}
		return archive.NewS3(archive.S3Config{Endpoint: d.Endpoint, Region: d.Region, Bucket: d.Bucket, Folder: d.Folder, PathStyle: d.PathStyle, Key: key, Transport: s.s3})
	}
	return nil, fmt.Errorf("no destination is called %q", d.Kind)
}

// Probe tries a destination out, with credentials in place of its secret
// unless they are empty (ST-2). The error is an [*archive.ProbeError]; its step
// is "connect" when nothing could be asked of the server.
func (c *Clients) Probe(ctx context.Context, d channel.Destination, credentials string) error {
	to, err := c.storages.local, error(nil)
	switch {
	case d.Own():
	case credentials == "":
		to, err = c.storages.connect(ctx, d)
	default:
		to, err = c.storages.reach(ctx, d, func(context.Context) (archive.S3Key, error) { return archive.ParseS3Key(credentials) })
	}
	if err != nil {
		return &archive.ProbeError{Step: "connect", Err: err}
	}
	if own, ok := to.(io.Closer); ok && !d.Own() {
		defer own.Close()
	}
	return archive.Probe(ctx, to, channel.ProbeObject(c.storages.env.Now()))
}
