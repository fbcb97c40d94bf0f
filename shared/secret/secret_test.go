package secret_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/emulator/secrets"
	"emailchannel.dev/emailchannel/shared/secret"
)

// keeper is the contract of both implementations.
type keeper interface {
	Get(ctx context.Context, name string) (string, error)
	Put(ctx context.Context, name, value string) error
	Delete(ctx context.Context, name string) error
}

// connect serves a fake Secret Manager.
func connect(t *testing.T) []option.ClientOption {
	t.Helper()
	fake, err := secrets.Open(secrets.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	fake.Register(server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return []option.ClientOption{option.WithEndpoint(l.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials()))}
}

func manager(t *testing.T, opts ...option.ClientOption) *secret.Manager {
	t.Helper()
	m, err := secret.NewManager(context.Background(), "p", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestPutDestroysWhatWasBefore(t *testing.T) {
	opts := connect(t)
	m := manager(t, opts...)
	client, err := secretmanager.NewClient(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	states := func() (enabled, all int) {
		it := client.ListSecretVersions(t.Context(), &secretmanagerpb.ListSecretVersionsRequest{Parent: "projects/p/secrets/x"})
		for v, err := range it.All() {
			if err != nil {
				t.Fatal(err)
			}
			if all++; v.GetState() != secretmanagerpb.SecretVersion_DESTROYED {
				enabled++
			}
		}
		return enabled, all
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 5 {
				if err := m.Put(t.Context(), "x", fmt.Sprint(i, j)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if enabled, all := states(); enabled != 1 || all != 20 {
		t.Errorf("%d of %d versions can be read, want the newest of 20", enabled, all)
	}
	if _, err := m.Get(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	// What an interrupted Put left is gone with the next.
	for range 3 {
		if _, err := client.AddSecretVersion(t.Context(), &secretmanagerpb.AddSecretVersionRequest{Parent: "projects/p/secrets/x", Payload: &secretmanagerpb.SecretPayload{Data: []byte("left")}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Put(t.Context(), "x", "last"); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Get(t.Context(), "x"); err != nil || got != "last" {
		t.Errorf("%q, %v", got, err)
	}
	if enabled, _ := states(); enabled != 1 {
		t.Errorf("%d versions can be read", enabled)
	}
}

func file(t *testing.T, path string) *secret.File {
	t.Helper()
	f, err := secret.NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestConformance(t *testing.T) {
	for name, k := range map[string]keeper{
		"manager": manager(t, connect(t)...),
		"file":    file(t, filepath.Join(t.TempDir(), "secrets.json")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("life", func(t *testing.T) { life(t, k) })
			t.Run("refused", func(t *testing.T) { refused(t, k) })
			t.Run("concurrent", func(t *testing.T) { concurrent(t, k) })
		})
	}
}

func life(t *testing.T, k keeper) {
	ctx, name := t.Context(), "account-42_password"
	if _, err := k.Get(ctx, name); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("get before put: %v", err)
	}
	for _, value := range []string{"first", "second\n\x00\u00e9\"", "second\n\x00\u00e9\"", strings.Repeat("k", 64<<10)} {
		if err := k.Put(ctx, name, value); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Get(ctx, name); err != nil || got != value {
			t.Errorf("got %q, %v", got, err)
		}
	}
	for range 2 {
		if err := k.Delete(ctx, name); err != nil {
			t.Errorf("delete: %v", err)
		}
		if _, err := k.Get(ctx, name); !errors.Is(err, secret.ErrNotFound) {
			t.Errorf("get after delete: %v", err)
		}
	}
	if err := k.Put(ctx, name, "again"); err != nil {
		t.Errorf("put after delete: %v", err)
	}
}

func refused(t *testing.T, k keeper) {
	const value = "hunter2-hunter2"
	for _, name := range []string{"", "a/b", "../x", value + "!", strings.Repeat("n", 256)} {
		_, getErr := k.Get(t.Context(), name)
		for op, err := range map[string]error{"get": getErr, "put": k.Put(t.Context(), name, value), "delete": k.Delete(t.Context(), name)} {
			if !errors.Is(err, secret.ErrName) || strings.Contains(err.Error(), value) {
				t.Errorf("%s %q: %v", op, name, err)
			}
		}
	}
	large := strings.Repeat(value, 10000)
	for _, v := range []string{"", large} {
		if err := k.Put(t.Context(), "size", v); err == nil || strings.Contains(err.Error(), value) {
			t.Errorf("put of %d bytes: the error is missing or tells the value", len(v))
		}
	}
}

func concurrent(t *testing.T, k keeper) {
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d", "same", "same", "same"} {
		wg.Go(func() {
			for range 5 {
				if err := k.Put(t.Context(), name, "value of "+name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"a", "b", "c", "d", "same"} {
		if got, err := k.Get(t.Context(), name); err != nil || got != "value of "+name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestFileIsForItsOwnerAndLasts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secrets.json")
	if err := file(t, path).Put(t.Context(), "x", "value"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v", left, err)
	}
	if got, err := file(t, path).Get(t.Context(), "x"); err != nil || got != "value" {
		t.Errorf("after reopening: %q, %v", got, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.NewFile(path); err == nil {
		t.Error("a file that others can read was accepted")
	}
}

func TestDamagedFileIsNotQuoted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(path, []byte(`{"x": hunter2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.NewFile(path); err == nil || strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "'h'") {
		t.Errorf("%v", err)
	}
}
