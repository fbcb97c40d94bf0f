package channel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/filetype"
	"emailchannel.dev/emailchannel/shared/reply"
)

// response names what is wrong with an auto-response by itself (AR-1, AR-2).
func (e *Invalid) response(r AutoResponse) {
	e.template("response.html", reply.Validate(r.HTML))
	if r.On && strings.TrimSpace(r.HTML) == "" {
		e.add("response.html", "missing")
	}
	e.files("response.inline", r.Inline, true)
	shows := make([]string, len(r.Inline))
	for i, f := range r.Inline {
		shows[i] = f.ContentID
	}
	e.pictures("response.html", r.HTML, "response.inline", shows)
	e.files("response.files", r.Files, false)
}

// files names what is wrong with a list of files, as far as their names tell.
func (e *Invalid) files(field string, files []File, pictures bool) {
	e.most(field, len(files))
	var size int64
	for i, f := range files {
		size += max(f.Size, 0)
		at := fmt.Sprintf("%s[%d]", field, i)
		kind, err := filetype.ByName(f.Name, f.Type)
		var refused *filetype.Refused
		switch {
		case errors.As(err, &refused):
			e.add(at+"."+refused.Part, "%v", refused)
		case pictures && !kind.Image:
			e.add(at+".type", "%q is a %s and no picture", f.Name, kind.Kind)
		}
		if f.Object == "" || strings.Contains(f.Object, "..") {
			e.add(at+".object", "%q is no object of the archive", f.Object)
		}
	}
	e.sum(field, size)
}

// all are the pictures and the files.
func (r AutoResponse) all() []File { return append(slices.Clone(r.Inline), r.Files...) }

// field is the name of the input that has the i-th of all.
func (r AutoResponse) field(i int) string {
	if i < len(r.Inline) {
		return fmt.Sprintf("response.inline[%d]", i)
	}
	return fmt.Sprintf("response.files[%d]", i-len(r.Inline))
}

// uploaded refuses files that nobody looked into: each is an upload, with its
// type and size, or was there before under the same name.
func (r AutoResponse) uploaded(ctx context.Context, docs Reader, before AutoResponse, now time.Time) error {
	var bad Invalid
	var fields, ids []string
	var files []File
	had := before.all()
	for i, f := range r.all() {
		id, ok := strings.CutPrefix(f.Object, uploadsPath)
		switch {
		case slices.ContainsFunc(had, f.sameFile):
		case !ok || !plainID(id):
			bad.add(r.field(i)+".object", "%q is no uploaded file", f.Object)
		default:
			fields, ids, files = append(fields, r.field(i)), append(ids, id), append(files, f)
		}
	}
	uploads, found, err := readUploads(ctx, docs, ids)
	if err != nil {
		return err
	}
	for i, u := range uploads {
		if slices.ContainsFunc(had, func(f File) bool { return f.Object == u.Object }) {
			u.ExpiresAt = now.Add(keepUpload) // in use, under another name
		}
		bad.matches(fields[i], files[i], u, u.usable(found[i], now))
	}
	return bad.err()
}

// sameFile tells whether g is f, wherever the HTML shows it.
func (f File) sameFile(g File) bool {
	f.ContentID, g.ContentID = "", ""
	return f == g
}

// matches holds a file against its upload; why is what is wrong with that.
func (e *Invalid) matches(at string, f File, u Upload, why string) {
	kind, err := filetype.ByName(f.Name, "")
	switch {
	case why != "":
		e.add(at+".object", "%s", why)
	case err != nil || kind.Media != u.Type:
		e.add(at+".name", "%q was uploaded as %q, which is %s", f.Name, u.Name, u.Type)
	case f.Type != u.Type:
		e.add(at+".type", "%q is %s", f.Name, u.Type)
	case f.Size != u.Size:
		e.add(at+".size", "%q has %d bytes", f.Name, u.Size)
	}
}
