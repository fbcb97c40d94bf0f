package channel

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/email"
)

// Limits of what goes out with a mail (AR-1).
const (
	maxFiles     = 10
	maxFileBytes = 25 << 20 // of all inline images together, and of all files
)

// Inline is a picture that a mail's HTML shows at "cid:" and ContentID. One
// that it does not show goes along as a file.
type Inline struct {
	File      string `json:"file"` // ID of the upload
	ContentID string `json:"content_id"`
}

// uploads are the IDs of all that goes along: the pictures, then the files.
func (w Words) uploads() []string {
	var ids []string
	for _, p := range w.Inline {
		ids = append(ids, p.File)
	}
	return append(ids, w.Files...)
}

// field is the name of the input that names the i-th of the uploads.
func (w Words) field(i int) string {
	if i < len(w.Inline) {
		return fmt.Sprintf("inline[%d].file", i)
	}
	return fmt.Sprintf("files[%d]", i-len(w.Inline))
}

// enclosures names what is wrong with files and pictures by themselves.
func (e *Invalid) enclosures(w Words) {
	e.most("inline", len(w.Inline))
	e.most("files", len(w.Files))
	ids := w.uploads()
	for i, id := range ids {
		switch {
		case !plainID(id):
			e.add(w.field(i), "%q is no ID of an uploaded file", id)
		case slices.Contains(ids[:i], id):
			e.add(w.field(i), "%q goes along already: upload it once for each place", id)
		}
	}
	shows := make([]string, len(w.Inline))
	for i, p := range w.Inline {
		shows[i] = p.ContentID
	}
	e.pictures("html", w.HTML, "inline", shows)
}

// most refuses more files than a mail may have.
func (e *Invalid) most(field string, n int) {
	if n > maxFiles {
		e.add(field, "%d files, at most %d: leave out %d", n, maxFiles, n-maxFiles)
	}
}

// sum refuses more bytes than a mail may have.
func (e *Invalid) sum(field string, size int64) {
	if size > maxFileBytes {
		e.add(field, "%s together, at most %s: leave some out, or make them smaller", bytesText(size), bytesText(maxFileBytes))
	}
}

// plainContentID is a Content-ID that needs no quotes anywhere.
var plainContentID = regexp.MustCompile(`^[A-Za-z0-9!#$&'*+./=?^_{|}~@-]{1,200}$`)

// pictures holds the Content-IDs of inline pictures against the HTML that shows them.
func (e *Invalid) pictures(field, html, inline string, shows []string) {
	for i, id := range shows {
		at := fmt.Sprintf("%s[%d].content_id", inline, i)
		switch {
		case id == "":
			e.add(at, "missing")
		case !plainContentID.MatchString(id):
			e.add(at, "%q is no Content-ID of letters, digits and dots", id)
		case slices.Contains(shows[:i], id):
			e.add(at, "%q is that of another picture", id)
		}
	}
	for _, id := range email.ContentIDs(html) {
		if !slices.Contains(shows, id) {
			e.add(field, "shows %q, and no inline picture has that content_id: add it to %s, or take it out", "cid:"+id, inline)
		}
	}
}

// enclose reads the uploads that go along with a mail, and opens them and the
// signature's pictures for it.
func (d *Desk) enclose(ctx context.Context, who Actor, n *outgoing) error {
	ids := n.words.uploads()
	uploads, found, err := readUploads(ctx, d.Docs, ids)
	if err != nil {
		return err
	}
	var bad Invalid
	shown := email.ContentIDs(n.words.HTML)
	sums := map[string]int64{}
	for i, u := range uploads {
		at, now := n.words.field(i), d.Now().UTC()
		list, _, _ := strings.Cut(at, "[")
		sums[list] += u.Size
		a := Attachment{Name: u.Name, Type: u.Type, Size: u.Size, Object: u.Object}
		if list == "inline" {
			a.ContentID = n.words.Inline[i].ContentID
			a.Inline = slices.Contains(shown, a.ContentID)
		}
		switch why := u.usable(found[i] && u.By == who.ID, now); {
		case why != "":
			bad.add(at, "%s", why)
		case list == "inline" && !strings.HasPrefix(u.Type, "image/"):
			bad.add(at, "%q is %s and no picture: send it in files", u.Name, u.Type)
		}
		n.enclosed = append(n.enclosed, a)
	}
	bad.sum("inline", sums["inline"])
	bad.sum("files", sums["files"])
	n.fits(&bad, sums["inline"])
	n.attach(ctx, d.Archive)
	return bad.err()
}

// parts makes a mail's parts: what its HTML shows, and the files.
func parts(list []Attachment, open func(Attachment) (io.ReadCloser, error)) (inline, files []email.File) {
	for _, a := range list {
		f := email.File{Name: a.Name, Type: a.Type, ContentID: a.ContentID, Open: func() (io.ReadCloser, error) { return open(a) }}
		if a.Inline {
			inline = append(inline, f)
		} else {
			files = append(files, f)
		}
	}
	return inline, files
}

// take reads the uploads once more in the transaction that gives them to the
// mail. It fails with ErrExists if the mail has them already.
func (n *outgoing) take(ctx context.Context, tx Tx) error {
	ids := n.words.uploads()
	if len(ids) == 0 {
		return nil
	}
	_, found, err := readUploads(ctx, tx, ids)
	if err != nil || !slices.Contains(found, false) {
		return err
	}
	if o, err := get[Outbound](ctx, tx, outboundPath(n.id)); err != nil || o != nil {
		return cmp.Or(err, ErrExists)
	}
	return conflict("%s was just sent with another mail: upload it again", n.words.field(slices.Index(found, false)))
}

// taken ends the uploads: their objects are the message's.
func (n *outgoing) taken(tx Tx) {
	for _, id := range n.words.uploads() {
		tx.Delete(uploadPath(id))
	}
}
