package archive

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"
)

// partSize is what goes up in one request, and S3's smallest for all parts but
// the last: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const partSize = 5 << 20

// conflicts is how often a small object is sent again while another writer's
// has not been decided: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
const conflicts = 5

// Put stores what r gives, under a name that is not used yet. An object that
// exists is left as it is, and that is success. When r fails nothing is stored,
// and its error is wrapped.
func (s *S3) Put(ctx context.Context, name, contentType string, r io.Reader) error {
	var buf bytes.Buffer
	n, err := io.CopyN(&buf, r, partSize)
	if err != nil && err != io.EOF {
		return fmt.Errorf("archive: put %s: %w", name, err)
	}
	opts := minio.PutObjectOptions{ContentType: contentType, DisableContentSha256: true} // which means: no streaming signature
	if n < partSize {
		err = s.whole(ctx, s.folder+name, buf.Bytes(), opts)
	} else {
		err = s.parts(ctx, s.folder+name, buf.Bytes(), r, opts)
	}
	if err != nil {
		return fmt.Errorf("archive: put %s: %w", name, told(err))
	}
	return nil
}

// once calls write with a condition that makes it fail if the object exists,
// as far as the server can do that.
func (s *S3) once(ctx context.Context, name string, opts minio.PutObjectOptions, write func(minio.PutObjectOptions) error) error {
	if !s.plain.Load() {
		conditional := opts
		conditional.SetMatchETagExcept("*")
		err := write(conditional)
		switch e := minio.ToErrorResponse(err); {
		case err == nil, e.StatusCode == http.StatusPreconditionFailed: // written, by whom ever
			return nil
		case e.StatusCode != http.StatusNotImplemented:
			return err
		}
		s.plain.Store(true)
	}
	_, err := s.api.StatObject(ctx, s.bucket, name, minio.StatObjectOptions{})
	if err == nil {
		return nil
	}
	if minio.ToErrorResponse(err).Code != minio.NoSuchKey {
		return err
	}
	return write(opts)
}

func (s *S3) whole(ctx context.Context, name string, data []byte, opts minio.PutObjectOptions) error {
	md5Sum, sha := sums(data)
	for try := 0; ; try++ {
		err := s.once(ctx, name, opts, func(o minio.PutObjectOptions) error {
			_, err := s.api.PutObject(ctx, s.bucket, name, bytes.NewReader(data), int64(len(data)), md5Sum, sha, o)
			return err
		})
		if try == conflicts || minio.ToErrorResponse(err).StatusCode != http.StatusConflict {
			return err
		}
	}
}

// parts uploads an object of which first was read already, in parts, each from
// the same buffer. Whatever fails, the upload is given up, so that nothing of
// it is stored or paid for.
func (s *S3) parts(ctx context.Context, name string, first []byte, r io.Reader, opts minio.PutObjectOptions) (err error) {
	id, err := s.api.NewMultipartUpload(ctx, s.bucket, name, opts)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			err = errors.Join(err, s.abort(ctx, name, id))
		}
	}()
	var list []minio.CompletePart
	for data := first; len(data) > 0; {
		md5Sum, sha := sums(data)
		p, err := s.api.PutObjectPart(ctx, s.bucket, name, id, len(list)+1, bytes.NewReader(data), int64(len(data)),
			minio.PutObjectPartOptions{Md5Base64: md5Sum, Sha256Hex: sha, DisableContentSha256: true})
		if err != nil {
			return err
		}
		list = append(list, minio.CompletePart{PartNumber: p.PartNumber, ETag: p.ETag})
		n, err := io.ReadFull(r, first)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		data = first[:n]
	}
	err = s.once(ctx, name, opts, func(o minio.PutObjectOptions) error {
		_, err := s.api.CompleteMultipartUpload(ctx, s.bucket, name, id, list, o)
		done = err == nil
		return err
	})
	if e := minio.ToErrorResponse(err); e.Code == minio.NoSuchUpload || e.StatusCode == http.StatusConflict {
		// An earlier attempt, of which the answer was lost, or another writer was faster.
		if _, there := s.api.StatObject(ctx, s.bucket, name, minio.StatObjectOptions{}); there == nil {
			return nil
		}
	}
	return err
}

// abort gives an upload up, also when the caller's time is over.
func (s *S3) abort(ctx context.Context, name, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := s.api.AbortMultipartUpload(ctx, s.bucket, name, id)
	if minio.ToErrorResponse(err).Code == minio.NoSuchUpload {
		return nil // a completion whose answer was lost, or a server that restarted
	}
	return err
}

// sums are the hashes by which the server checks what it got.
func sums(data []byte) (md5Base64, sha256Hex string) {
	m, h := md5.Sum(data), sha256.Sum256(data)
	return base64.StdEncoding.EncodeToString(m[:]), hex.EncodeToString(h[:])
}
