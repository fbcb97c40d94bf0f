// Package archive keeps raw mail, attachments, PDFs and metadata files in Cloud
// Storage ([GCS]) or Amazon S3 ([S3]), under names that are written once.
//
// Put never overwrites: an object that exists is success, whoever wrote it, so
// that a redelivered event may store its mail again. This needs names that are
// made from the content or from an identity (a UID, a fingerprint), which is the
// caller's part. A reader that fails, or a process that dies, leaves no object.
//
// Memory: an object of up to 256 KiB (S3: 5 MiB) is sent in one request from one
// buffer; a larger one goes up in chunks of 4 MiB (S3: 5 MiB), whatever its size,
// each of which is repeated when the server or the network fails.
//
// It never decides how long something is kept, and never logs.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
)

// ErrNotFound is returned by Open for a name that holds no object. It is a
// [fs.ErrNotExist], by which use cases know it.
var ErrNotFound = fmt.Errorf("object not found in the archive: %w", fs.ErrNotExist)

// GCS is an archive in a folder of a bucket. It is safe for concurrent use.
type GCS struct {
	client *storage.Client
	bucket *storage.BucketHandle
	folder string // "" or ending in a slash
}

// New connects to a bucket, which must exist; it is not asked before the first
// call. prefix is the folder path of all names, "" for none.
func New(ctx context.Context, bucket, prefix string, opts ...option.ClientOption) (*GCS, error) {
	opts = append([]option.ClientOption{storage.WithJSONReads()}, opts...)
	client, err := storage.NewClient(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("archive: connect to Cloud Storage: %w", err)
	}
	folder := strings.Trim(prefix, "/")
	if folder != "" {
		folder += "/"
	}
	return &GCS{client: client, bucket: client.Bucket(bucket), folder: folder}, nil
}

// Close ends the connections.
func (g *GCS) Close() error { return g.client.Close() }

func (g *GCS) object(name string) *storage.ObjectHandle { return g.bucket.Object(g.folder + name) }

// Open reads an object; the caller closes it. The error is ErrNotFound where
// there is none, also where there is no bucket. A content that does not match
// the stored checksum ends in an error instead of io.EOF.
func (g *GCS) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := g.object(name).NewReader(ctx)
	if errors.Is(err, storage.ErrObjectNotExist) {
		return nil, fmt.Errorf("archive: open %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("archive: open %s: %w", name, err)
	}
	return r, nil
}

// Delete removes an object; a missing one is fine.
func (g *GCS) Delete(ctx context.Context, name string) error {
	// A repeated delete does no harm here: names are never used again.
	err := g.object(name).Retryer(storage.WithPolicy(storage.RetryAlways)).Delete(ctx)
	if err != nil && !errors.Is(err, storage.ErrObjectNotExist) {
		return fmt.Errorf("archive: delete %s: %w", name, err)
	}
	return nil
}

// List calls each for every object whose name starts with prefix, in the order
// of names, until it returns an error, which List returns as it is. size is in
// bytes. Objects written meanwhile may be missing.
func (g *GCS) List(ctx context.Context, prefix string, each func(name string, size int64) error) error {
	q := &storage.Query{Prefix: g.folder + prefix, Projection: storage.ProjectionNoACL}
	if err := q.SetAttrSelection([]string{"Name", "Size"}); err != nil {
		return fmt.Errorf("archive: list: %w", err)
	}
	for it := g.bucket.Objects(ctx, q); ; {
		o, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("archive: list %s: %w", prefix, err)
		}
		if err := each(strings.TrimPrefix(o.Name, g.folder), o.Size); err != nil {
			return err
		}
	}
}

// exists tells whether a conditional write was refused because the object is there.
func exists(err error) bool {
	var e *googleapi.Error
	return errors.As(err, &e) && e.Code == http.StatusPreconditionFailed
}
