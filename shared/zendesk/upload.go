package zendesk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Errors of uploads that are not sent.
var (
	ErrUploadTooLarge = errors.New("zendesk: file is larger than 50 MB")
	ErrNoName         = errors.New("zendesk: a file needs a name")
)

// Upload stores a file and returns the token for Comment.Uploads. The token lives 60 minutes and is used up by one
// comment. The content is streamed; ErrUploadTooLarge when it has more than MaxUpload bytes.
func (c *Client) Upload(ctx context.Context, name, contentType string, r io.Reader) (token string, err error) {
	if name == "" {
		return "", fmt.Errorf("zendesk Upload: %w", ErrNoName)
	}
	var out struct {
		Upload struct {
			Token string `json:"token"`
		} `json:"upload"`
	}
	err = c.do(ctx, request{
		name: "Upload", method: http.MethodPost, path: "/uploads", query: url.Values{"filename": {name}},
		header: map[string]string{"Content-Type": cmp.Or(contentType, "application/octet-stream")},
		raw:    &bounded{r: r, left: MaxUpload}, size: sizeOf(r), out: &out,
	})
	return out.Upload.Token, err
}

// sizeOf is the length of a content in memory; 0 when only reading it tells.
func sizeOf(r io.Reader) int64 {
	if b, ok := r.(interface{ Len() int }); ok {
		return int64(b.Len())
	}
	return 0
}

// bounded fails instead of ending where the limit is: a cut file must not be taken for a whole one.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, ErrUploadTooLarge
	}
	return n, err
}
