package storage

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// uploadLife is how long an unfinished upload is kept; the cloud keeps a week,
// but here each holds memory and a file.
const uploadLife = 24 * time.Hour

// uploads are the resumable uploads of this process. They do not survive it:
// none was acknowledged, and a client starts a lost one (404) anew.
type uploads struct {
	mu   sync.Mutex
	byID map[string]*resumable
}

type resumable struct {
	mu      sync.Mutex // one chunk at a time
	draft   *draft
	done    *object // the answer for whoever repeats the last chunk
	started time.Time
}

func (u *uploads) add(d *draft, now time.Time) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, up := range u.byID {
		if now.Sub(up.started) > uploadLife {
			up.drop()
			delete(u.byID, id)
		}
	}
	if u.byID == nil {
		u.byID = map[string]*resumable{}
	}
	id := rand.Text()
	u.byID[id] = &resumable{draft: d, started: now}
	return id
}

func (u *uploads) get(id string) *resumable {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.byID[id]
}

func (u *uploads) dropAll() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, up := range u.byID {
		up.drop()
	}
	u.byID = nil
}

func (up *resumable) drop() {
	up.mu.Lock()
	defer up.mu.Unlock()
	up.draft.discard()
}

func (s *Server) startResumable(w http.ResponseWriter, r *http.Request, bucketName string) error {
	meta, err := decodeMetadata(r.Body)
	if err != nil {
		return err
	}
	if meta.ContentType == "" {
		meta.ContentType = r.Header.Get("X-Upload-Content-Type")
	}
	d, err := s.begin(bucketName, meta, r.URL.Query())
	if err != nil {
		return err
	}
	id := s.uploads.add(d, s.now())
	location := url.Values{"uploadType": {"resumable"}, "upload_id": {id}}
	w.Header().Set("Location", fmt.Sprintf("%s/upload/storage/v1/b/%s/o?%s", baseURL(r), bucketName, location.Encode()))
	w.Header().Set("X-GUploader-UploadID", id)
	w.WriteHeader(http.StatusOK)
	return nil
}

// resume takes one chunk, or tells how far the upload has come.
// https://cloud.google.com/storage/docs/performing-resumable-uploads
func (s *Server) resume(w http.ResponseWriter, r *http.Request, id string) error {
	up := s.uploads.get(id)
	if up == nil {
		return notFound("no upload %s", id)
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	if r.Method == http.MethodDelete {
		up.draft.discard()
		w.WriteHeader(499) // the status that the cloud documents for a cancelled upload
		return nil
	}
	if up.done == nil {
		complete, err := up.take(r)
		if err != nil {
			return err
		}
		if !complete {
			answerIncomplete(w, r, up.draft.object.Size)
			return nil
		}
		if err := s.finish(r, up); err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusOK, up.done.raw(up.draft.bucket, baseURL(r)))
	return nil
}

func (s *Server) finish(r *http.Request, up *resumable) (err error) {
	defer up.draft.discard()
	if err := up.draft.verify(r.Header.Values("X-Goog-Hash")); err != nil {
		return err
	}
	up.done, err = s.commit(up.draft)
	return err
}

// take appends the chunk and tells whether it was the last. A chunk that was
// sent again after a lost answer overlaps what is there; the overlap is skipped.
func (up *resumable) take(r *http.Request) (complete bool, err error) {
	d := up.draft
	if d.closed {
		return false, errorf(http.StatusGone, "gone", "the upload was cancelled or has failed")
	}
	c, err := parseChunk(r.Header.Get("Content-Range"))
	if err != nil {
		return false, err
	}
	if !c.query {
		if c.start > d.object.Size {
			return false, badRequest("chunk starts at %d, expected %d", c.start, d.object.Size)
		}
		if _, err := io.CopyN(io.Discard, r.Body, d.object.Size-c.start); err != nil && err != io.EOF {
			return false, badRequest("chunk: %v", err)
		}
		if _, err := io.Copy(d, r.Body); err != nil {
			return false, badRequest("chunk: %v", err)
		}
	}
	if c.total >= 0 && d.object.Size > c.total {
		return false, badRequest("%d bytes received of a total of %d", d.object.Size, c.total)
	}
	return d.object.Size == c.total, nil
}

// answerIncomplete is 308 in the cloud's own meaning; the Go client asks for it
// in a header of a 200, because RFC 7538 gave 308 another one.
func answerIncomplete(w http.ResponseWriter, r *http.Request, size int64) {
	if size > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", size-1))
	}
	if r.Header.Get("X-GUploader-No-308") == "yes" {
		w.Header().Set("X-Http-Status-Code-Override", "308")
		w.WriteHeader(http.StatusOK)
		return
	}
	w.WriteHeader(http.StatusPermanentRedirect)
}

type chunk struct {
	start, total int64 // total is -1 while it is unknown
	query        bool  // no content, only "how far are you" or "that was all"
}

// parseChunk reads "bytes 0-99/200", "bytes 0-99/*", "bytes */200", "bytes */*"
// or nothing, which is the whole content in one chunk.
func parseChunk(header string) (chunk, error) {
	bad := badRequest("Content-Range: %q", header)
	if header == "" {
		return chunk{}, badRequest("Content-Range is missing")
	}
	span, total, ok := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	if !ok {
		return chunk{}, bad
	}
	c := chunk{total: -1, query: span == "*"}
	var err error
	if total != "*" {
		if c.total, err = strconv.ParseInt(total, 10, 64); err != nil {
			return chunk{}, bad
		}
	}
	if !c.query {
		first, _, _ := strings.Cut(span, "-")
		if c.start, err = strconv.ParseInt(first, 10, 64); err != nil || c.start < 0 {
			return chunk{}, bad
		}
	}
	return c, nil
}
