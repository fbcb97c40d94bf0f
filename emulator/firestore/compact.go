package firestore

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// compact begins the next log and writes its snapshot in the background. It is called with store.mu held, within
// a commit whose record is already in the old log but whose documents are not yet in the store: the snapshot's
// documents are therefore collected by the goroutine, as of a moment after that commit. The new log may then
// repeat some of what the snapshot contains, which is harmless: records hold whole documents.
func (d *disk) compact() {
	if err := d.begin(d.generation + 1); err != nil {
		d.compaction = err // the old log goes on
		return
	}
	d.compacting = true
	generation := d.generation
	d.background.Go(func() {
		size, err := d.snapshot(generation)
		d.store.mu.Lock()
		defer d.store.mu.Unlock()
		d.compacting, d.compaction = false, err
		if err == nil {
			d.limit = max(d.minimum, size)
		}
	})
}

// snapshot writes snapshot-N and removes what it replaces.
func (d *disk) snapshot(generation int) (int64, error) {
	docs, time := d.store.all()
	path := d.path("snapshot", generation)
	temporary := filepath.Join(d.dir, "snapshot.tmp")
	size, err := writeSnapshot(temporary, docs, time)
	if err != nil {
		return 0, err
	}
	if err := os.Rename(temporary, path); err != nil {
		return 0, err
	}
	if err := syncDir(d.dir); err != nil {
		return 0, err
	}
	return size, d.removeBefore(generation)
}

// all returns every document as of one moment.
func (s *store) all() ([]*document, int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, g := range s.groups {
		n += g.size
	}
	docs := make([]*document, 0, n)
	for _, c := range s.collections {
		for _, d := range c.docs {
			docs = append(docs, d)
		}
	}
	return docs, s.clock.last.Load()
}

// snapshotRecord is the size from which a record of a snapshot is closed.
const snapshotRecord = 64 << 10

func writeSnapshot(path string, docs []*document, time int64) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var buffer []byte
	for len(docs) > 0 {
		buffer = appendRecord(buffer[:0], func(b []byte) []byte {
			b = appendHead(b, recordSnapshot, time)
			for len(docs) > 0 && len(b) < snapshotRecord {
				b = appendPut(b, docs[0])
				docs = docs[1:]
			}
			return b
		})
		if _, err := f.Write(buffer); err != nil {
			return 0, err
		}
	}
	buffer = appendRecord(buffer[:0], func(b []byte) []byte { return appendHead(b, recordEnd, time) })
	if _, err := f.Write(buffer); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	return f.Seek(0, io.SeekCurrent)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *disk) removeBefore(generation int) error {
	var errs []error
	for _, kind := range [...]string{"snapshot", "log"} {
		numbers, err := d.generations(kind)
		errs = append(errs, err)
		for _, n := range numbers {
			if n < generation {
				errs = append(errs, os.Remove(d.path(kind, n)))
			}
		}
	}
	return errors.Join(errs...)
}

var errClosed = errors.New("the server is closed")

// close writes a last snapshot. Commits that come later fail.
func (d *disk) close() error {
	d.background.Wait()
	d.store.mu.Lock()
	if d.failed == errClosed {
		d.store.mu.Unlock()
		return nil
	}
	err := d.begin(d.generation + 1)
	d.failed = errClosed
	generation := d.generation
	d.store.mu.Unlock()
	if err == nil {
		_, err = d.snapshot(generation)
	}
	return errors.Join(err, d.compaction, d.log.Close(), d.guard.Close())
}
