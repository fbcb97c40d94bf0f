package storage

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// find gives an object that satisfies the request's generation and
// preconditions, and its content. If the object is deleted or replaced while the
// content is read, zeros come, and the client's checksum refuses them.
func (s *Server) find(r *http.Request, t target) (*object, *io.SectionReader, error) {
	cond, err := parseConditions(r.URL.Query())
	if err != nil {
		return nil, nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(t.bucket)
	if err != nil {
		return nil, nil, err
	}
	o := b.objects[t.object]
	if o == nil {
		return nil, nil, noSuchObject(t)
	}
	if gen := r.URL.Query().Get("generation"); gen != "" && gen != strconv.FormatInt(o.Generation, 10) {
		return nil, nil, noSuchObject(t)
	}
	if err := cond.check(o, true); err != nil {
		return nil, nil, err
	}
	return o, b.pack.content(o.record), nil
}

func noSuchObject(t target) error { return notFound("No such object: %s/%s", t.bucket, t.object) }

func (s *Server) get(w http.ResponseWriter, r *http.Request, t target) error {
	s.stats.count(r, opRead)
	o, _, err := s.find(r, t)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, o.raw(t.bucket, baseURL(r)))
	return nil
}

// download streams the content; ranges are the standard library's, RFC 9110 §14.
func (s *Server) download(w http.ResponseWriter, r *http.Request, t target) error {
	s.stats.count(r, opRead)
	o, content, err := s.find(r, t)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Add("X-Goog-Hash", "crc32c="+o.crc32c())
	h.Add("X-Goog-Hash", "md5="+base64.StdEncoding.EncodeToString(o.MD5))
	h.Set("X-Goog-Generation", strconv.FormatInt(o.Generation, 10))
	h.Set("X-Goog-Metageneration", "1")
	h.Set("X-Goog-Stored-Content-Length", strconv.FormatInt(o.Size, 10))
	h.Set("Etag", fmt.Sprintf("%q", o.etag()))
	h.Set("Content-Type", o.ContentType)
	for name, value := range map[string]string{
		"Content-Encoding": o.ContentEncoding, "Content-Disposition": o.ContentDisposition,
		"Content-Language": o.ContentLanguage, "Cache-Control": o.CacheControl,
	} {
		if value != "" {
			h.Set(name, value)
		}
	}
	for name, value := range o.Metadata {
		h.Set("X-Goog-Meta-"+name, value)
	}
	http.ServeContent(w, r, "", o.Created, content)
	return nil
}

func (s *Server) delete(w http.ResponseWriter, r *http.Request, t target) error {
	s.stats.count(r, opDelete)
	cond, err := parseConditions(r.URL.Query())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.bucket(t.bucket)
	if err != nil {
		return err
	}
	o := b.objects[t.object]
	if o == nil {
		return noSuchObject(t)
	}
	if err := cond.check(o, false); err != nil {
		return err
	}
	if err := b.pack.kill(o.record); err != nil {
		return err
	}
	delete(b.objects, o.Name)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
