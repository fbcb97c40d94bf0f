package s3_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"emailchannel.dev/emailchannel/emulator/s3"
)

const bucketName = "mail"

func open(t testing.TB, o s3.Options) *s3.Server {
	t.Helper()
	o.Buckets = []string{bucketName}
	s, err := s3.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func client(t testing.TB, h http.Handler, key, secret string) *minio.Core {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	return connect(t, strings.TrimPrefix(ts.URL, "http://"), key, secret)
}

func connect(t testing.TB, addr, key, secret string) *minio.Core {
	t.Helper()
	c, err := minio.NewCore(addr, &minio.Options{Creds: credentials.NewStaticV4(key, secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath, MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(ctx context.Context, c *minio.Core, name, data string) error {
	_, err := c.PutObject(ctx, bucketName, name, strings.NewReader(data), int64(len(data)), "", "", minio.PutObjectOptions{DisableContentSha256: true, ContentType: "text/plain"})
	return err
}

func read(t *testing.T, c *minio.Core, name string, o minio.GetObjectOptions) string {
	t.Helper()
	r, _, _, err := c.GetObject(t.Context(), bucketName, name, o)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(b)
}

func names(t *testing.T, c *minio.Core, o minio.ListObjectsOptions) (out []string) {
	t.Helper()
	for info := range c.ListObjectsIter(t.Context(), bucketName, o) {
		if info.Err != nil {
			t.Fatal(info.Err)
		}
		out = append(out, info.Key)
	}
	return out
}

func TestObjectsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	options := s3.Options{Dir: dir, Now: func() time.Time { return now }}
	c := client(t, open(t, options).Handler(), "", "")
	for _, name := range []string{"a", "a/b", "ä %?#", strings.Repeat("long/", 200)} {
		if err := put(t.Context(), c, name, "content of "+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.RemoveObject(t.Context(), bucketName, "a/b", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	again := client(t, open(t, options).Handler(), "", "")
	if got, want := names(t, again, minio.ListObjectsOptions{Recursive: true}), []string{"a", strings.Repeat("long/", 200), "ä %?#"}; !slices.Equal(got, want) {
		t.Errorf("after a restart: %q", got)
	}
	if got := read(t, again, "ä %?#", minio.GetObjectOptions{}); got != "content of ä %?#" {
		t.Errorf("read %q", got)
	}
	info, err := again.StatObject(t.Context(), bucketName, "a", minio.StatObjectOptions{})
	if err != nil || info.ContentType != "text/plain" || info.Size != int64(len("content of a")) || !info.LastModified.Equal(now) {
		t.Errorf("stat: %+v, %v", info, err)
	}
}

func TestRanges(t *testing.T) {
	c := client(t, open(t, s3.Options{}).Handler(), "", "")
	if err := put(t.Context(), c, "x", "0123456789"); err != nil {
		t.Fatal(err)
	}
	var o minio.GetObjectOptions
	if err := o.SetRange(2, 4); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c, "x", o); got != "234" {
		t.Errorf("bytes 2 to 4: %q", got)
	}
}

func TestListByPages(t *testing.T) {
	c := client(t, open(t, s3.Options{}).Handler(), "", "")
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("list/%02d/%d", i/5, i%5))
	}
	for _, name := range append([]string{"lisp", "list0", "zzz"}, all...) {
		if err := put(t.Context(), c, name, "x"); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int{1, 4, 5, 24, 25, 1000} {
		if got := names(t, c, minio.ListObjectsOptions{Prefix: "list/", Recursive: true, MaxKeys: size}); !slices.Equal(got, all) {
			t.Errorf("pages of %d: %q", size, got)
		}
		if got, want := names(t, c, minio.ListObjectsOptions{Prefix: "list/", MaxKeys: size}), []string{"list/00/", "list/01/", "list/02/", "list/03/", "list/04/"}; !slices.Equal(got, want) {
			t.Errorf("folders in pages of %d: %q", size, got)
		}
	}
}

// Of uploads in parts that race, one is the object and the others are told so.
func TestConditionalCompletion(t *testing.T) {
	c := client(t, open(t, s3.Options{}).Handler(), "", "")
	var ids []string
	var parts [][]minio.CompletePart
	for i := range 2 {
		id, err := c.NewMultipartUpload(t.Context(), bucketName, "x", minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var list []minio.CompletePart
		for n, data := range []string{strings.Repeat(fmt.Sprint(i), 5<<20), "end"} {
			p, err := c.PutObjectPart(t.Context(), bucketName, "x", id, n+1, strings.NewReader(data), int64(len(data)), minio.PutObjectPartOptions{DisableContentSha256: true})
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, minio.CompletePart{PartNumber: p.PartNumber, ETag: p.ETag})
		}
		ids, parts = append(ids, id), append(parts, list)
	}
	var once minio.PutObjectOptions
	once.SetMatchETagExcept("*")
	for i, want := range []string{"", minio.PreconditionFailed} {
		_, err := c.CompleteMultipartUpload(t.Context(), bucketName, "x", ids[i], parts[i], once)
		if code := minio.ToErrorResponse(err).Code; code != want {
			t.Errorf("completion %d: %v", i, err)
		}
	}
	if got := read(t, c, "x", minio.GetObjectOptions{}); got != strings.Repeat("0", 5<<20)+"end" {
		t.Errorf("%d bytes, beginning with %q", len(got), got[:1])
	}
	if _, err := c.CompleteMultipartUpload(t.Context(), bucketName, "x", ids[0], parts[0], once); minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
		t.Errorf("completed twice: %v", err)
	}
	if _, err := c.CompleteMultipartUpload(t.Context(), bucketName, "x", ids[1], parts[0], minio.PutObjectOptions{}); minio.ToErrorResponse(err).Code != minio.InvalidPart {
		t.Errorf("with another's parts: %v", err)
	}
}

func TestCredentials(t *testing.T) {
	h := open(t, s3.Options{AccessKey: "AKIAEXAMPLE", SecretKey: "secret"}).Handler()
	for _, c := range []struct{ key, secret, code string }{
		{"AKIAEXAMPLE", "secret", ""},
		{"AKIAEXAMPLE", "other", minio.SignatureDoesNotMatch},
		{"AKIAOTHER", "secret", "InvalidAccessKeyId"},
		{"", "", minio.AccessDenied},
	} {
		err := put(t.Context(), client(t, h, c.key, c.secret), "a b/ä~+", "x")
		if e := minio.ToErrorResponse(err); e.Code != c.code || (c.code != "" && e.StatusCode != http.StatusForbidden) {
			t.Errorf("key %q, secret %q: %v", c.key, c.secret, err)
		}
	}
}

func TestBadDigestAndShortBodyStoreNothing(t *testing.T) {
	h := open(t, s3.Options{}).Handler()
	for name, change := range map[string]func(*http.Request){
		"other content": func(r *http.Request) { r.Header.Set("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==") },
		"cut off":       func(r *http.Request) { r.Header.Set("Content-Length", "9") },
	} {
		r := httptest.NewRequest(http.MethodPut, "/mail/x", bytes.NewReader([]byte("data")))
		r.Header.Set("Content-Length", "4")
		change(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/mail/x", nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: the object is there: %d", name, w.Code)
		}
	}
}

func TestForeignFileIsReported(t *testing.T) {
	dir := t.TempDir()
	open(t, s3.Options{Dir: dir})
	if err := os.WriteFile(dir+"/buckets/mail/notes.txt", []byte("not an object of ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s3.Open(s3.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("opened with a foreign file: %v", err)
	}
}
