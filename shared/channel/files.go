package channel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/filetype"
)

// Upload is a file that somebody brought in to send it: files/{ID}, with its
// content in the archive under the same name. It is his, until it is used:
//
//   - A mail takes it over. The document goes with the mail's commit, the object
//     is the message's from then on and ends with it (ST-3, ST-5). So a file is
//     uploaded for each mail, and no two messages share one.
//   - A queue's auto-response or signature keeps it for as long as it names it.
//   - What nothing uses goes after [keepUpload].
//
// The name is random and not made from the content: what is erased of one end
// user must not be another's attachment, and the name is needed before the
// first byte is stored.
type Upload struct {
	ID        string    `json:"id"`
	Object    string    `json:"object"` // in the archive
	Name      string    `json:"name"`
	Type      string    `json:"type"` // media type, by name and content
	Size      int64     `json:"size"` // bytes; 0 until all of it is stored
	By        string    `json:"by"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expires_at"` // from when on it can be used no more
}

const (
	keepUpload  = 7 * 24 * time.Hour
	dropUpload  = time.Hour // after its end, so that none goes that is just being used
	maxPicture  = 200 << 20 // bytes of a picture: the documented limit of a signature's (SG-1)
	uploadsPath = "files/"
)

func uploadPath(id string) string { return uploadsPath + id }

// Upload stores a file that may be sent (AR-2) while it looks at it; of one
// that may not nothing stays. declared is the media type that the sender gives,
// empty when he gives none. A file may have 25 MB, a picture 200 MB; what goes
// with one mail has limits of its own. Errors: [*Invalid], field "file".
func (d *Desk) Upload(ctx context.Context, who Actor, name, declared string, content io.Reader) (*Upload, error) {
	check, err := filetype.New(name, declared)
	if err != nil {
		return nil, badFile(err)
	}
	kind, err := filetype.ByName(name, declared)
	if err != nil {
		return nil, badFile(err)
	}
	now := d.Now().UTC()
	u := Upload{ID: strings.ToLower(rand.Text()), Name: name, Type: kind.Media, By: who.ID, At: now, ExpiresAt: now.Add(keepUpload)}
	u.Object = uploadPath(u.ID)
	in := &inspected{r: content, name: name, check: check, most: maxFileBytes}
	if kind.Image {
		in.most = maxPicture
	}
	if err := d.keep(ctx, &u, in); err != nil {
		return nil, fmt.Errorf("upload %s: %w", u.ID, badFile(err))
	}
	return &u, nil
}

// keep stores the document first: by it Purge finds what a crash leaves.
func (d *Desk) keep(ctx context.Context, u *Upload, in *inspected) error {
	if err := d.Docs.Write(ctx, func(tx Tx) { tx.Create(uploadPath(u.ID), *u) }); err != nil {
		return err
	}
	err := d.Archive.Put(ctx, u.Object, u.Type, in)
	if in.err != nil {
		err = in.err // the archive may have put it in other words
	}
	if err != nil {
		return errors.Join(err, d.Docs.Write(ctx, func(tx Tx) { tx.Delete(uploadPath(u.ID)) }))
	}
	u.Size = in.n
	return d.Docs.Write(ctx, func(tx Tx) { tx.Set(uploadPath(u.ID), *u) })
}

// badFile turns a file that may not be sent into an input error.
func badFile(err error) error {
	var refused *filetype.Refused
	if errors.As(err, &refused) {
		return &Invalid{[]Field{{"file", refused.Error()}}}
	}
	return err
}

// inspected looks at what is read through it, and fails when that may not be
// sent: at the end at the latest, so that no archive takes it.
type inspected struct {
	r       io.Reader
	name    string
	check   *filetype.Check
	n, most int64
	err     error // other than io.EOF
}

func (i *inspected) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	i.n += int64(n)
	if _, refused := i.check.Write(p[:n]); refused != nil {
		err = refused
	} else if i.n > i.most {
		err = &Invalid{[]Field{{"file", fmt.Sprintf("%q has more than %s, the most that a file of its kind may have", i.name, bytesText(i.most))}}}
	} else if err == io.EOF {
		if _, refused := i.check.Done(); refused != nil {
			err = refused
		}
	}
	if err != nil && err != io.EOF {
		i.err = err
		n = 0
	}
	return n, err
}

// bytesText is a size as people read it, and to the byte.
func bytesText(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f MB (%d bytes)", float64(n)/(1<<20), n)
}

// usable tells why an upload cannot be sent, "" if it can.
func (u Upload) usable(found bool, now time.Time) string {
	switch {
	case !found || u.Size == 0:
		return "is no file that waits to be sent: upload it, for each mail anew"
	case !u.ExpiresAt.After(now):
		return fmt.Sprintf("%q was uploaded on %s and is kept for %d days: upload it again", u.Name, u.At.Format(time.DateOnly), int(keepUpload.Hours()/24))
	}
	return ""
}

// readUploads reads uploads by their IDs, which are plain.
func readUploads(ctx context.Context, r Reader, ids []string) ([]Upload, []bool, error) {
	uploads, refs, found := make([]Upload, len(ids)), make([]*Ref, len(ids)), make([]bool, len(ids))
	for i, id := range ids {
		refs[i] = &Ref{Path: uploadPath(id), Into: &uploads[i]}
	}
	if len(refs) > 0 {
		if err := r.Get(ctx, refs...); err != nil {
			return nil, nil, err
		}
	}
	for i, ref := range refs {
		found[i] = ref.Found
	}
	return uploads, found, nil
}
