// Package s3 is the S3 of the local cloud: gofakes3 speaks the protocol, and
// what it leaves to its backend and to nobody is here: objects on disk,
// conditional writes of multipart uploads, and credentials.
//
// It has to be as trustworthy as S3 in what the archive builds on:
//
//   - A write is whole or absent. An object is one file, renamed into place
//     before the answer is sent. A killed process (kill -9) loses no
//     acknowledged write and leaves no torn object. There is no fsync: a power
//     failure is not survived.
//   - If-None-Match: * lets exactly one of several racing writers win, for PUT
//     and for CompleteMultipartUpload
//     (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
//   - With [Options].AccessKey every request must be signed (SigV4 in the
//     Authorization header) with that key; a wrong one is refused with S3's own
//     codes. The signature covers the payload's hash as the client states it;
//     whether the payload has that hash is not checked.
//
// The parts of a multipart upload lie on disk, not in memory as in gofakes3's
// own uploader, and are gone after a restart: the client is told NoSuchUpload.
// Not served: versions, presigned URLs, streaming signatures, listing uploads.
package s3

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// Options configure a server.
type Options struct {
	// Dir keeps the objects across restarts. Empty means a new temporary
	// directory, which Close removes.
	Dir string
	// Buckets exist once Open returns.
	Buckets []string
	// AccessKey and SecretKey are the only credentials that are accepted.
	// Without AccessKey nobody is asked for any.
	AccessKey, SecretKey string
	// Now dates the objects; nil means time.Now.
	Now func() time.Time
}

// Server answers the S3 API from a directory.
type Server struct {
	o         Options
	temporary bool
	disk      *disk
	api       http.Handler
}

// Open loads what Dir holds and creates the buckets that are missing. It fails
// when the directory cannot be used or holds a file that is no object.
func Open(o Options) (*Server, error) {
	s := &Server{o: o}
	if s.o.Now == nil {
		s.o.Now = time.Now
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "emailchannel-s3-")
		if err != nil {
			return nil, fmt.Errorf("s3: temporary directory: %w", err)
		}
		s.o.Dir, s.temporary = dir, true
	}
	var err error
	if s.disk, err = openDisk(s.o.Dir, s.o.Now); err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	for _, name := range o.Buckets {
		if err := s.disk.CreateBucket(name); err != nil && !gofakes3.HasErrorCode(err, gofakes3.ErrBucketAlreadyExists) {
			return nil, fmt.Errorf("s3: bucket %s: %w", name, err)
		}
	}
	// The clients' clock is the machine's, whatever that of the suite says.
	s.api = gofakes3.New(s.disk, gofakes3.WithTimeSource(clock(s.o.Now)), gofakes3.WithTimeSkewLimit(0)).Server()
	return s, nil
}

// Close removes unfinished uploads, and the directory if it was a temporary
// one. The caller stops the HTTP server first.
func (s *Server) Close() error {
	err := os.RemoveAll(filepath.Join(s.o.Dir, uploadsDir))
	if s.temporary {
		err = errors.Join(err, os.RemoveAll(s.o.Dir))
	}
	return err
}

// Handler serves the API in path style. It may be called any number of times
// and wrapped, for example by fault injection.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.o.AccessKey != "" {
			if code, text := s.refuse(r); code != "" {
				writeError(w, http.StatusForbidden, code, text)
				return
			}
		}
		if id := r.URL.Query().Get("uploadId"); id != "" && r.Method == http.MethodPost && r.Header.Get("If-None-Match") == "*" {
			s.disk.demandAbsence(gofakes3.UploadID(id)) // gofakes3 does not hand the header on
		}
		s.api.ServeHTTP(w, r)
	})
}

type clock func() time.Time

func (c clock) Now() time.Time                  { return c().UTC() }
func (c clock) Since(t time.Time) time.Duration { return c().Sub(t) }
