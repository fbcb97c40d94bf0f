package archive_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/api/option"

	"emailchannel.dev/emailchannel/emulator/heap"
	"emailchannel.dev/emailchannel/emulator/storage"
	"emailchannel.dev/emailchannel/shared/archive"
	"emailchannel.dev/emailchannel/shared/archive/archivetest"
)

func server(t testing.TB) *storage.Server {
	s, err := storage.Open(storage.Options{Buckets: []string{"mail"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func connect(t testing.TB, h http.Handler, bucket, prefix string) *archive.GCS {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	a, err := archive.New(context.Background(), bucket, prefix, option.WithEndpoint(ts.URL+"/storage/v1/"), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func TestConformance(t *testing.T) {
	for _, prefix := range []string{"", "folder/path/"} {
		t.Run("prefix="+prefix, func(t *testing.T) {
			archivetest.Run(t, connect(t, server(t).Handler(), "mail", prefix), archive.ErrNotFound)
		})
	}
}

func TestPrefixIsAFolder(t *testing.T) {
	s := server(t)
	if err := connect(t, s.Handler(), "mail", "/a/b/").Put(t.Context(), "x", "text/plain", strings.NewReader("1")); err != nil {
		t.Fatal(err)
	}
	r, err := connect(t, s.Handler(), "mail", "").Open(t.Context(), "a/b/x")
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

// A server that fails now and then, before or after it did the work, is no
// reason to lose a mail or to fail.
func TestPutAndDeleteSurviveServerErrors(t *testing.T) {
	for _, carriedOut := range []bool{false, true} {
		s := server(t)
		var n atomic.Int64
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet && n.Add(1)%2 == 1 {
				if carriedOut {
					s.Handler().ServeHTTP(httptest.NewRecorder(), r)
				}
				// Read to the end: the client library fills its buffer with the next
				// chunk while the transport still sends the refused one, which does
				// no harm and which the race detector reports.
				io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			s.Handler().ServeHTTP(w, r)
		})
		a := connect(t, h, "mail", "")
		for _, data := range []string{"small", strings.Repeat("0123456789", 1<<20)} {
			if err := a.Put(t.Context(), "x", "text/plain", strings.NewReader(data)); err != nil {
				t.Fatalf("put, carried out %v: %v", carriedOut, err)
			}
			r, err := a.Open(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			r.Close()
			if err != nil || string(got) != data {
				t.Errorf("read %d of %d bytes, %v", len(got), len(data), err)
			}
			if err := a.Delete(t.Context(), "x"); err != nil {
				t.Errorf("delete: %v", err)
			}
		}
	}
}

func TestFailuresAreTold(t *testing.T) {
	a := connect(t, server(t).Handler(), "absent", "")
	for _, data := range []string{"small", strings.Repeat("x", 300<<10)} {
		err := a.Put(t.Context(), "x", "text/plain", strings.NewReader(data))
		if err == nil || !strings.Contains(err.Error(), "bucket does not exist") {
			t.Errorf("put into a bucket that does not exist: %v", err)
		}
	}
	if err := a.List(t.Context(), "", func(string, int64) error { return nil }); err == nil {
		t.Error("list of a bucket that does not exist succeeded")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := connect(t, server(t).Handler(), "mail", "").Put(ctx, "x", "text/plain", strings.NewReader("x")); err == nil {
		t.Error("put with a cancelled context succeeded")
	}
}

// The bound is for client and server together: they share this process.
func TestLargeMailIsStreamed(t *testing.T) {
	a := connect(t, server(t).Handler(), "mail", "")
	const size, bound = 35 << 20, 16 << 20
	up := heap.Peak(func() {
		if err := a.Put(t.Context(), "large", "message/rfc822", io.LimitReader(zeros{}, size)); err != nil {
			t.Error(err)
		}
	})
	down := heap.Peak(func() {
		r, err := a.Open(t.Context(), "large")
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Close()
		if n, err := io.Copy(io.Discard, r); n != size || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
	t.Logf("heap: %d KiB up, %d KiB down", up>>10, down>>10)
	if up > bound || down > bound {
		t.Errorf("heap of %d bytes up, %d down", up, down)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// BenchmarkPut stores mails of 8 KB.
func BenchmarkPut(b *testing.B) {
	a := connect(b, server(b).Handler(), "mail", "")
	data := strings.Repeat("x", 8000)
	var n atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			name := time.Duration(n.Add(1)).String()
			if err := a.Put(context.Background(), name, "message/rfc822", strings.NewReader(data)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}
