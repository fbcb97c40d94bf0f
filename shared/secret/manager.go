// Package secret keeps passwords and tokens by name: in Secret Manager, or for
// local use in one file that only its owner can read.
//
// A value is never part of an error or a log; the documents of the channel hold
// names only. Get gives the newest value. Put is done when it returns nil: a
// rotated refresh token that was put is not lost with the process. It destroys
// the versions before its own: Get reads the newest only, and an old password
// that still can be read is a risk that nobody sees.
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
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	// ErrNotFound means that there is no secret of that name, or none with a value.
	// It is an [fs.ErrNotExist], which the use cases know.
	ErrNotFound = fmt.Errorf("secret not found: %w", fs.ErrNotExist)
	// ErrName means that the name is not one that a secret can have.
	ErrName = errors.New("not the name of a secret")
)

var validName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Manager keeps secrets in a project's Secret Manager. It is safe for
// concurrent use; Put at the same time leaves either value as the only one.
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

// Put adds a version and destroys those before it; it creates the secret where
// there is none. The service refuses an empty value and one of more than 64
// KiB. After an error the value may be stored; Put may be repeated, and then
// destroys what an earlier one left.
func (m *Manager) Put(ctx context.Context, name, value string) error {
	path, err := m.path(name)
	if err != nil {
		return err
	}
	version, err := m.add(ctx, path, value)
	if status.Code(err) == codes.NotFound {
		if err := m.create(ctx, name); err != nil {
			return err
		}
		version, err = m.add(ctx, path, value)
	}
	if err != nil {
		return translate("put", name, err)
	}
	if n := number(version); n > 1 {
		return translate("destroy old versions of", name, m.destroy(ctx, path, n))
	}
	return nil
}

// add returns the name of the version that it made.
func (m *Manager) add(ctx context.Context, path, value string) (string, error) {
	data := []byte(value)
	crc := checksum(data)
	v, err := m.client.AddSecretVersion(ctx, &secretmanagerpb.AddSecretVersionRequest{
		Parent: path, Payload: &secretmanagerpb.SecretPayload{Data: data, DataCrc32C: &crc},
	})
	return v.GetName(), err
}

// versionsSeen is how many versions, the newest first, destroy looks at.
// Destroyed ones stay listed for ever, and each Put destroys what is before it.
const versionsSeen = 100

// destroy ends the versions below a number: those that another Put adds at the
// same time have higher ones.
func (m *Manager) destroy(ctx context.Context, path string, below int) error {
	it := m.client.ListSecretVersions(ctx, &secretmanagerpb.ListSecretVersionsRequest{Parent: path, PageSize: versionsSeen})
	for range versionsSeen {
		v, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return err
		}
		if v.GetState() == secretmanagerpb.SecretVersion_DESTROYED || number(v.GetName()) >= below {
			continue
		}
		_, err = m.client.DestroySecretVersion(ctx, &secretmanagerpb.DestroySecretVersionRequest{Name: v.GetName()})
		if err != nil && status.Code(err) != codes.FailedPrecondition { // another destroyed it
			return err
		}
	}
	return nil
}

// number is the N of projects/P/secrets/S/versions/N.
func number(version string) int {
	n, _ := strconv.Atoi(version[strings.LastIndexByte(version, '/')+1:]) // the service names them; 0 is none
	return n
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
