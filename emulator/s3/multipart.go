package s3

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

// upload is a multipart upload on its way. Its parts are files.
type upload struct {
	bucket, key, dir string
	meta             map[string]string
	absent           bool           // must not replace an object
	etags            map[int]string // by part number
}

// demandAbsence makes the completion of an upload fail if the object exists then.
func (d *disk) demandAbsence(id gofakes3.UploadID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u := d.uploads[id]; u != nil {
		u.absent = true
	}
}

func (d *disk) upload(bucket, key string, id gofakes3.UploadID) (*upload, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if u := d.uploads[id]; u != nil && u.bucket == bucket && u.key == key {
		return u, nil
	}
	return nil, gofakes3.ErrNoSuchUpload
}

// CreateMultipartUpload implements gofakes3.MultipartBackend.
func (d *disk) CreateMultipartUpload(bucket, key string, meta map[string]string) (gofakes3.UploadID, error) {
	id := gofakes3.UploadID(rand.Text())
	u := &upload{bucket: bucket, key: key, meta: meta, dir: filepath.Join(d.dir, uploadsDir, string(id)), etags: map[int]string{}}
	if err := os.Mkdir(u.dir, 0o700); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.uploads[id] = u
	return id, nil
}

func (u *upload) part(n int) string { return filepath.Join(u.dir, fmt.Sprint(n)) }

// UploadPart implements gofakes3.MultipartBackend. A part may be sent again.
func (d *disk) UploadPart(bucket, key string, id gofakes3.UploadID, n int, size int64, input io.Reader) (string, error) {
	u, err := d.upload(bucket, key, id)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(u.dir, "part-")
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := md5.New()
	written, err := io.Copy(io.MultiWriter(f, hash), input)
	if err == nil && written != size {
		err = gofakes3.ErrIncompleteBody
	}
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	u.etags[n] = gofakes3.FormatETag(hash.Sum(nil))
	return u.etags[n], os.Rename(f.Name(), u.part(n))
}

// AbortMultipartUpload implements gofakes3.MultipartBackend.
func (d *disk) AbortMultipartUpload(bucket, key string, id gofakes3.UploadID) error {
	u, err := d.upload(bucket, key, id)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.uploads, id)
	return os.RemoveAll(u.dir)
}

// CompleteMultipartUpload implements gofakes3.MultipartBackend.
func (d *disk) CompleteMultipartUpload(bucket, key string, id gofakes3.UploadID, in *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	u, err := d.upload(bucket, key, id)
	if err != nil {
		return "", "", err
	}
	parts, etag, err := d.assemble(u, in)
	if err != nil {
		return "", "", err
	}
	var conditions *gofakes3.PutConditions
	if u.absent {
		any := "*"
		conditions = &gofakes3.PutConditions{IfNoneMatch: &any}
	}
	content := &concat{paths: parts}
	defer content.Close()
	f, err := os.CreateTemp(filepath.Join(d.dir, uploadsDir), "put-")
	if err != nil {
		return "", "", err
	}
	defer os.Remove(f.Name()) // fails once it was renamed
	o, err := writeObject(f, object{Key: key, Meta: u.meta, Modified: d.now().UTC()}, content)
	if err != nil {
		return "", "", err
	}
	if err := d.place(bucket, f.Name(), o, conditions); err != nil {
		return "", "", err
	}
	return "", etag, d.AbortMultipartUpload(bucket, key, id)
}

// assemble checks the list of parts and returns their files.
func (d *disk) assemble(u *upload, in *gofakes3.CompleteMultipartUploadRequest) (paths []string, etag string, err error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	hash, last := md5.New(), 0
	for _, p := range in.Parts {
		if p.PartNumber <= last {
			return nil, "", gofakes3.ErrInvalidPartOrder
		}
		have := strings.Trim(u.etags[p.PartNumber], `"`)
		if have == "" || have != strings.Trim(p.ETag, `"`) {
			return nil, "", gofakes3.ErrorMessagef(gofakes3.ErrInvalidPart, "part %d was not uploaded like that", p.PartNumber)
		}
		sum, err := hex.DecodeString(have)
		if err != nil {
			return nil, "", err
		}
		hash.Write(sum)
		last = p.PartNumber
		paths = append(paths, u.part(p.PartNumber))
	}
	return paths, fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(hash.Sum(nil)), len(paths)), nil
}

// concat reads files one after another, with one open at a time.
type concat struct {
	paths []string
	file  *os.File
}

func (c *concat) Read(p []byte) (int, error) {
	for {
		if c.file == nil {
			if len(c.paths) == 0 {
				return 0, io.EOF
			}
			f, err := os.Open(c.paths[0])
			if err != nil {
				return 0, err
			}
			c.file, c.paths = f, c.paths[1:]
		}
		n, err := c.file.Read(p)
		if err == io.EOF {
			err = c.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *concat) Close() error {
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}

// ListMultipartUploads implements gofakes3.MultipartBackend: not served.
func (d *disk) ListMultipartUploads(string, *gofakes3.UploadListMarker, gofakes3.Prefix, int64) (*gofakes3.ListMultipartUploadsResult, error) {
	return nil, gofakes3.ErrNotImplemented
}

// ListParts implements gofakes3.MultipartBackend: not served.
func (d *disk) ListParts(string, string, gofakes3.UploadID, int, int64) (*gofakes3.ListMultipartUploadPartsResult, error) {
	return nil, gofakes3.ErrNotImplemented
}
