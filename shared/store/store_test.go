package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

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

// TestFindGoesOnBehindADocument holds that pages neither lose nor repeat one of
// the documents that their order leaves equal, in collections, groups, by
// equality alone and backwards.
func TestFindGoesOnBehindADocument(t *testing.T) {
	s := open(t)
	at := time.Date(2026, 3, 2, 9, 0, 0, 123456000, time.UTC)
	err := s.Write(t.Context(), func(tx channel.Tx) {
		for i := range 23 {
			at := at.Add(time.Duration(i/10) * time.Microsecond)
			tx.Set(fmt.Sprintf("teams/%02d", i), channel.Team{ID: "same", UpdatedAt: at})
			tx.Set(fmt.Sprintf("sessions/%d/history/%02d", i%3, i), channel.History{ID: fmt.Sprint(i), At: at})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]channel.Query{
		"by time":   {Collection: "teams", Where: []channel.Where{{Field: "updated_at", Op: ">=", Value: at}}, Order: []channel.Order{{Field: "updated_at"}}},
		"backwards": {Collection: "teams", Order: []channel.Order{{Field: "updated_at", Desc: true}}},
		"by name":   {Collection: "teams", Where: []channel.Where{{Field: "id", Op: "==", Value: "same"}}},
		"a group":   {Collection: "history", Group: true, Order: []channel.Order{{Field: "at"}}},
	} {
		var whole, paged []string
		read := func(q channel.Query, into *[]string) (last channel.Ref) {
			err := s.Find(t.Context(), q, func(_ string, decode func(any) error) error {
				last.Into = &struct{ ID string }{}
				if err := decode(&last); err != nil {
					return err
				}
				*into = append(*into, last.Path)
				return nil
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return last
		}
		read(q, &whole)
		q.Limit = 4
		for range 6 {
			q.After = read(q, &paged).Cursor
		}
		if len(whole) != 23 || !slices.Equal(whole, paged) {
			t.Errorf("%s: %v, page by page %v", name, whole, paged)
		}
	}
}

// A document that a query has found is known by its version.
func TestFindTellsTheVersion(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	if err := s.Write(ctx, func(tx channel.Tx) { tx.Set("teams/a", channel.Team{ID: "a"}) }); err != nil {
		t.Fatal(err)
	}
	var a channel.Team
	ref := channel.Ref{Into: &a}
	err := s.Find(ctx, channel.Query{Collection: "teams"}, func(_ string, decode func(any) error) error { return decode(&ref) })
	if err != nil || !ref.Found || ref.Path != "teams/a" || a.ID != "a" {
		t.Fatalf("%+v, %+v, %v", ref, a, err)
	}
	rename := func() error {
		return s.Write(ctx, func(tx channel.Tx) { tx.PatchAt(ref.Path, ref.Version, map[string]any{"name": "A"}) })
	}
	if err := rename(); err != nil {
		t.Errorf("the version that was found: %v", err)
	}
	if err := rename(); !errors.Is(err, channel.ErrChanged) {
		t.Errorf("a version that is past: %v", err)
	}
}
