package firestore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// disk keeps a store's data in a directory:
//
//	snapshot-N  all documents when log-N was begun; written aside, synced, renamed
//	log-N       the commits since, appended with write(2) before they are acknowledged
//	lock        held by the process that has the directory open
//
// When a log has grown beyond the snapshot, log-N+1 is begun, snapshot-N+1 is written in the background from the
// documents of that moment, and then N is removed. At start the newest snapshot and the logs from its number on count.
type disk struct {
	dir   string
	store *store
	guard *os.File

	// guarded by store.mu
	log        *os.File
	generation int
	size       int64 // of the log
	limit      int64 // of the log before it is compacted: the snapshot's size, but at least minimum
	minimum    int64
	buffer     []byte
	failed     error // an append went wrong half-way; nothing may follow it
	compacting bool

	background sync.WaitGroup
	compaction error // of the last background compaction; guarded by store.mu
}

// minCompaction is the size of a log that is always tolerated.
const minCompaction = 16 << 20

func openDisk(dir string, st *store) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	guard, err := lockDir(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	d := &disk{dir: dir, store: st, guard: guard, limit: minCompaction, minimum: minCompaction}
	if err := d.load(); err != nil {
		guard.Close()
		return nil, err
	}
	st.history.horizon = st.clock.last.Load()
	return d, nil
}

func (d *disk) path(kind string, generation int) string {
	return filepath.Join(d.dir, kind+"-"+strconv.Itoa(generation))
}

// generations lists the numbers of the files of a kind, ascending.
func (d *disk) generations(kind string) ([]int, error) {
	files, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, f := range files {
		if rest, ok := strings.CutPrefix(f.Name(), kind+"-"); ok {
			if n, err := strconv.Atoi(rest); err == nil {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

func (d *disk) load() error {
	snapshots, err := d.generations("snapshot")
	if err != nil {
		return err
	}
	if len(snapshots) > 0 {
		d.generation = snapshots[len(snapshots)-1]
		if err := d.readSnapshot(d.path("snapshot", d.generation)); err != nil {
			return err
		}
	}
	logs, err := d.generations("log")
	if err != nil {
		return err
	}
	logs = slices.DeleteFunc(logs, func(n int) bool { return n < d.generation })
	for i, n := range logs {
		if err := d.replay(n, i == len(logs)-1); err != nil {
			return err
		}
	}
	if len(logs) == 0 {
		return d.begin(d.generation)
	}
	return nil
}

func (d *disk) readSnapshot(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	complete := false
	offset, err := readRecords(f, info.Size(), func(r record) error {
		complete = r.kind == recordEnd
		return d.put(r)
	})
	if err == nil && !complete {
		err = errTorn
	}
	if errors.Is(err, errTorn) {
		return fmt.Errorf("%s: offset %d: the snapshot is incomplete", path, offset)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	d.limit = max(d.minimum, info.Size())
	return nil
}

// replay applies log n and, if it is the last one, opens it for appending.
func (d *disk) replay(n int, last bool) error {
	path := d.path("log", n)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	end, err := readRecords(f, info.Size(), d.put)
	if errors.Is(err, errTorn) && last {
		err = f.Truncate(end) // never acknowledged
	}
	if err == nil && last {
		_, err = f.Seek(end, io.SeekStart)
		d.log, d.generation, d.size = f, n, end
	}
	if err != nil || !last {
		f.Close()
	}
	if errors.Is(err, errTorn) {
		return fmt.Errorf("%s: offset %d: the log ends in the middle of a record, but another log follows", path, end)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// put applies a record to the store while it is loaded.
func (d *disk) put(r record) error {
	d.store.clock.last.Store(max(d.store.clock.last.Load(), r.time))
	for len(r.rest) > 0 {
		name, doc, err := r.next()
		if err != nil {
			return err
		}
		d.store.replace(name, d.store.get(name), doc)
	}
	return nil
}

// begin starts log n.
func (d *disk) begin(n int) error {
	f, err := os.OpenFile(d.path("log", n), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if d.log != nil {
		d.log.Close()
	}
	d.log, d.generation, d.size = f, n, 0
	return nil
}

// append is the store's journal; store.mu is held.
func (d *disk) append(time int64, changes []change) error {
	if d.failed != nil {
		return d.failed
	}
	d.buffer = appendRecord(d.buffer[:0], func(b []byte) []byte {
		b = appendHead(b, recordCommit, time)
		for _, c := range changes {
			if c.after != c.before {
				b = appendChange(b, c)
			}
		}
		return b
	})
	if _, err := d.log.Write(d.buffer); err != nil {
		return d.undo(err)
	}
	d.size += int64(len(d.buffer))
	if cap(d.buffer) > 1<<20 {
		d.buffer = nil
	}
	if d.size > d.limit && !d.compacting {
		d.compact()
	}
	return nil
}

// undo removes a half-written record; if even that fails, the log takes no more commits.
func (d *disk) undo(cause error) error {
	err := d.log.Truncate(d.size)
	if err == nil {
		_, err = d.log.Seek(d.size, io.SeekStart)
	}
	if err != nil {
		d.failed = fmt.Errorf("the log is damaged: %w", errors.Join(cause, err))
	}
	return cause
}
