package secrets

import (
	"bytes"
	"context"
	"encoding/base64"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	client "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"emailchannel.dev/emailchannel/emulator/grpctest"
)

const (
	parent = "projects/p"
	imap   = parent + "/secrets/imap"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) (*Server, *client.Client) {
	t.Helper()
	s, err := Open(Options{Dir: dir, Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewClient(context.Background(), option.WithGRPCConn(grpctest.Dial(t, s.Register)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, c
}

func create(t *testing.T, c *client.Client, id string) *pb.Secret {
	t.Helper()
	s, err := c.CreateSecret(t.Context(), &pb.CreateSecretRequest{Parent: parent, SecretId: id, Secret: &pb.Secret{
		Replication: &pb.Replication{Replication: &pb.Replication_Automatic_{Automatic: &pb.Replication_Automatic{}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func add(t *testing.T, c *client.Client, data string) *pb.SecretVersion {
	t.Helper()
	v, err := c.AddSecretVersion(t.Context(), &pb.AddSecretVersionRequest{Parent: imap, Payload: &pb.SecretPayload{Data: []byte(data)}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func access(c *client.Client, version string) (string, error) {
	resp, err := c.AccessSecretVersion(context.Background(), &pb.AccessSecretVersionRequest{Name: imap + "/versions/" + version})
	return string(resp.GetPayload().GetData()), err
}

func wantCode(t *testing.T, what string, err error, code codes.Code) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("%s: %v, want %v", what, err, code)
	}
}

func TestVersions(t *testing.T) {
	_, c := open(t, "")
	ctx := t.Context()
	if s := create(t, c, "imap"); s.Name != imap || !s.CreateTime.AsTime().Equal(start) {
		t.Errorf("CreateSecret = %v", s)
	}
	_, err := access(c, "latest")
	wantCode(t, "latest of an empty secret", err, codes.NotFound)
	first, second := add(t, c, "one"), add(t, c, "two")
	if first.Name != imap+"/versions/1" || second.State != pb.SecretVersion_ENABLED {
		t.Errorf("added %v, %v", first, second)
	}
	for id, want := range map[string]string{"1": "one", "2": "two", "latest": "two"} {
		if got, err := access(c, id); got != want || err != nil {
			t.Errorf("access %s = %q, %v", id, got, err)
		}
	}
	_, err = access(c, "3")
	wantCode(t, "version 3", err, codes.NotFound)
	_, err = access(c, "01")
	wantCode(t, "version 01", err, codes.NotFound)

	disabled, err := c.DisableSecretVersion(ctx, &pb.DisableSecretVersionRequest{Name: second.Name, Etag: second.Etag})
	if err != nil || disabled.State != pb.SecretVersion_DISABLED {
		t.Errorf("DisableSecretVersion = %v, %v", disabled, err)
	}
	_, err = access(c, "latest") // the cloud does not fall back to version 1
	wantCode(t, "disabled version", err, codes.FailedPrecondition)
	_, err = c.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: second.Name, Etag: second.Etag})
	wantCode(t, "old etag", err, codes.FailedPrecondition)
	if _, err = c.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: second.Name}); err != nil {
		t.Error(err)
	}
	if got, err := access(c, "latest"); got != "two" || err != nil {
		t.Errorf("enabled again: %q, %v", got, err)
	}
	gone, err := c.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: first.Name})
	if err != nil || gone.State != pb.SecretVersion_DESTROYED || gone.DestroyTime == nil {
		t.Errorf("DestroySecretVersion = %v, %v", gone, err)
	}
	_, err = access(c, "1")
	wantCode(t, "destroyed version", err, codes.FailedPrecondition)
	_, err = c.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: first.Name})
	wantCode(t, "enabling a destroyed version", err, codes.FailedPrecondition)
}

func TestChecksum(t *testing.T) {
	_, c := open(t, "")
	create(t, c, "imap")
	data := []byte("s3cret")
	sum := int64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	v, err := c.AddSecretVersion(t.Context(), &pb.AddSecretVersionRequest{Parent: imap, Payload: &pb.SecretPayload{Data: data, DataCrc32C: &sum}})
	if err != nil || !v.ClientSpecifiedPayloadChecksum {
		t.Errorf("with the right checksum: %v, %v", v, err)
	}
	_, err = c.AddSecretVersion(t.Context(), &pb.AddSecretVersionRequest{Parent: imap, Payload: &pb.SecretPayload{Data: data, DataCrc32C: proto.Int64(sum + 1)}})
	wantCode(t, "wrong checksum", err, codes.InvalidArgument)
	resp, err := c.AccessSecretVersion(t.Context(), &pb.AccessSecretVersionRequest{Name: imap + "/versions/latest"})
	if err != nil || resp.Payload.GetDataCrc32C() != sum || resp.Name != imap+"/versions/1" {
		t.Errorf("AccessSecretVersion = %v, %v", resp.GetName(), err)
	}
	for what, data := range map[string][]byte{"empty": nil, "too long": make([]byte, maxPayload+1)} {
		_, err = c.AddSecretVersion(t.Context(), &pb.AddSecretVersionRequest{Parent: imap, Payload: &pb.SecretPayload{Data: data}})
		wantCode(t, what, err, codes.InvalidArgument)
	}
}

func TestSecrets(t *testing.T) {
	_, c := open(t, "")
	ctx := t.Context()
	for _, id := range []string{"c", "a", "imap", "b"} {
		create(t, c, id)
	}
	_, err := c.CreateSecret(ctx, &pb.CreateSecretRequest{Parent: parent, SecretId: "a", Secret: &pb.Secret{
		Replication: &pb.Replication{Replication: &pb.Replication_Automatic_{}},
	}})
	wantCode(t, "second CreateSecret", err, codes.AlreadyExists)
	_, err = c.CreateSecret(ctx, &pb.CreateSecretRequest{Parent: parent, SecretId: "a/b", Secret: &pb.Secret{}})
	wantCode(t, "bad ID", err, codes.InvalidArgument)
	_, err = c.CreateSecret(ctx, &pb.CreateSecretRequest{Parent: parent, SecretId: "x", Secret: &pb.Secret{}})
	wantCode(t, "no replication", err, codes.InvalidArgument)

	var names []string
	list := c.ListSecrets(ctx, &pb.ListSecretsRequest{Parent: parent, PageSize: 3})
	for s, err := list.Next(); err == nil; s, err = list.Next() {
		names = append(names, strings.TrimPrefix(s.Name, parent+"/secrets/"))
	}
	if want := []string{"a", "b", "c", "imap"}; !slices.Equal(names, want) {
		t.Errorf("ListSecrets = %v, want %v", names, want)
	}
	for range 12 {
		add(t, c, "x")
	}
	names = nil
	versions := c.ListSecretVersions(ctx, &pb.ListSecretVersionsRequest{Parent: imap, PageSize: 5})
	for v, err := versions.Next(); err == nil; v, err = versions.Next() {
		names = append(names, strings.TrimPrefix(v.Name, imap+"/versions/"))
	}
	if want := []string{"12", "11", "10", "9", "8", "7", "6", "5", "4", "3", "2", "1"}; !slices.Equal(names, want) {
		t.Errorf("ListSecretVersions = %v, want %v", names, want)
	}
	s, err := c.UpdateSecret(ctx, &pb.UpdateSecretRequest{
		Secret: &pb.Secret{Name: imap, Labels: map[string]string{"a": "b"}}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"labels"}},
	})
	if err != nil || s.Labels["a"] != "b" {
		t.Errorf("UpdateSecret = %v, %v", s, err)
	}
	if err := c.DeleteSecret(ctx, &pb.DeleteSecretRequest{Name: imap}); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetSecret(ctx, &pb.GetSecretRequest{Name: imap})
	wantCode(t, "GetSecret of a deleted secret", err, codes.NotFound)
	_, err = access(c, "1")
	wantCode(t, "version of a deleted secret", err, codes.NotFound)
}

func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	s, c := open(t, dir)
	create(t, c, "imap")
	kept, destroyed := []byte("kept \x00\xff"), "destroyed-payload"
	add(t, c, string(kept))
	v := add(t, c, destroyed)
	if _, err := c.DestroySecretVersion(t.Context(), &pb.DestroySecretVersionRequest{Name: v.Name}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "secrets.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file mode %v, %v", info.Mode(), err)
	}
	data, err := os.ReadFile(path)
	if err != nil || bytes.Contains(data, []byte(base64.StdEncoding.EncodeToString([]byte(destroyed)))) {
		t.Errorf("a destroyed payload is still in the file (%v)", err)
	}
	_, c = open(t, dir)
	if got, err := access(c, "1"); got != string(kept) || err != nil {
		t.Errorf("after the restart: %q, %v", got, err)
	}
	_, err = access(c, "latest")
	wantCode(t, "destroyed version", err, codes.FailedPrecondition)
	if v := add(t, c, "three"); v.Name != imap+"/versions/3" {
		t.Errorf("added %s", v.Name)
	}
}

func TestDamagedFileIsRefusedWithoutItsContent(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secrets.json"), []byte(`{"x": s3cret`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Options{Dir: dir, Now: time.Now})
	if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "'s'") {
		t.Errorf("Open = %v", err)
	}
}

func TestFailedSaveChangesNothing(t *testing.T) {
	dir := t.TempDir()
	_, c := open(t, dir)
	create(t, c, "imap")
	add(t, c, "one")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := c.AddSecretVersion(ctx, &pb.AddSecretVersionRequest{Parent: imap, Payload: &pb.SecretPayload{Data: []byte("two")}}); err == nil {
		t.Error("a version that was not saved was answered")
	}
	if got, err := access(c, "latest"); got != "one" || err != nil {
		t.Errorf("latest = %q, %v", got, err)
	}
}
