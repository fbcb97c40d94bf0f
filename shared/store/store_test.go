package store

import (
	"context"
	"errors"
	"net"
	"testing"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"emailchannel.dev/emailchannel/emulator/firestore"
	"emailchannel.dev/emailchannel/shared/channel"
)

func open(t *testing.T) *Store {
	t.Helper()
	srv, err := firestore.Open(firestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	srv.Register(g)
	go g.Serve(ln)
	t.Cleanup(func() { g.Stop(); srv.Close() })
	s, err := Open(t.Context(), "demo", "", option.WithEndpoint(ln.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())), option.WithTelemetryDisabled())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestFailuresHaveNames holds the two ways to write against the errors that
// the use cases tell apart.
func TestFailuresHaveNames(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	write := func(f func(channel.Tx)) error { return s.Write(ctx, f) }
	if err := write(func(tx channel.Tx) { tx.Set("teams/a", channel.Team{ID: "a"}) }); err != nil {
		t.Fatal(err)
	}
	var a channel.Team
	ref := channel.Ref{Path: "teams/a", Into: &a}
	if err := s.Get(ctx, &ref); err != nil || !ref.Found {
		t.Fatalf("%+v, %v", ref, err)
	}
	if err := write(func(tx channel.Tx) { tx.Patch("teams/a", map[string]any{"name": "A"}) }); err != nil {
		t.Fatal(err)
	}
	update := func(f func(channel.Tx)) error {
		return s.Update(ctx, func(_ context.Context, tx channel.Tx) error { f(tx); return nil })
	}
	for name, do := range map[string]func(func(channel.Tx)) error{"write": write, "update": update} {
		for _, x := range []struct {
			want error
			f    func(channel.Tx)
		}{
			{channel.ErrExists, func(tx channel.Tx) { tx.Create("teams/a", channel.Team{}) }},
			{channel.ErrMissing, func(tx channel.Tx) { tx.Patch("teams/b", map[string]any{"name": "B"}) }},
			{channel.ErrChanged, func(tx channel.Tx) { tx.PatchAt("teams/a", ref.Version, map[string]any{"name": "C"}) }},
		} {
			if err := do(x.f); !errors.Is(err, x.want) {
				t.Errorf("%s: %v, want %v", name, err, x.want)
			}
		}
	}
	if err := s.Update(ctx, func(ctx context.Context, tx channel.Tx) error {
		return tx.Find(ctx, channel.Query{Collection: "teams", Order: []channel.Order{{Field: "name"}, {Field: "id", Desc: true}}}, func(string, func(any) error) error { return nil })
	}); errors.Is(err, channel.ErrChanged) {
		t.Errorf("a query without its index: %v", err)
	}
}
