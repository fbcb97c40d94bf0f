// Package archivetest is what every archive has to satisfy, whatever it stores
// on. An implementation's test calls Run.
package archivetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Archive is the contract.
type Archive interface {
	Put(ctx context.Context, name, contentType string, r io.Reader) error
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	Delete(ctx context.Context, name string) error
	List(ctx context.Context, prefix string, each func(name string, size int64) error) error
}

// Run checks an empty archive. notFound is the error of Open for a missing name.
func Run(t *testing.T, a Archive, notFound error) {
	t.Run("round trip", func(t *testing.T) { roundTrip(t, a) })
	t.Run("write once", func(t *testing.T) { writeOnce(t, a) })
	t.Run("racing writers", func(t *testing.T) { racing(t, a) })
	t.Run("failing reader", func(t *testing.T) { failingReader(t, a, notFound) })
	t.Run("missing and deleted", func(t *testing.T) { missing(t, a, notFound) })
	t.Run("list", func(t *testing.T) { list(t, a) })
}

// sizes around an implementation's likely limits between its ways to upload.
var sizes = []int{0, 1, 8000, 256 << 10, 256<<10 + 1, 4 << 20, 9 << 20}

func roundTrip(t *testing.T, a Archive) {
	for _, size := range sizes {
		name := fmt.Sprintf("round/é %d?#.eml", size)
		data := bytes.Repeat([]byte("0123456789abcd\r\n"), size/16+1)[:size]
		if err := a.Put(t.Context(), name, "message/rfc822", bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		if got := content(t, a, name); !bytes.Equal(got, data) {
			t.Errorf("%s: got %d bytes", name, len(got))
		}
	}
}

func writeOnce(t *testing.T, a Archive) {
	for _, first := range []string{"", "first", strings.Repeat("first", 200<<10)} {
		for _, second := range []string{"second", strings.Repeat("second", 200<<10)} {
			name := fmt.Sprintf("once/%d-%d", len(first), len(second))
			for _, data := range []string{first, second} {
				if err := a.Put(t.Context(), name, "text/plain", strings.NewReader(data)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if got := content(t, a, name); string(got) != first {
				t.Errorf("%s: the second write changed the object", name)
			}
		}
	}
}

func racing(t *testing.T, a Archive) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			data := strings.Repeat(fmt.Sprintf("%04d", i), 80<<10)
			if err := a.Put(t.Context(), "race", "text/plain", strings.NewReader(data)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := string(content(t, a, "race"))
	if got != strings.Repeat(got[:4], 80<<10) {
		t.Error("the object mixes two writers")
	}
}

var errSource = errors.New("the source broke off")

func failingReader(t *testing.T, a Archive, notFound error) {
	for _, size := range sizes {
		name := fmt.Sprintf("broken/%d", size)
		source := io.MultiReader(bytes.NewReader(make([]byte, size)), broken{})
		if err := a.Put(t.Context(), name, "text/plain", source); !errors.Is(err, errSource) {
			t.Errorf("%s: put: %v", name, err)
		}
		if _, err := a.Open(t.Context(), name); !errors.Is(err, notFound) {
			t.Errorf("%s is there after a broken put: %v", name, err)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errSource }

func missing(t *testing.T, a Archive, notFound error) {
	if _, err := a.Open(t.Context(), "gone"); !errors.Is(err, notFound) {
		t.Errorf("open: %v", err)
	}
	if err := a.Put(t.Context(), "gone", "text/plain", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := a.Delete(t.Context(), "gone"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if _, err := a.Open(t.Context(), "gone"); !errors.Is(err, notFound) {
		t.Errorf("open after delete: %v", err)
	}
}

func list(t *testing.T, a Archive) {
	want := []string{"list/a=1", "list/a/b=3", "list/c=0"}
	for _, item := range []string{"list/c=0", "list/a/b=3", "list/a=1", "lisp=2", "list0=2"} {
		name, size, _ := strings.Cut(item, "=")
		data := strings.Repeat("x", int(size[0]-'0'))
		if err := a.Put(t.Context(), name, "text/plain", strings.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := a.List(t.Context(), "list/", func(name string, size int64) error {
		got = append(got, fmt.Sprintf("%s=%d", name, size))
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	stop := errors.New("stop")
	calls := 0
	err = a.List(t.Context(), "list/", func(string, int64) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%d calls after the first refused, %v", calls, err)
	}
}

func content(t *testing.T, a Archive, name string) []byte {
	t.Helper()
	r, err := a.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}
