package archive_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"emailchannel.dev/emailchannel/emulator/heap"
	"emailchannel.dev/emailchannel/emulator/s3"
	"emailchannel.dev/emailchannel/shared/archive"
	"emailchannel.dev/emailchannel/shared/archive/archivetest"
)

var s3Key = archive.S3Key{AccessKey: "AKIAEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

func s3Server(t testing.TB) *s3.Server {
	t.Helper()
	return openS3(t, s3.Options{Buckets: []string{"mail"}, AccessKey: s3Key.AccessKey, SecretKey: s3Key.SecretKey})
}

func openS3(t testing.TB, o s3.Options) *s3.Server {
	t.Helper()
	s, err := s3.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// connectS3 makes an archive of what h serves; change may alter its configuration.
func connectS3(t testing.TB, h http.Handler, change func(*archive.S3Config)) *archive.S3 {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	c := archive.S3Config{Endpoint: ts.URL, Region: "eu-central-1", Bucket: "mail", PathStyle: true, Key: func(context.Context) (archive.S3Key, error) { return s3Key, nil }}
	if change != nil {
		change(&c)
	}
	a, err := archive.NewS3(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func folder(f string) func(*archive.S3Config) { return func(c *archive.S3Config) { c.Folder = f } }

func TestS3Conformance(t *testing.T) {
	for _, prefix := range []string{"", "/folder/path/"} {
		t.Run("prefix="+prefix, func(t *testing.T) {
			archivetest.Run(t, connectS3(t, s3Server(t).Handler(), folder(prefix)), archive.ErrNotFound)
		})
	}
}

// unconditional is a server that refuses conditional writes, as many did before 2024.
func unconditional(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusNotImplemented)
			io.WriteString(w, `<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message></Error>`)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func TestS3ConformanceWithoutConditionalWrites(t *testing.T) {
	archivetest.Run(t, connectS3(t, unconditional(s3Server(t).Handler()), nil), archive.ErrNotFound)
}

func TestS3SurvivesServerErrors(t *testing.T) {
	for _, carriedOut := range []bool{false, true} {
		s := s3Server(t)
		var n atomic.Int64
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet && n.Add(1)%2 == 1 {
				if carriedOut {
					s.Handler().ServeHTTP(httptest.NewRecorder(), r)
				}
				io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			s.Handler().ServeHTTP(w, r)
		})
		a := connectS3(t, h, nil)
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

// An upload that broke off leaves no parts behind, for which a bucket's owner would pay.
func TestS3BrokenUploadIsAborted(t *testing.T) {
	s := s3Server(t)
	var aborted atomic.Int64
	a := connectS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && r.URL.Query().Has("uploadId") {
			aborted.Add(1)
		}
		s.Handler().ServeHTTP(w, r)
	}), nil)
	broken := errors.New("the mail server hung up")
	source := io.MultiReader(bytes.NewReader(make([]byte, 12<<20)), failing{broken})
	if err := a.Put(t.Context(), "x", "text/plain", source); !errors.Is(err, broken) {
		t.Errorf("put: %v", err)
	}
	if aborted.Load() != 1 {
		t.Errorf("%d uploads aborted", aborted.Load())
	}
	if _, err := a.Open(t.Context(), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// The bound is for client and server together: they share this process.
func TestS3LargeMailIsStreamed(t *testing.T) {
	a := connectS3(t, s3Server(t).Handler(), nil)
	const size, bound = 35 << 20, 32 << 20
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

// overwriting is a server that ignores the condition without a word. It checks
// no signatures, which cover the header.
func overwriting(t testing.TB) http.Handler {
	h := openS3(t, s3.Options{Buckets: []string{"mail"}}).Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("If-None-Match")
		h.ServeHTTP(w, r)
	})
}

func TestProbe(t *testing.T) {
	refuse := func(method string, query string) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == method && (query == "") == (r.URL.RawQuery == "") {
					io.Copy(io.Discard, r.Body)
					w.WriteHeader(http.StatusForbidden)
					io.WriteString(w, `<Error><Code>AccessDenied</Code><Message>no permission</Message></Error>`)
					return
				}
				h.ServeHTTP(w, r)
			})
		}
	}
	wrongKey := func(k archive.S3Key) func(*archive.S3Config) {
		return func(c *archive.S3Config) { c.Key = func(context.Context) (archive.S3Key, error) { return k, nil } }
	}
	for name, c := range map[string]struct {
		change func(*archive.S3Config)
		wrap   func(http.Handler) http.Handler
		step   string
		says   string
	}{
		"works":        {},
		"no bucket":    {change: func(c *archive.S3Config) { c.Bucket = "absent" }, step: "write", says: "NoSuchBucket"},
		"unknown key":  {change: wrongKey(archive.S3Key{AccessKey: "AKIAOTHER", SecretKey: s3Key.SecretKey}), step: "write", says: "403 InvalidAccessKeyId"},
		"wrong secret": {change: wrongKey(archive.S3Key{AccessKey: s3Key.AccessKey, SecretKey: "other"}), step: "write", says: "403 SignatureDoesNotMatch"},
		"no credentials": {change: func(c *archive.S3Config) {
			c.Key = func(context.Context) (archive.S3Key, error) { return archive.ParseS3Key("{}") }
		}, step: "write", says: "lack access_key"},
		"nobody there":   {change: func(c *archive.S3Config) { c.Endpoint = "http://127.0.0.1:1" }, step: "write", says: "connection refused"},
		"may not write":  {wrap: refuse(http.MethodPut, ""), step: "write", says: "403 AccessDenied: no permission"},
		"may not read":   {wrap: refuse(http.MethodGet, ""), step: "read", says: "403 AccessDenied: no permission"},
		"may not list":   {wrap: refuse(http.MethodGet, "any"), step: "list", says: "403 AccessDenied: no permission"},
		"may not delete": {wrap: refuse(http.MethodDelete, ""), step: "delete", says: "403 AccessDenied: no permission"},
		"overwrites":     {step: "write once", says: "other content"},
		"no conditions":  {wrap: unconditional},
	} {
		t.Run(name, func(t *testing.T) {
			h := s3Server(t).Handler()
			if name == "overwrites" {
				h = overwriting(t)
			}
			inside := connectS3(t, h, nil)
			if c.wrap != nil {
				h = c.wrap(h)
			}
			err := archive.Probe(t.Context(), connectS3(t, h, c.change), "probe/1")
			var p *archive.ProbeError
			if c.step == "" && err != nil || c.step != "" && (!errors.As(err, &p) || p.Step != c.step || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("probe: %v, want step %q with %q", err, c.step, c.says)
			}
			if _, err := inside.Open(t.Context(), "probe/1"); (c.step != "delete") != errors.Is(err, archive.ErrNotFound) {
				t.Errorf("the probe's object afterwards: %v", err)
			}
		})
	}
}

