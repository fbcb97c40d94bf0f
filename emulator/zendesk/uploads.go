package zendesk

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// uploadLife is how long an upload's token may be used; maxUpload is the largest file.
const (
	uploadLife = 60 * time.Minute
	maxUpload  = 50 << 20
)

// uploadFile takes the body as one file. It runs without the server's lock, as a body may come slowly.
func uploadFile(s *Server, c *call) (answer, error) {
	name := c.query("filename")
	if name == "" {
		return answer{}, badRequest("MissingParameter", "filename: is missing")
	}
	s.mu.Lock()
	s.state.lastFile++
	id := s.state.lastFile
	s.mu.Unlock()

	size, err := s.storeFile(id, http.MaxBytesReader(nil, c.r.Body, maxUpload))
	if err != nil {
		return answer{}, err
	}
	file := attachment{
		ID: id, FileName: name, Size: size,
		ContentType: cmp.Or(c.r.Header.Get("Content-Type"), "application/octet-stream"),
		ContentURL:  fmt.Sprintf("/attachments/%d/%s", id, url.PathEscape(name)),
	}
	a, err := s.addUpload(c, file)
	if err != nil {
		_ = os.Remove(s.filePath(id)) // nothing refers to it
	}
	return a, err
}

func (s *Server) addUpload(c *call, file attachment) (answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropExpiredUploads(c.now)
	up := &upload{Token: rand.Text(), CreatedAt: c.now}
	if token := c.query("token"); token != "" {
		old := s.state.uploads[token]
		if old == nil || old.expired(c.now) {
			return answer{}, invalid("token", "Token: is not valid or has expired", "InvalidValue")
		}
		copied := *old
		up = &copied
	}
	up.Attachments = append(up.Attachments[:len(up.Attachments):len(up.Attachments)], file)
	b := new(batch)
	b.upload(up)
	if err := s.commit(b); err != nil {
		return answer{}, err
	}
	files := make([]attachment, len(up.Attachments))
	for i, a := range up.Attachments {
		a.ContentURL = c.base + a.ContentURL
		files[i] = a
	}
	body := map[string]any{"token": up.Token, "attachment": files[len(files)-1], "attachments": files}
	return answer{status: http.StatusCreated, body: map[string]any{"upload": body}}, nil
}

func (s *Server) filePath(id int64) string {
	return filepath.Join(s.opts.Dir, "files", strconv.FormatInt(id, 10))
}

func (s *Server) storeFile(id int64, body io.Reader) (int64, error) {
	f, err := os.OpenFile(s.filePath(id), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	size, err := io.Copy(f, body)
	if err = errors.Join(err, f.Close()); err == nil {
		return size, nil
	}
	_ = os.Remove(f.Name()) // nothing refers to it
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return 0, &failure{status: http.StatusRequestEntityTooLarge, code: "AttachmentTooLarge", description: "The file is larger than 50 MB"}
	}
	return 0, err
}

func (up *upload) expired(now time.Time) bool { return !now.Before(up.CreatedAt.Add(uploadLife)) }

// takeUpload gives the token's files to a comment; the token is used up with the batch.
func (s *Server) takeUpload(b *batch, token string, now time.Time) ([]attachment, error) {
	up := s.state.uploads[token]
	if up == nil || up.expired(now) {
		return nil, invalid("uploads", "Uploads: token is not valid or has expired", "InvalidValue")
	}
	used := *up
	used.Used = true
	b.upload(&used)
	return up.Attachments, nil
}

// dropExpiredUploads removes what no comment took in time, and its files.
func (s *Server) dropExpiredUploads(now time.Time) {
	if now.Before(s.state.uploadsSwept.Add(time.Minute)) {
		return
	}
	s.state.uploadsSwept = now
	for token, up := range s.state.uploads {
		if !up.expired(now) {
			continue
		}
		delete(s.state.uploads, token)
		for _, a := range up.Attachments {
			_ = os.Remove(s.filePath(a.ID)) // left behind it harms nobody
		}
	}
}

// serveAttachment shows a file to anybody who has its address. It is never shown inside a page of this origin.
func (s *Server) serveAttachment(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Disposition", "attachment")
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeFile(w, r, s.filePath(id))
}
