package storage

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"unicode/utf8"

	raw "google.golang.org/api/storage/v1"
)

// maxMetadata bounds the JSON that comes with an upload.
const maxMetadata = 256 << 10

// upload serves the three ways of
// https://cloud.google.com/storage/docs/uploads-downloads#uploads.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, bucketName string) error {
	q := r.URL.Query()
	if id := q.Get("upload_id"); id != "" {
		return s.resume(w, r, id)
	}
	if r.Method != http.MethodPost {
		return errorf(http.StatusMethodNotAllowed, "methodNotAllowed", "%s of an upload", r.Method)
	}
	s.stats.count(r, opWrite)
	switch q.Get("uploadType") {
	case "media":
		return s.uploadMedia(w, r, bucketName)
	case "multipart":
		return s.uploadMultipart(w, r, bucketName)
	case "resumable":
		return s.startResumable(w, r, bucketName)
	}
	return badRequest("uploadType %q", q.Get("uploadType"))
}

func (s *Server) uploadMedia(w http.ResponseWriter, r *http.Request, bucketName string) error {
	d, err := s.begin(bucketName, raw.Object{ContentType: r.Header.Get("Content-Type")}, r.URL.Query())
	if err != nil {
		return err
	}
	return s.receive(w, r, d, r.Body)
}

// uploadMultipart reads multipart/related: the metadata, then the content.
func (s *Server) uploadMultipart(w http.ResponseWriter, r *http.Request, bucketName string) error {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return badRequest("Content-Type: %v", err)
	}
	parts := multipart.NewReader(r.Body, params["boundary"])
	head, err := parts.NextRawPart()
	if err != nil {
		return badRequest("metadata part: %v", err)
	}
	meta, err := decodeMetadata(head)
	if err != nil {
		return err
	}
	content, err := parts.NextRawPart()
	if err != nil {
		return badRequest("content part: %v", err)
	}
	if meta.ContentType == "" {
		meta.ContentType = content.Header.Get("Content-Type")
	}
	d, err := s.begin(bucketName, meta, r.URL.Query())
	if err != nil {
		return err
	}
	return s.receive(w, r, d, content)
}

// receive takes the whole content and commits it.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, d *draft, content io.Reader) error {
	defer d.discard()
	if _, err := io.Copy(d, content); err != nil {
		return badRequest("content: %v", err) // cut off by the client: nothing is kept
	}
	if err := d.verify(r.Header.Values("X-Goog-Hash")); err != nil {
		return err
	}
	o, err := s.commit(d)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, o.raw(d.bucket, baseURL(r)))
	return nil
}

func decodeMetadata(r io.Reader) (meta raw.Object, err error) {
	err = json.NewDecoder(io.LimitReader(r, maxMetadata)).Decode(&meta)
	if err != nil && !errors.Is(err, io.EOF) {
		return meta, badRequest("metadata: %v", err)
	}
	return meta, nil
}

// begin starts a draft after checking all that can be checked before the
// content has come: a writer that must lose should not send 35 MB first.
func (s *Server) begin(bucketName string, meta raw.Object, q url.Values) (*draft, error) {
	if name := q.Get("name"); name != "" {
		meta.Name = name
	}
	if meta.Name == "" || len(meta.Name) > 1024 || !utf8.ValidString(meta.Name) {
		return nil, badRequest("Required: an object name of 1 to 1024 bytes of UTF-8")
	}
	cond, err := parseConditions(q)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	b, err := s.bucket(bucketName)
	if err == nil {
		err = cond.check(b.objects[meta.Name], false)
	}
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	return newDraft(bucketName, meta, cond), nil
}
