package mailserver

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// bodies is a directory of stored mail. Small mails stand one after another in one file, because making a file costs
// more than writing a mail; the others have a file each. A body is complete before anything refers to it.
//
// A small body is named "ID@offset+length". Its room is not given back when it is expunged.
type bodies struct {
	dir  string
	pack *pack
}

const (
	packName  = "pack"
	packLimit = 256 << 10 // bytes of a mail that still counts as small
)

// pack is the file of the small bodies.
type pack struct {
	mu   sync.Mutex
	file *os.File
	end  int64
}

func openBodies(dir string) (bodies, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return bodies{}, err
	}
	f, err := os.OpenFile(filepath.Join(dir, packName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return bodies{}, err
	}
	end, err := f.Seek(0, io.SeekEnd) // what a crash left behind the last body that is known stays unused
	return bodies{dir, &pack{file: f, end: end}}, err
}

func (b bodies) close() error { return b.pack.file.Close() }

// add writes a body in one write and returns where it is.
func (p *pack) add(content []byte) (offset int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.file.WriteAt(content, p.end); err != nil {
		return 0, err
	}
	offset = p.end
	p.end += int64(len(content))
	return offset, nil
}

// stored is a body that is being read. A nil one may be closed.
type stored struct {
	*io.SectionReader
	file *os.File // nil for a body of the pack
}

func (s *stored) Close() error {
	if s == nil || s.file == nil {
		return nil
	}
	return s.file.Close()
}

func (b bodies) path(name string) string { return filepath.Join(b.dir, name) }

func (b bodies) open(name string) (*stored, error) {
	if _, place, ok := strings.Cut(name, "@"); ok {
		var offset, length int64
		if _, err := fmt.Sscanf(place, "%d+%d", &offset, &length); err != nil {
			return nil, fmt.Errorf("body %s: %w", name, fs.ErrNotExist)
		}
		return &stored{SectionReader: io.NewSectionReader(b.pack.file, offset, length)}, nil
	}
	f, err := os.Open(b.path(name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &stored{io.NewSectionReader(f, 0, info.Size()), f}, nil
}

func (b bodies) remove(name string) {
	if !strings.Contains(name, "@") {
		os.Remove(b.path(name))
	}
}

// body is a mail that is being stored. Its name is final once it is filled.
type body struct {
	bodies bodies
	name   string
}

func (b bodies) create() (*body, error) { return &body{b, rand.Text()}, nil }

// fill stores what r has. On an error nothing is left.
func (b *body) fill(r io.Reader) (int64, error) {
	var head bytes.Buffer
	n, err := io.Copy(&head, io.LimitReader(r, packLimit))
	if err != nil {
		return 0, err
	}
	if n == packLimit {
		return b.file(io.MultiReader(&head, r))
	}
	offset, err := b.bodies.pack.add(head.Bytes())
	b.name = fmt.Sprintf("%s@%d+%d", b.name, offset, n)
	return n, err
}

// file stores a large body in a file of its own.
func (b *body) file(r io.Reader) (int64, error) {
	f, err := os.OpenFile(b.bodies.path(b.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	// A plain writer: os.File would give io.Copy a 0-byte splice attempt per mail for nothing.
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, r, make([]byte, 16<<10))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(f.Name())
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
		if f.Name() != packName && !keep(f.Name()) {
			b.remove(f.Name())
		}
	}
	return nil
}
