package config

import (
	"context"
	"errors"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/archive"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/mailbox"
)

// Customers name the endpoints of S3: our own network is not for them, nor is
// clear text for mail. The emulator has both.
func TestStorageStaysOutsideOurNetwork(t *testing.T) {
	emulator := map[string]string{"ALLOW_INSECURE_MAIL": "true"}
	for name, test := range map[string]struct {
		vars           map[string]string
		endpoint, step string
		forbidden      bool
		told           string
	}{
		"a private address": {nil, "https://127.0.0.1:1", "write", true, "127.0.0.1"},
		"clear text":        {nil, "http://s3.example.com", "connect", false, "clear text"},
		"in the emulator":   {emulator, "http://127.0.0.1:1", "write", false, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the library tries for some seconds
			s, err := env(test.vars).storages(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			d := channel.Destination{Kind: channel.KindS3, Endpoint: test.endpoint, Region: "x", Bucket: "mail", PathStyle: true}
			err = (&Clients{storages: s}).Probe(t.Context(), d, `{"access_key":"a","secret_key":"b"}`)
			var failed *archive.ProbeError
			if !errors.As(err, &failed) || failed.Step != test.step || errors.Is(err, mailbox.ErrForbiddenHost) != test.forbidden || !strings.Contains(err.Error(), test.told) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A destination whose secret is missing is told when it is used, by the
// secret's name.
func TestDestinationsWithoutCredentials(t *testing.T) {
	s, err := env(nil).storages(noSecrets{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	to, err := s.connect(t.Context(), channel.Destination{Kind: channel.KindS3, Region: "x", Bucket: "mail", Secret: "storage-x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Delete(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "no secret storage-x") {
		t.Errorf("%v", err)
	}
	if _, err := s.connect(t.Context(), channel.Destination{Kind: "ftp"}); err == nil || !strings.Contains(err.Error(), "ftp") {
		t.Errorf("%v", err)
	}
}

type noSecrets struct{ channel.Secrets }

func (noSecrets) Get(_ context.Context, name string) (string, error) {
	return "", errors.New("no secret " + name)
}
