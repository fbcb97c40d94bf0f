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

// Limits of a queue's rich text. A mail may have to hold it beside an agent's
// words, and a queue both in one document.
const (
	maxResponseHTML  = 200 << 10 // bytes
	maxSignatureHTML = 64 << 10
)

// response names what is wrong with an auto-response by itself (AR-1, AR-2).
func (e *Invalid) response(r AutoResponse) {
	e.rich("response.html", r.HTML, maxResponseHTML)
	e.template("response.html", reply.Validate(r.HTML))
	if r.On && strings.TrimSpace(r.HTML) == "" {
		e.add("response.html", "missing")
	}
	e.sum("response.inline", e.files("response.inline", r.Inline, true))
	e.pictures("response.html", r.HTML, "response.inline", contentIDs(r.Inline))
	e.sum("response.files", e.files("response.files", r.Files, false))
}

// signature names what is wrong with a signature by itself (SG-1).
func (e *Invalid) signature(s Signature) {
	e.rich("signature.html", s.HTML, maxSignatureHTML)
	e.template("signature.html", reply.ValidateSignature(s.HTML))
	if s.On && strings.TrimSpace(s.HTML) == "" {
		e.add("signature.html", "missing")
	}
	if size := e.files("signature.inline", s.Inline, true); size > maxPicture {
		e.add("signature.inline", "%s together, at most %s: leave some out, or make them smaller", bytesText(size), bytesText(maxPicture))
	}
	e.pictures("signature.html", s.HTML, "signature.inline", contentIDs(s.Inline))
}

// rich refuses HTML that is too long, or that does something.
func (e *Invalid) rich(field, html string, most int) {
	if len(html) > most {
		e.add(field, "%s, at most %s: pictures go into the list of pictures", bytesText(int64(len(html))), bytesText(int64(most)))
		return
	}
	e.template(field, reply.ValidateMarkup(html))
}

func contentIDs(files []File) []string {
	ids := make([]string, len(files))
	for i, f := range files {
		ids[i] = f.ContentID
	}
	return ids
}

// files names what is wrong with a list of files, as far as their names tell,
// and returns how many bytes they have together.
func (e *Invalid) files(field string, files []File, pictures bool) (size int64) {
	e.most(field, len(files))
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
	return size
}

// placed is a file of a queue's settings, and the input that names it.
type placed struct {
	field string
	File
}

// placed are all files that go out with the queue's mail.
func (q Queue) placed() []placed {
	var out []placed
	for _, list := range []struct {
		field string
		files []File
	}{{"response.inline", q.Response.Inline}, {"response.files", q.Response.Files}, {"signature.inline", q.Signature.Inline}} {
		for i, f := range list.files {
			out = append(out, placed{fmt.Sprintf("%s[%d]", list.field, i), f})
		}
	}
	return out
}

// uploaded refuses files that nobody looked into: each is an upload, with its
// type and size, or was there before under the same name.
func (q Queue) uploaded(ctx context.Context, docs Reader, before Queue, now time.Time) error {
	var bad Invalid
	var ids []string
	var fresh []placed
	had := before.placed()
	for _, f := range q.placed() {
		id, ok := strings.CutPrefix(f.Object, uploadsPath)
		switch {
		case slices.ContainsFunc(had, f.sameFile):
		case !ok || !plainID(id):
			bad.add(f.field+".object", "%q is no uploaded file", f.Object)
		default:
			ids, fresh = append(ids, id), append(fresh, f)
		}
	}
	uploads, found, err := readUploads(ctx, docs, ids)
	if err != nil {
		return err
	}
	for i, u := range uploads {
		if slices.ContainsFunc(had, func(f placed) bool { return f.Object == u.Object }) {
			u.ExpiresAt = now.Add(keepUpload) // in use, under another name
		}
		bad.matches(fresh[i].field, fresh[i].File, u, u.usable(found[i], now))
	}
	return bad.err()
}

// sameFile tells whether g is f, wherever the HTML shows it.
func (f placed) sameFile(g placed) bool {
	f.ContentID, g.ContentID = "", ""
	return f.File == g.File
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
