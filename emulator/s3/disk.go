package s3

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// disk is gofakes3's backend: a directory for each bucket, a file for each
// object, and an index of them in memory.
type disk struct {
	dir string
	now func() time.Time

	mu      sync.RWMutex // guards all below; every rename and remove happens under it
	buckets map[string]*bucket
	uploads map[gofakes3.UploadID]*upload
}

type bucket struct {
	dir     string
	created time.Time
	objects map[string]object
	keys    []string // sorted
}

const (
	bucketsDir = "buckets"
	uploadsDir = "uploads" // also what is being written; worthless after a restart
)

func openDisk(dir string, now func() time.Time) (*disk, error) {
	d := &disk{dir: dir, now: now, buckets: map[string]*bucket{}, uploads: map[gofakes3.UploadID]*upload{}}
	if err := os.RemoveAll(filepath.Join(dir, uploadsDir)); err != nil {
		return nil, err
	}
	for _, sub := range []string{bucketsDir, uploadsDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, bucketsDir))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := openBucket(filepath.Join(dir, bucketsDir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("bucket %s: %w", e.Name(), err)
		}
		d.buckets[e.Name()] = b
	}
	return d, nil
}

func openBucket(dir string) (*bucket, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	b := &bucket{dir: dir, created: info.ModTime(), objects: map[string]object{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		o, err := readObject(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		b.objects[o.Key] = o
		b.keys = append(b.keys, o.Key)
	}
	slices.Sort(b.keys)
	return b, nil
}

// path of an object's file: keys may hold anything and be longer than a file's name.
func (b *bucket) path(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(b.dir, strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])))
}

func (b *bucket) remove(key string) error {
	if _, ok := b.objects[key]; !ok {
		return nil
	}
	if err := os.Remove(b.path(key)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	delete(b.objects, key)
	i, _ := slices.BinarySearch(b.keys, key)
	b.keys = slices.Delete(b.keys, i, i+1)
	return nil
}

// place makes a written file the object, if the conditions hold.
func (d *disk) place(bucketName, temp string, o object, conditions *gofakes3.PutConditions) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, ok := d.buckets[bucketName]
	if !ok {
		return gofakes3.BucketNotFound(bucketName)
	}
	old, exists := b.objects[o.Key]
	if conditions != nil {
		if err := gofakes3.CheckPutConditions(conditions, &gofakes3.ConditionalObjectInfo{Exists: exists, Hash: old.MD5}); err != nil {
			return err
		}
	}
	if err := os.Rename(temp, b.path(o.Key)); err != nil {
		return err
	}
	b.objects[o.Key] = o
	if !exists {
		i, _ := slices.BinarySearch(b.keys, o.Key)
		b.keys = slices.Insert(b.keys, i, o.Key)
	}
	return nil
}

// PutObject implements gofakes3.Backend.
func (d *disk) PutObject(bucketName, key string, meta map[string]string, input io.Reader, size int64, conditions *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	f, err := os.CreateTemp(filepath.Join(d.dir, uploadsDir), "put-")
	if err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	defer os.Remove(f.Name()) // fails once it was renamed
	o, err := writeObject(f, object{Key: key, Meta: meta, Modified: d.now().UTC()}, input)
	if err == nil && o.Size != size {
		err = gofakes3.ErrIncompleteBody
	}
	if err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	return gofakes3.PutObjectResult{}, d.place(bucketName, f.Name(), o, conditions)
}

// GetObject implements gofakes3.Backend.
func (d *disk) GetObject(bucketName, key string, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	b, o, err := d.find(bucketName, key)
	if err != nil {
		return nil, err
	}
	part, err := r.Range(o.Size)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(b.path(key)) // stays readable when the object is replaced or removed
	if err != nil {
		return nil, err
	}
	start, length := int64(0), o.Size
	if part != nil {
		start, length = part.Start, part.Length
	}
	out := o.head()
	out.Range, out.Contents = part, section{io.NewSectionReader(f, start, length), f}
	return out, nil
}

type section struct {
	io.Reader
	io.Closer
}

// HeadObject implements gofakes3.Backend.
func (d *disk) HeadObject(bucketName, key string) (*gofakes3.Object, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	_, o, err := d.find(bucketName, key)
	if err != nil {
		return nil, err
	}
	return o.head(), nil
}

func (d *disk) find(bucketName, key string) (*bucket, object, error) {
	b, ok := d.buckets[bucketName]
	if !ok {
		return nil, object{}, gofakes3.BucketNotFound(bucketName)
	}
	o, ok := b.objects[key]
	if !ok {
		return nil, object{}, gofakes3.KeyNotFound(key)
	}
	return b, o, nil
}

// DeleteObject implements gofakes3.Backend; a missing object is fine, as in S3.
func (d *disk) DeleteObject(bucketName, key string) (gofakes3.ObjectDeleteResult, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, ok := d.buckets[bucketName]
	if !ok {
		return gofakes3.ObjectDeleteResult{}, gofakes3.BucketNotFound(bucketName)
	}
	return gofakes3.ObjectDeleteResult{}, b.remove(key)
}

// DeleteMulti implements gofakes3.Backend.
func (d *disk) DeleteMulti(bucketName string, keys ...string) (out gofakes3.MultiDeleteResult, err error) {
	for _, key := range keys {
		if _, err := d.DeleteObject(bucketName, key); err != nil {
			out.Error = append(out.Error, gofakes3.ErrorResultFromError(err))
			continue
		}
		out.Deleted = append(out.Deleted, gofakes3.ObjectID{Key: key})
	}
	return out, nil
}

// CopyObject implements gofakes3.Backend.
func (d *disk) CopyObject(srcBucket, srcKey, dstBucket, dstKey string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObject(d, srcBucket, srcKey, dstBucket, dstKey, meta)
}

var (
	_ gofakes3.Backend          = (*disk)(nil)
	_ gofakes3.MultipartBackend = (*disk)(nil)
)
