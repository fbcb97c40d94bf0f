package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gcs "cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"emailchannel.dev/emailchannel/emulator/storage"
)

const bucketName = "archive"

func open(t testing.TB, dir string) *storage.Server {
	t.Helper()
	s, err := storage.Open(storage.Options{Dir: dir, Buckets: []string{bucketName}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func serve(t testing.TB, h http.Handler, opts ...option.ClientOption) (*gcs.BucketHandle, string) {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	opts = append([]option.ClientOption{option.WithEndpoint(ts.URL + "/storage/v1/"), option.WithoutAuthentication()}, opts...)
	c, err := gcs.NewClient(context.Background(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.Bucket(bucketName), ts.URL
}

func write(o *gcs.ObjectHandle, data string, chunk int) error {
	w := o.NewWriter(context.Background())
	w.ChunkSize = chunk
	w.ContentType = "message/rfc822"
	if _, err := io.WriteString(w, data); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}

func read(t testing.TB, o *gcs.ObjectHandle) string {
	t.Helper()
	r, err := o.NewReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func statusOf(err error) int {
	var e *googleapi.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// Names that a file system or a path router would get wrong.
var oddNames = []string{
	"a", "a/b", "a/b/", "a//b", "../../etc/passwd", "./x", "raw/é ü?&=%2F#+.eml", strings.Repeat("n", 1024), "o", "b/o/o",
}

func TestNamesSurviveBothReadAPIs(t *testing.T) {
	s := open(t, "")
	xml, _ := serve(t, s.Handler())
	json, _ := serve(t, s.Handler(), gcs.WithJSONReads())
	for _, name := range oddNames {
		if err := write(xml.Object(name), "content of "+name, 0); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
	}
	for _, name := range oddNames {
		for api, b := range map[string]*gcs.BucketHandle{"xml": xml, "json": json} {
			if got := read(t, b.Object(name)); got != "content of "+name {
				t.Errorf("%s %q: got %q", api, name, got)
			}
		}
		attrs, err := xml.Object(name).Attrs(t.Context())
		if err != nil || attrs.Name != name || attrs.ContentType != "message/rfc822" {
			t.Errorf("attributes of %q: %+v, %v", name, attrs, err)
		}
	}
}

func TestUploadKinds(t *testing.T) {
	b, _ := serve(t, open(t, "").Handler())
	for _, size := range []int{0, 1, 256 << 10, 256<<10 + 1, 3 << 20} {
		for _, chunk := range []int{0, 256 << 10, 1 << 20} {
			name := fmt.Sprintf("%d-%d", size, chunk)
			data := strings.Repeat("0123456789abcde\n", size/16+1)[:size]
			if err := write(b.Object(name), data, chunk); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := read(t, b.Object(name)); got != data {
				t.Errorf("%s: read %d bytes, want %d", name, len(got), len(data))
			}
		}
	}
}

func TestRanges(t *testing.T) {
	b, _ := serve(t, open(t, "").Handler())
	if err := write(b.Object("x"), "0123456789", 0); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		offset, length int64
		want           string
	}{{0, -1, "0123456789"}, {3, 4, "3456"}, {8, 100, "89"}, {-3, -1, "789"}, {9, -1, "9"}} {
		r, err := b.Object("x").NewRangeReader(t.Context(), tc.offset, tc.length)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != tc.want || r.Attrs.Size != 10 {
			t.Errorf("range %d+%d: %q of %d, %v; want %q", tc.offset, tc.length, got, r.Attrs.Size, err, tc.want)
		}
	}
	if _, err := b.Object("x").NewRangeReader(t.Context(), 10, -1); statusOf(err) != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("range after the end: %v", err)
	}
}

func TestPreconditions(t *testing.T) {
	b, _ := serve(t, open(t, "").Handler())
	o := b.Object("x")
	if err := write(o.If(gcs.Conditions{GenerationMatch: 5}), "?", 0); statusOf(err) != http.StatusPreconditionFailed {
		t.Errorf("generation of an absent object: %v", err)
	}
	for _, chunk := range []int{0, 256 << 10} {
		name := b.Object(fmt.Sprint("once", chunk))
		data := strings.Repeat("x", 600<<10)
		if err := write(name.If(gcs.Conditions{DoesNotExist: true}), data, chunk); err != nil {
			t.Fatal(err)
		}
		if err := write(name.If(gcs.Conditions{DoesNotExist: true}), "second", chunk); statusOf(err) != http.StatusPreconditionFailed {
			t.Errorf("second write with chunk %d: %v", chunk, err)
		}
		if read(t, name) != data {
			t.Error("the loser overwrote the winner")
		}
	}
	if err := write(o, "1", 0); err != nil {
		t.Fatal(err)
	}
	first, err := o.Attrs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := write(o.If(gcs.Conditions{GenerationMatch: first.Generation, MetagenerationMatch: 1}), "2", 0); err != nil {
		t.Errorf("matching generation: %v", err)
	}
	if err := o.If(gcs.Conditions{GenerationMatch: first.Generation}).Delete(t.Context()); statusOf(err) != http.StatusPreconditionFailed {
		t.Errorf("delete of a replaced generation: %v", err)
	}
	if _, err := o.Generation(first.Generation).NewReader(t.Context()); !errors.Is(err, gcs.ErrObjectNotExist) {
		t.Errorf("read of a replaced generation: %v", err)
	}
}

func TestRacingWritersHaveOneWinner(t *testing.T) {
	b, _ := serve(t, open(t, "").Handler())
	for _, chunk := range []int{0, 256 << 10} {
		var wg sync.WaitGroup
		var won atomic.Int64
		o := b.Object(fmt.Sprint("race", chunk))
		for i := range 16 {
			wg.Go(func() {
				err := write(o.If(gcs.Conditions{DoesNotExist: true}), strings.Repeat(fmt.Sprintf("%04d", i), 80<<10), chunk)
				switch {
				case err == nil:
					won.Add(1)
				case statusOf(err) != http.StatusPreconditionFailed:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("chunk %d: %d winners", chunk, won.Load())
		}
		if got := read(t, o); got != strings.Repeat(got[:4], 80<<10) {
			t.Errorf("chunk %d: contents are mixed", chunk)
		}
	}
}

func TestMissing(t *testing.T) {
	b, _ := serve(t, open(t, "").Handler())
	if _, err := b.Object("x").NewReader(t.Context()); !errors.Is(err, gcs.ErrObjectNotExist) {
		t.Errorf("read: %v", err)
	}
	if _, err := b.Object("x").Attrs(t.Context()); !errors.Is(err, gcs.ErrObjectNotExist) {
		t.Errorf("attributes: %v", err)
	}
	if err := b.Object("x").Delete(t.Context()); !errors.Is(err, gcs.ErrObjectNotExist) {
		t.Errorf("delete: %v", err)
	}
	if _, err := b.Attrs(t.Context()); err != nil {
		t.Errorf("bucket: %v", err)
	}
}

func TestBucketsAndWhatIsNotServed(t *testing.T) {
	_, url := serve(t, open(t, "").Handler())
	c, err := gcs.NewClient(t.Context(), option.WithEndpoint(url+"/storage/v1/"), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Bucket("other").Attrs(t.Context()); !errors.Is(err, gcs.ErrBucketNotExist) {
		t.Errorf("absent bucket: %v", err)
	}
	if err := write(c.Bucket("other").Object("x"), "x", 0); statusOf(err) != http.StatusNotFound {
		t.Errorf("write to an absent bucket: %v", err)
	}
	if err := c.Bucket("other").Create(t.Context(), "project", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Bucket("other").Create(t.Context(), "project", nil); statusOf(err) != http.StatusConflict {
		t.Errorf("second create: %v", err)
	}
	if err := c.Bucket("..").Create(t.Context(), "project", nil); statusOf(err) != http.StatusBadRequest {
		t.Errorf("a bucket name that leaves the directory: %v", err)
	}
	if err := write(c.Bucket("other").Object("x"), "x", 0); err != nil {
		t.Error(err)
	}
	src := c.Bucket("other").Object("x")
	if _, err := c.Bucket("other").Object("y").CopierFrom(src).Run(t.Context()); statusOf(err) != http.StatusNotImplemented {
		t.Errorf("copy: %v", err)
	}
}

func names(t *testing.T, b *gcs.BucketHandle, q *gcs.Query) (all []string) {
	t.Helper()
	it := b.Objects(t.Context(), q)
	for {
		a, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a.Name+a.Prefix)
	}
}

func TestList(t *testing.T) {
	b, url := serve(t, open(t, "").Handler())
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("mail/%02d/raw.eml", i)
		want = append(want, name)
		if err := write(b.Object(name), "x", 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(b.Object("other"), "x", 0); err != nil {
		t.Fatal(err)
	}
	if got := names(t, b, &gcs.Query{Prefix: "mail/"}); !slices.Equal(got, want) {
		t.Errorf("prefix: %q", got)
	}
	if got := names(t, b, &gcs.Query{Delimiter: "/"}); !slices.Equal(got, []string{"other", "mail/"}) && !slices.Equal(got, []string{"mail/", "other"}) {
		t.Errorf("delimiter: %q", got)
	}
	pager := iterator.NewPager(b.Objects(t.Context(), &gcs.Query{Prefix: "mail/"}), 10, "")
	var paged []string
	var pages int
	for token := "more"; token != ""; pages++ {
		var page []*gcs.ObjectAttrs
		var err error
		if token, err = pager.NextPage(&page); err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			paged = append(paged, a.Name)
		}
	}
	if !slices.Equal(paged, want) || pages != 3 {
		t.Errorf("%d pages: %q", pages, paged)
	}
	res, err := http.Get(url + "/storage/v1/b/" + bucketName + "/o?maxResults=x")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("bad maxResults: %s", res.Status)
	}
}

func TestChecksumsAreCheckedAndTold(t *testing.T) {
	b, _ := serve(t, open(t, "").Handler())
	w := b.Object("x").NewWriter(t.Context())
	w.ChunkSize = 0
	w.SendCRC32C, w.CRC32C = true, 1
	if _, err := io.WriteString(w, "content"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); statusOf(err) != http.StatusBadRequest {
		t.Errorf("wrong crc32c: %v", err)
	}
	w = b.Object("x").NewWriter(t.Context())
	w.MD5 = make([]byte, 16)
	if _, err := io.WriteString(w, "content"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); statusOf(err) != http.StatusBadRequest {
		t.Errorf("wrong md5: %v", err)
	}
	if _, err := b.Object("x").Attrs(t.Context()); !errors.Is(err, gcs.ErrObjectNotExist) {
		t.Errorf("a refused upload left an object: %v", err)
	}
}

// An upload cut off in the middle is neither an object nor a file that stays.
func TestAbandonedUploadLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	b, _ := serve(t, s.Handler())
	for _, chunk := range []int{0, 256 << 10} {
		ctx, cancel := context.WithCancel(t.Context())
		w := b.Object("x").NewWriter(ctx)
		w.ChunkSize = chunk
		if _, err := w.Write(make([]byte, 700<<10)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := w.Close(); err == nil {
			t.Error("close after cancel succeeded")
		}
	}
	if _, err := b.Object("x").Attrs(t.Context()); !errors.Is(err, gcs.ErrObjectNotExist) {
		t.Errorf("object: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, bucketName+".objects"))
	if err != nil || info.Size() != 0 {
		t.Errorf("left: %v, %v", info, err)
	}
}

// A chunk whose answer was lost is sent again; the Go client does so from its buffer.
func TestRepeatedChunk(t *testing.T) {
	s := open(t, "")
	var drop atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Range") != "" && drop.Add(1)%2 == 1 {
			rec := httptest.NewRecorder() // carried out, but the answer says it was not
			s.Handler().ServeHTTP(rec, r)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.Handler().ServeHTTP(w, r)
	})
	b, _ := serve(t, h)
	o := b.Object("x").If(gcs.Conditions{DoesNotExist: true}).Retryer(gcs.WithPolicy(gcs.RetryAlways))
	data := strings.Repeat("0123456789", 60<<10)
	if err := write(o, data, 256<<10); err != nil {
		t.Fatal(err)
	}
	if read(t, b.Object("x")) != data {
		t.Error("content differs")
	}
}

func TestObjectsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	first, _ := serve(t, open(t, dir).Handler())
	w := first.Object("a/b").NewWriter(t.Context())
	w.ContentType = "text/plain"
	w.Metadata = map[string]string{"Session": strings.Repeat("s", 2000)} // more than one read of the tail
	if _, err := io.WriteString(w, "content"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := first.Object("a/b").Attrs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, _ := serve(t, open(t, dir).Handler())
	after, err := second.Object("a/b").Attrs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Generation != before.Generation || after.ContentType != "text/plain" || after.CRC32C != before.CRC32C ||
		!bytes.Equal(after.MD5, before.MD5) || after.Metadata["Session"] != before.Metadata["Session"] || !after.Created.Equal(before.Created) {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if err := write(second.Object("a/b").If(gcs.Conditions{DoesNotExist: true}), "other", 0); statusOf(err) != http.StatusPreconditionFailed {
		t.Errorf("write-once after a restart: %v", err)
	}
}

// Generations tell writes apart even while the suite's clock stands still.
func TestGenerationsGrowUnderAFrozenClock(t *testing.T) {
	s, err := storage.Open(storage.Options{Buckets: []string{bucketName}, Now: func() time.Time { return time.Unix(0, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b, _ := serve(t, s.Handler())
	var last int64
	for range 3 {
		if err := write(b.Object("x"), "x", 0); err != nil {
			t.Fatal(err)
		}
		a, err := b.Object("x").Attrs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if a.Generation <= last || !a.Created.Equal(time.Unix(0, 0)) {
			t.Errorf("generation %d after %d, created %v", a.Generation, last, a.Created)
		}
		last = a.Generation
	}
}

func TestStatsByCaller(t *testing.T) {
	s := open(t, "")
	ingest, _ := serve(t, s.Handler(), option.WithUserAgent("emailchannel-ingest/1.0"))
	if err := write(ingest.Object("x"), strings.Repeat("x", 600<<10), 256<<10); err != nil { // three chunks, one write
		t.Fatal(err)
	}
	read(t, ingest.Object("x"))
	anyone, _ := serve(t, s.Handler())
	names(t, anyone, nil)
	if err := anyone.Object("x").Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	if st.ByCaller["emailchannel-ingest"] != (storage.Ops{Writes: 1, Reads: 1}) ||
		st.ByCaller[""] != (storage.Ops{Lists: 1, Deletes: 1}) ||
		st.Total != (storage.Ops{Writes: 1, Reads: 1, Deletes: 1, Lists: 1}) {
		t.Errorf("%+v", st)
	}
}

func TestOpenRefusesAForeignFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "stray.objects"), []byte("no object at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Open(storage.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "stray") {
		t.Errorf("open: %v", err)
	}
}
