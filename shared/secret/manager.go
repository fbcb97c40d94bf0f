// Package secret keeps passwords and tokens by name: in Secret Manager, or for
// local use in one file that only its owner can read.
//
// A value is never part of an error or a log; the documents of the channel hold
// names only. Get gives the newest value. Put is done when it returns nil: a
// rotated refresh token that was put is not lost with the process. Old versions
// stay in Secret Manager, where the cloud's own rules may destroy them.
//
// A name has 1 to 255 letters, digits, hyphens and underscores, which is what
// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/create
// allows; others are refused, never rewritten, so that two names cannot meet.
package secret

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	// ErrNotFound means that there is no secret of that name, or none with a value.
	ErrNotFound = errors.New("secret not found")
	// ErrName means that the name is not one that a secret can have.
	ErrName = errors.New("not the name of a secret")
)

var validName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Manager keeps secrets in a project's Secret Manager. It is safe for
// concurrent use; Put at the same time leaves either value as the newest.
type Manager struct {
	client  *secretmanager.Client
	project string
}

// NewManager connects to a project's Secret Manager.
func NewManager(ctx context.Context, project string, opts ...option.ClientOption) (*Manager, error) {
	client, err := secretmanager.NewClient(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("secret: connect to Secret Manager: %w", err)
	}
	return &Manager{client: client, project: project}, nil
}

// Close ends the connections.
func (m *Manager) Close() error { return m.client.Close() }

// Get reads the newest version. The errors are ErrName, ErrNotFound and the
// service's own.
func (m *Manager) Get(ctx context.Context, name string) (string, error) {
	path, err := m.path(name)
	if err != nil {
		return "", err
	}
	res, err := m.client.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: path + "/versions/latest"})
	if err != nil {
		return "", translate("get", name, err)
	}
	p := res.GetPayload()
	if p.DataCrc32C != nil && p.GetDataCrc32C() != checksum(p.GetData()) {
		return "", fmt.Errorf("secret: get %s: the value was damaged on its way", name)
	}
	return string(p.GetData()), nil
}

// Put adds a version; it creates the secret where there is none. The service
// refuses an empty value and one of more than 64 KiB.
func (m *Manager) Put(ctx context.Context, name, value string) error {
	path, err := m.path(name)
	if err != nil {
		return err
	}
	err = m.add(ctx, path, value)
	if status.Code(err) == codes.NotFound {
		if err := m.create(ctx, name); err != nil {
			return err
		}
		err = m.add(ctx, path, value)
	}
	return translate("put", name, err)
}

func (m *Manager) add(ctx context.Context, path, value string) error {
	data := []byte(value)
	crc := checksum(data)
	_, err := m.client.AddSecretVersion(ctx, &secretmanagerpb.AddSecretVersionRequest{
		Parent: path, Payload: &secretmanagerpb.SecretPayload{Data: data, DataCrc32C: &crc},
	})
	return err
}

// create makes an empty secret; that another did so meanwhile is fine.
func (m *Manager) create(ctx context.Context, name string) error {
	_, err := m.client.CreateSecret(ctx, &secretmanagerpb.CreateSecretRequest{
		Parent: "projects/" + m.project, SecretId: name,
		Secret: &secretmanagerpb.Secret{Replication: &secretmanagerpb.Replication{
			Replication: &secretmanagerpb.Replication_Automatic_{Automatic: &secretmanagerpb.Replication_Automatic{}},
		}},
	})
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return translate("create", name, err)
}

// Delete removes a secret with all its versions; a missing one is fine.
func (m *Manager) Delete(ctx context.Context, name string) error {
	path, err := m.path(name)
	if err != nil {
		return err
	}
	err = m.client.DeleteSecret(ctx, &secretmanagerpb.DeleteSecretRequest{Name: path})
	if status.Code(err) == codes.NotFound {
		return nil
	}
	return translate("delete", name, err)
}

func (m *Manager) path(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	return fmt.Sprintf("projects/%s/secrets/%s", m.project, name), nil
}

// checkName keeps the refused name out of the error: somebody may have entered
// the password where its name belongs.
func checkName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("secret: %w: 1 to 255 letters, digits, hyphens, underscores", ErrName)
	}
	return nil
}

func checksum(data []byte) int64 { return int64(crc32.Checksum(data, castagnoli)) }

func translate(op, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case status.Code(err) == codes.NotFound:
		return fmt.Errorf("secret: %s %s: %w", op, name, ErrNotFound)
	}
	return fmt.Errorf("secret: %s %s: %w", op, name, err)
}
