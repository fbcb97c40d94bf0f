package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// object is what is known of an object. Its file has the content first, then
// this as JSON, then the JSON's length in 8 bytes: so content is written
// before its size and hash are known.
type object struct {
	Key      string            `json:"key"`
	Size     int64             `json:"size"`
	MD5      []byte            `json:"md5"`
	Meta     map[string]string `json:"meta"`
	Modified time.Time         `json:"modified"`
}

const trailer = 8

var errNoObject = errors.New("is no object's file")

// writeObject writes o with its content to f and closes it.
func writeObject(f *os.File, o object, content io.Reader) (object, error) {
	defer f.Close()
	hash := md5.New()
	n, err := io.Copy(io.MultiWriter(f, hash), content)
	if err != nil {
		return o, err
	}
	o.Size, o.MD5 = n, hash.Sum(nil)
	b, err := json.Marshal(o)
	if err != nil {
		return o, err
	}
	if _, err := f.Write(binary.BigEndian.AppendUint64(b, uint64(len(b)))); err != nil {
		return o, err
	}
	return o, f.Close()
}

// readObject reads what a file tells of its object.
func readObject(path string) (o object, err error) {
	f, err := os.Open(path)
	if err != nil {
		return o, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return o, err
	}
	var length [trailer]byte
	if _, err := f.ReadAt(length[:], info.Size()-trailer); err != nil {
		return o, fmt.Errorf("%s: %w", path, errNoObject)
	}
	n := int64(binary.BigEndian.Uint64(length[:]))
	if n < 0 || n > info.Size()-trailer {
		return o, fmt.Errorf("%s: %w", path, errNoObject)
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, info.Size()-trailer-n); err != nil {
		return o, err
	}
	if err := json.Unmarshal(b, &o); err != nil || o.Size != info.Size()-trailer-n {
		return o, fmt.Errorf("%s: %w", path, errNoObject)
	}
	return o, nil
}

// head is the object without its content.
func (o object) head() *gofakes3.Object {
	meta := make(map[string]string, len(o.Meta)) // gofakes3 may change it
	for k, v := range o.Meta {
		meta[k] = v
	}
	return &gofakes3.Object{Name: o.Key, Metadata: meta, Size: o.Size, Hash: o.MD5, Contents: io.NopCloser(bytes.NewReader(nil))}
}
