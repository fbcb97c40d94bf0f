package archive

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"cloud.google.com/go/storage"
	"github.com/cenkalti/backoff/v5"
)

const (
	// small is the size up to which an object goes up in one request. Most mails
	// are below it.
	small = 256 << 10
	// chunk is the buffer of a larger upload; the library's default of 16 MiB
	// would be an instance's whole memory when a few mails come at once.
	chunk = 4 << 20
	// patience bounds the retries of a small upload.
	patience = 30 * time.Second
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Put stores what r gives, under a name that is not used yet. An object that
// exists is left as it is, and that is success. When r fails nothing is stored,
// and its error is wrapped.
func (g *GCS) Put(ctx context.Context, name, contentType string, r io.Reader) error {
	var head bytes.Buffer
	n, err := io.CopyN(&head, r, small+1)
	if err != nil && err != io.EOF {
		return fmt.Errorf("archive: put %s: %w", name, err)
	}
	if n <= small {
		err = g.putSmall(ctx, name, contentType, head.Bytes())
	} else {
		err = g.putLarge(ctx, name, contentType, io.MultiReader(&head, r))
	}
	if err != nil && !exists(err) {
		return fmt.Errorf("archive: put %s: %w", name, err)
	}
	return nil
}

func (g *GCS) writer(ctx context.Context, name, contentType string) *storage.Writer {
	w := g.object(name).If(storage.Conditions{DoesNotExist: true}).NewWriter(ctx)
	w.ContentType = contentType
	return w
}

// putSmall repeats here, because the library does not repeat a request without
// a chunk buffer. A repetition after a lost answer finds the object there.
func (g *GCS) putSmall(ctx context.Context, name, contentType string, data []byte) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		w := g.writer(ctx, name, contentType)
		w.ChunkSize = 0
		w.SendCRC32C, w.CRC32C = true, crc32.Checksum(data, castagnoli)
		_, err := w.Write(data)
		if closeErr := w.Close(); err == nil || closeErr != nil {
			err = closeErr // the server's answer; Write knows only that the request ended
		}
		if err != nil && !storage.ShouldRetry(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(patience))
	return err
}

func (g *GCS) putLarge(ctx context.Context, name, contentType string, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := g.writer(ctx, name, contentType)
	w.ChunkSize = chunk
	source := &failing{r: r}
	_, err := io.Copy(w, source)
	if source.err != nil {
		cancel() // or Close would store what has come so far
		w.Close()
		return source.err
	}
	if closeErr := w.Close(); err == nil || closeErr != nil {
		err = closeErr
	}
	return err
}

// failing remembers the reader's own error, to tell it from the writer's.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}
