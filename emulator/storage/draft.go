package storage

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"strings"

	raw "google.golang.org/api/storage/v1"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// spill is the size from which a draft is kept in a file and not in memory.
const spill = 512 << 10

// draft is an upload that is still coming in.
type draft struct {
	bucket string
	object object
	cond   conditions
	want   raw.Object // the checksums that the client announced, if any

	buf    bytes.Buffer
	file   *os.File // what came after buf was full; already unlinked
	closed bool
	crc    uint32
	md5    hash.Hash
}

func newDraft(bucketName string, meta raw.Object, cond conditions) *draft {
	return &draft{
		bucket: bucketName, cond: cond, want: meta, md5: md5.New(),
		object: object{
			Name: meta.Name, ContentType: meta.ContentType, ContentEncoding: meta.ContentEncoding,
			ContentDisposition: meta.ContentDisposition, ContentLanguage: meta.ContentLanguage,
			CacheControl: meta.CacheControl, Metadata: meta.Metadata,
		},
	}
}

// Write appends content.
func (d *draft) Write(p []byte) (n int, err error) {
	if d.file == nil && d.buf.Len()+len(p) > spill {
		if d.file, err = os.CreateTemp("", "emailchannel-upload-"); err != nil {
			return 0, err
		}
		// Unlinked at once, so that a killed process leaves nothing behind.
		if err := os.Remove(d.file.Name()); err != nil {
			return 0, err
		}
	}
	if d.file != nil {
		n, err = d.file.Write(p)
	} else {
		n, err = d.buf.Write(p)
	}
	d.crc = crc32.Update(d.crc, castagnoli, p[:n])
	d.md5.Write(p[:n])
	d.object.Size += int64(n)
	return n, err
}

func (d *draft) content() io.Reader {
	if d.file == nil {
		return bytes.NewReader(d.buf.Bytes())
	}
	rest := io.NewSectionReader(d.file, 0, d.object.Size-int64(d.buf.Len()))
	return io.MultiReader(bytes.NewReader(d.buf.Bytes()), rest)
}

// discard frees what the draft holds; it may be called at any time.
func (d *draft) discard() {
	if d.file != nil {
		d.file.Close()
	}
	d.file, d.buf, d.closed = nil, bytes.Buffer{}, true
}

// verify compares the content with the checksums of the metadata and of the
// X-Goog-Hash headers ("crc32c=…,md5=…").
func (d *draft) verify(headers []string) error {
	crcs, md5s := []string{d.want.Crc32c}, []string{d.want.Md5Hash}
	for item := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		switch name {
		case "crc32c":
			crcs = append(crcs, value)
		case "md5":
			md5s = append(md5s, value)
		}
	}
	if !allMatch(crcs, binary.BigEndian.AppendUint32(nil, d.crc)) || !allMatch(md5s, d.md5.Sum(nil)) {
		return badRequest("Provided checksum doesn't match the content that was received.")
	}
	return nil
}

func allMatch(wants []string, got []byte) bool {
	for _, want := range wants {
		if want == "" {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(want)
		if err != nil || !bytes.Equal(b, got) {
			return false
		}
	}
	return true
}

// commit makes the draft the object, if its preconditions still hold. The
// content is written before the lock is taken; under it only the check and the
// byte that makes the record live.
func (s *Server) commit(d *draft) (*object, error) {
	s.mu.RLock()
	b, err := s.bucket(d.bucket)
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	o := d.object
	o.CRC32C, o.MD5 = d.crc, d.md5.Sum(nil)
	o.Generation, o.Created = s.generation(), s.now()
	if o.record, err = b.pack.append(&o, d.content()); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := b.objects[o.Name]
	if err := d.cond.check(old, false); err != nil {
		return nil, errors.Join(err, b.pack.kill(o.record))
	}
	if err := b.pack.setState(o.record, liveState); err != nil {
		return nil, err
	}
	b.objects[o.Name] = &o
	if old != nil {
		return &o, b.pack.kill(old.record)
	}
	return &o, nil
}
