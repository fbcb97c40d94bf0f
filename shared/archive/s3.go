package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3Key are credentials of Amazon S3, or of a server that speaks its protocol.
type S3Key struct {
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

// ParseS3Key reads credentials as a secret holds them:
// {"access_key": "…", "secret_key": "…"}. Its error never quotes them.
func ParseS3Key(secret string) (S3Key, error) {
	var k S3Key
	if err := json.Unmarshal([]byte(secret), &k); err != nil {
		return k, errors.New("archive: the credentials are not JSON with access_key and secret_key")
	}
	if k.AccessKey == "" || k.SecretKey == "" {
		return k, errors.New("archive: the credentials lack access_key or secret_key")
	}
	return k, nil
}

// S3Config names a bucket.
type S3Config struct {
	Endpoint  string // http or https address; "" is Amazon's of the region
	Region    string // such as eu-central-1; "" is us-east-1
	Bucket    string // exists
	Folder    string // path of all names, "" for none
	PathStyle bool   // the bucket in the path instead of the host's name
	// Key gives the credentials. It is asked once a minute at the most, so
	// that changed ones come into use.
	Key func(ctx context.Context) (S3Key, error)
	// Transport carries the requests; nil is one with the library's settings.
	Transport http.RoundTripper
}

// S3 is an archive in a folder of an S3 bucket. It is safe for concurrent use.
//
// Names are written once by If-None-Match: *, which Amazon has since 2024 and
// most of the others have. A server that answers that it cannot do so is asked
// before each Put whether the object exists: then two writers at the same time
// may both write, and the later one wins. A server that ignores the header
// without a word overwrites; [Probe] finds that out.
type S3 struct {
	api    *minio.Core
	bucket string
	folder string      // "" or ending in a slash
	plain  atomic.Bool // the server knows no conditional writes
}

// NewS3 makes the archive; nothing is asked of the server before the first call.
func NewS3(c S3Config) (*S3, error) {
	host, secure, err := endpoint(c)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupDNS
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	region := c.Region
	if region == "" {
		region = "us-east-1"
	}
	api, err := minio.NewCore(host, &minio.Options{
		Creds: credentials.New(&keys{get: c.Key}), Secure: secure, Region: region, BucketLookup: lookup, Transport: c.Transport,
		MaxRetries: 6, // some three seconds; who calls tries again later
	})
	if err != nil {
		return nil, fmt.Errorf("archive: connect to S3: %w", err)
	}
	folder := strings.Trim(c.Folder, "/")
	if folder != "" {
		folder += "/"
	}
	return &S3{api: api, bucket: c.Bucket, folder: folder}, nil
}

func endpoint(c S3Config) (host string, secure bool, err error) {
	if c.Endpoint == "" {
		region := c.Region
		if region == "" {
			region = "us-east-1"
		}
		return "s3." + region + ".amazonaws.com", true, nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
		return "", false, fmt.Errorf("archive: S3 endpoint %q is no http or https address", c.Endpoint)
	}
	return u.Host, u.Scheme == "https", nil
}

// keys hands credentials to the library.
type keys struct {
	get   func(ctx context.Context) (S3Key, error)
	until time.Time
}

const keyFor = time.Minute

// RetrieveWithCredContext implements credentials.Provider.
func (k *keys) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the library has no context here
	defer cancel()
	key, err := k.get(ctx)
	if err != nil {
		return credentials.Value{}, err
	}
	k.until = time.Now().Add(keyFor)
	return credentials.Value{AccessKeyID: key.AccessKey, SecretAccessKey: key.SecretKey, SignerType: credentials.SignatureV4}, nil
}

// Retrieve implements credentials.Provider.
func (k *keys) Retrieve() (credentials.Value, error) { return k.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider. The library holds a lock around both.
func (k *keys) IsExpired() bool { return !time.Now().Before(k.until) }

// Open reads an object; the caller closes it. The error is ErrNotFound where
// there is none, also where there is no bucket.
func (s *S3) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	r, _, _, err := s.api.GetObject(ctx, s.bucket, s.folder+name, minio.GetObjectOptions{})
	if code := minio.ToErrorResponse(err).Code; code == minio.NoSuchKey || code == minio.NoSuchBucket {
		return nil, fmt.Errorf("archive: open %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("archive: open %s: %w", name, told(err))
	}
	return r, nil
}

// Delete removes an object; a missing one is fine.
func (s *S3) Delete(ctx context.Context, name string) error {
	err := s.api.RemoveObject(ctx, s.bucket, s.folder+name, minio.RemoveObjectOptions{})
	if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchKey {
		return fmt.Errorf("archive: delete %s: %w", name, told(err))
	}
	return nil
}

// List calls each for every object whose name starts with prefix, in the order
// of names, until it returns an error, which List returns as it is. size is in
// bytes. Objects written meanwhile may be missing.
func (s *S3) List(ctx context.Context, prefix string, each func(name string, size int64) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.api.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.folder + prefix, Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("archive: list %s: %w", prefix, told(o.Err))
		}
		if err := each(strings.TrimPrefix(o.Key, s.folder), o.Size); err != nil {
			return err
		}
	}
	return nil
}

// told adds the code and the status of an S3 error, which the library leaves
// out of its text and by which people look it up.
func told(err error) error {
	if e := minio.ToErrorResponse(err); e.StatusCode != 0 && e.Code != "" {
		return fmt.Errorf("S3 answered %d %s: %w", e.StatusCode, e.Code, err)
	}
	return err
}