func TestProbeOfCloudStorage(t *testing.T) {
	if err := archive.Probe(t.Context(), connect(t, server(t).Handler(), "mail", "a"), "probe/1"); err != nil {
		t.Error(err)
	}
	err := archive.Probe(t.Context(), connect(t, server(t).Handler(), "absent", ""), "probe/1")
	var p *archive.ProbeError
	if !errors.As(err, &p) || p.Step != "write" || !strings.Contains(err.Error(), "bucket does not exist") {
		t.Errorf("a bucket that does not exist: %v", err)
	}
}

func TestS3BadEndpoint(t *testing.T) {
	for _, bad := range []string{"s3.example.com", "ftp://s3.example.com", "https://", "https://s3.example.com/mail"} {
		if _, err := archive.NewS3(archive.S3Config{Endpoint: bad, Bucket: "mail"}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestParseS3KeyKeepsTheSecret(t *testing.T) {
	for _, bad := range []string{`hunter2`, `{"access_key":"A"}`, `{"secret_key":"hunter2"}`} {
		if _, err := archive.ParseS3Key(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if k, err := archive.ParseS3Key(`{"access_key":"A","secret_key":"S"}`); err != nil || k != (archive.S3Key{AccessKey: "A", SecretKey: "S"}) {
		t.Errorf("%v, %v", k, err)
	}
}
