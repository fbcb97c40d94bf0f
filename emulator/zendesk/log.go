package zendesk

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// The log is the store: lines of "kind id owner json", and a line "E" that ends what one request changed.
// A killed process may leave a batch without its end; opening the log cuts that off. One write(2) per request
// puts it into the page cache, which outlives the process.

// ref is where a record's JSON stands in the log.
type ref struct {
	off int64
	len int32
}

// maxLine bounds a record: a queued batch of 100 comments is the largest.
const maxLine = 32 << 20

type appendLog struct {
	f    *os.File
	size int64
}

func (l *appendLog) close() error { return l.f.Close() }

// append writes a whole batch or nothing, and returns where it begins.
func (l *appendLog) append(p []byte) (int64, error) {
	base := l.size
	if _, err := l.f.WriteAt(p, base); err != nil {
		return 0, errors.Join(fmt.Errorf("append to the log: %w", err), l.f.Truncate(base))
	}
	l.size += int64(len(p))
	return base, nil
}

func (l *appendLog) read(r ref, v any) error {
	buf := make([]byte, r.len)
	if _, err := l.f.ReadAt(buf, r.off); err != nil {
		return fmt.Errorf("read the log at %d: %w", r.off, err)
	}
	return json.Unmarshal(buf, v)
}

// record is one line of the log.
type record struct {
	kind      byte
	id, owner int64
	ref       ref
}

// openLog reads the log's complete batches, hands each record to visit in order, and cuts off the rest.
func openLog(path string, visit func(record)) (*appendLog, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	complete, err := scanLog(f, visit)
	if err == nil {
		err = f.Truncate(complete)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &appendLog{f: f, size: complete}, nil
}

func scanLog(f *os.File, visit func(record)) (complete int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(io.NewSectionReader(f, 0, info.Size()))
	lines.Buffer(make([]byte, 64<<10), maxLine)
	var off int64
	var batch []record
	for lines.Scan() {
		line := lines.Bytes()
		next := off + int64(len(line)) + 1
		if next > info.Size() { // the last line has no end
			break
		}
		if string(line) == "E" {
			for _, r := range batch {
				visit(r)
			}
			batch, complete = batch[:0], next
		} else if r, ok := parseRecord(line, off); ok {
			batch = append(batch, r)
		} else {
			return 0, fmt.Errorf("log: line at %d is no record", off)
		}
		off = next
	}
	return complete, lines.Err()
}

func parseRecord(line []byte, off int64) (record, bool) {
	head, body, found := bytes.Cut(line, []byte{'\t'})
	if !found {
		return record{}, false
	}
	parts := strings.Split(string(head), " ")
	if len(parts) != 3 || len(parts[0]) != 1 {
		return record{}, false
	}
	id, err := strconv.ParseInt(parts[1], 10, 64)
	owner, err2 := strconv.ParseInt(parts[2], 10, 64)
	place := ref{off: off + int64(len(head)) + 1, len: int32(len(body))}
	return record{kind: parts[0][0], id: id, owner: owner, ref: place}, err == nil && err2 == nil
}
