package api

import (
	"cmp"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"emailchannel.dev/emailchannel/shared/channel"
)

// maxUpload bounds the body of an upload: a file of the largest kind, and the
// form around it. What a kind of file may have is the use case's to say. Cloud
// Run takes bodies above 32 MiB over HTTP/2 only.
const maxUpload = 200<<20 + 64<<10

// upload takes one file: as the body itself, with its name in the query, or as
// the only part of a form, as browsers send it.
func (s *server) upload(c *call) (any, error) {
	q, err := c.query("name")
	if err != nil {
		return nil, err
	}
	declared := c.r.Header.Get("Content-Type")
	body := &received{http.MaxBytesReader(c.w, c.r.Body, maxUpload)}
	name, content := q["name"], io.Reader(body)
	if mediaType, params, err := mime.ParseMediaType(declared); err == nil && mediaType == "multipart/form-data" {
		form := multipart.NewReader(body, params["boundary"])
		part, err := form.NextPart()
		if err != nil {
			return nil, unread(err)
		}
		if part.FormName() != "file" || part.FileName() == "" {
			return nil, &channel.Invalid{Fields: []channel.Field{{Name: part.FormName(), Message: "is not known here: the form has one part, file, with a filename"}}}
		}
		name, content = cmp.Or(name, part.FileName()), &only{part: part, form: form}
		declared = part.Header.Get("Content-Type")
	}
	return s.Desk.Upload(c.ctx(), c.who, name, declared, content)
}

// only reads the part of a form that has no other.
type only struct {
	part *multipart.Part
	form *multipart.Reader
}

func (o *only) Read(p []byte) (int, error) {
	n, err := o.part.Read(p)
	if err != io.EOF {
		return n, unread(err)
	}
	switch next, err := o.form.NextPart(); {
	case err == nil:
		return 0, &channel.Invalid{Fields: []channel.Field{{Name: next.FormName(), Message: "is one part too many: a request uploads one file"}}}
	case err != io.EOF:
		return 0, unread(err)
	}
	return n, io.EOF
}

// received is a body whose errors are told from those of the archive.
type received struct{ r io.Reader }

func (r *received) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != io.EOF {
		err = unread(err)
	}
	return n, err
}

// unread is the error of a body that is cut off or malformed: the caller's.
func unread(err error) error {
	var large *http.MaxBytesError
	var known *statusError
	if err == nil || errors.As(err, &large) || errors.As(err, &known) {
		return err
	}
	return &statusError{http.StatusBadRequest, "the body cannot be read to its end: " + err.Error()}
}
