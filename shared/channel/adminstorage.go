package channel

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// AdminStorage keeps where mail is stored and for how long (ST-1, ST-2).
type AdminStorage struct {
	*Admin
	// Probe writes, reads and deletes an object in a destination, and returns
	// the failing step with the server's answer. credentials stand in for the
	// destination's secret unless they are empty.
	Probe func(ctx context.Context, d Destination, credentials string) error
}

// As is [Admin.As].
func (a *AdminStorage) As(who Actor) *AdminStorage { return &AdminStorage{a.Admin.As(who), a.Probe} }

// If is [Admin.If].
func (a *AdminStorage) If(p Precondition) *AdminStorage { return &AdminStorage{a.Admin.If(p), a.Probe} }

// Storage returns the settings of storage.
func (a *AdminStorage) Storage(ctx context.Context) (*Storage, error) {
	s, err := a.Settings(ctx)
	if err != nil {
		return nil, err
	}
	return &s.Storage, nil
}

// PutStorage saves where mail goes from now on, and the credentials unless
// they are empty. Which destinations were before is not the caller's: mail in
// them is found as before. Another period holds for all mail at the next sweep.
func (a *AdminStorage) PutStorage(ctx context.Context, s Storage, credentials string) (*Storage, error) {
	s, err := a.checkStorage(ctx, s, credentials)
	if err != nil {
		return nil, err
	}
	if err := a.only.check(ctx, a.Docs, thingID{Thing: ThingStorage}); err != nil { // the transaction does it again
		return nil, err
	}
	if credentials != "" { // first, so that no setting names a secret that is not there
		if err := a.Secrets.Put(ctx, s.Destination.Secret, credentials); err != nil {
			return nil, fmt.Errorf("store the credentials: %w", err)
		}
	}
	var saved Storage
	err = a.save(ctx, thingID{Thing: ThingStorage}, func(ctx context.Context, tx *edit, now time.Time) error {
		have, err := settings(ctx, tx)
		if err != nil {
			return err
		}
		before := have.Storage
		if saved, err = s.after(before); err != nil {
			return err
		}
		if credentials != "" {
			tx.secret(thingID{Thing: ThingStorage}, "credentials")
		}
		have.Storage = saved
		if credentials != "" || ThingStorage.differ(before, saved) {
			have.Version, have.UpdatedAt = have.Version+1, now
		}
		tx.Set(settingsPath, *have)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("save the storage: %w", err)
	}
	return &saved, nil
}

// TestStorage tries a destination out without saving anything. It returns
// [*Invalid] for bad fields and else what the probe found.
func (a *AdminStorage) TestStorage(ctx context.Context, s Storage, credentials string) error {
	s, err := a.checkStorage(ctx, s, credentials)
	if err != nil {
		return err
	}
	return a.Probe(ctx, s.Destination, credentials)
}

// checkStorage names every bad field, and what is wrong with the credentials.
func (a *Admin) checkStorage(ctx context.Context, s Storage, credentials string) (Storage, error) {
	s = s.named()
	var bad Invalid
	s.check(&bad)
	a.encrypted(&bad, "destination.endpoint", s.Destination.Endpoint)
	secret := s.Destination.Secret
	switch {
	case s.Destination.Kind != KindS3:
		if credentials != "" {
			bad.add("credentials", "are of S3 only")
		}
	case credentials != "":
		if !strings.HasPrefix(secret, storageSecrets) {
			bad.add("destination.secret", "credentials are only stored under a name that begins with %s", storageSecrets)
		}
		if len(credentials) > 2*maxSecret {
			bad.add("credentials", "must have at most %d bytes", 2*maxSecret)
		} else if !isS3Key(credentials) {
			bad.add("credentials", "must be JSON with access_key and secret_key")
		}
	case secretName.MatchString(secret):
		if _, err := a.Secrets.Get(ctx, secret); err != nil {
			bad.add("credentials", "missing, and the secret %s cannot be read: %v", secret, err)
		}
	}
	return s, bad.err()
}

func isS3Key(credentials string) bool {
	var k struct {
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	return json.Unmarshal([]byte(credentials), &k) == nil && k.AccessKey != "" && k.SecretKey != ""
}

// ProbeObject is a name for a probe that no other one uses.
func ProbeObject(now time.Time) string { return fmt.Sprintf("probe/%d", now.UnixNano()) }
