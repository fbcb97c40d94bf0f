package storage_test

import (
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	gcs "cloud.google.com/go/storage"

	"emailchannel.dev/emailchannel/emulator/heap"
)

// BenchmarkWrite writes 8 KB objects, write-once, with the official client.
func BenchmarkWrite(b *testing.B) {
	bucket, _ := serve(b, open(b, b.TempDir()).Handler())
	data := string(make([]byte, 8000))
	var n atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			o := bucket.Object(fmt.Sprint("mail/", n.Add(1))).If(gcs.Conditions{DoesNotExist: true})
			if err := write(o, data, 0); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}

// BenchmarkRead reads one 8 KB object again and again.
func BenchmarkRead(b *testing.B) {
	bucket, _ := serve(b, open(b, b.TempDir()).Handler())
	if err := write(bucket.Object("x"), string(make([]byte, 8000)), 0); err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if got := read(b, bucket.Object("x")); len(got) != 8000 {
				b.Errorf("read %d bytes", len(got))
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}

// BenchmarkOpen loads ten thousand objects, as a restart does.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	bucket, _ := serve(b, open(b, dir).Handler())
	for i := range 10000 {
		if err := write(bucket.Object(fmt.Sprint("mail/", i)), "x", 0); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		open(b, dir)
	}
}

const large = 35 << 20

// TestLargeObjectIsStreamed holds client and server together to a heap far
// below the object's size, up and down.
func TestLargeObjectIsStreamed(t *testing.T) {
	bucket, _ := serve(t, open(t, t.TempDir()).Handler())
	const bound = 24 << 20
	peak := heap.Peak(func() {
		w := bucket.Object("large").NewWriter(t.Context())
		w.ChunkSize = 4 << 20
		if _, err := io.CopyN(w, zeros{}, large); err != nil {
			t.Error(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("upload: %d KiB of heap", peak>>10)
	if peak > bound {
		t.Errorf("upload took %d bytes of heap", peak)
	}
	peak = heap.Peak(func() {
		r, err := bucket.Object("large").NewReader(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Close()
		if n, err := io.Copy(io.Discard, r); n != large || err != nil {
			t.Errorf("downloaded %d bytes, %v", n, err)
		}
	})
	t.Logf("download: %d KiB of heap", peak>>10)
	if peak > bound {
		t.Errorf("download took %d bytes of heap", peak)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
