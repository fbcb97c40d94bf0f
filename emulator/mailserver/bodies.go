package mailserver

import (
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
)

// bodies is a directory with one file per stored mail. A file is complete before anything refers to it.
type bodies struct{ dir string }

func openBodies(dir string) (bodies, error) {
	return bodies{dir}, os.MkdirAll(dir, 0o700)
}

// body is a file that is being written.
type body struct {
	name string
	file *os.File
}

func (b bodies) path(name string) string { return filepath.Join(b.dir, name) }

func (b bodies) open(name string) (*os.File, error) { return os.Open(b.path(name)) }

func (b bodies) remove(name string) { os.Remove(b.path(name)) }

func (b bodies) create() (*body, error) {
	name := rand.Text()
	f, err := os.OpenFile(b.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &body{name, f}, nil
}

// fill copies r into the file and closes it. On an error the file is gone.
func (b *body) fill(r io.Reader) (int64, error) {
	// A plain writer: os.File would give io.Copy a 0-byte splice attempt per mail for nothing.
	n, err := io.CopyBuffer(struct{ io.Writer }{b.file}, r, make([]byte, 16<<10))
	if closeErr := b.file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(b.file.Name())
		return 0, err
	}
	return n, nil
}

// sweep removes every file that keep does not know: mail that was never acknowledged.
func (b bodies) sweep(keep func(name string) bool) error {
	files, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !keep(f.Name()) {
			b.remove(f.Name())
		}
	}
	return nil
}
