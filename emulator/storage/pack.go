package storage

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// A pack is the file that holds a bucket: records, one after the other, each
//
//	mark, state, length of the metadata, length of the content | metadata | content
//
// Records are appended one at a time, as drafts, so a killed process can have
// torn the last one only, which opening cuts off. A draft becomes an object, and
// an object garbage, by one byte: that is the commit. The content of garbage is
// overwritten with zeros; opening a pack that is mostly garbage rewrites it.
type pack struct {
	path string
	file *os.File

	mu  sync.Mutex // one append at a time
	end int64
}

const (
	mark      = "ecO1"
	headLen   = int64(4 + 1 + 4 + 8)
	stateAt   = 4
	worthIt   = 8 << 20 // bytes of garbage below which a pack is not rewritten
	firstRead = 512     // most heads and metadata fit in one read
)

type state byte

const (
	draftState state = 'w'
	liveState  state = 'L'
	deadState  state = 'D'
)

// record is where an object lies in its pack.
type record struct {
	at, metaLen, size int64
}

func (r record) contentAt() int64 { return r.at + headLen + r.metaLen }
func (r record) end() int64       { return r.contentAt() + r.size }

func encodeHead(s state, metaLen, size int64) []byte {
	head := append([]byte(mark), byte(s))
	head = binary.BigEndian.AppendUint32(head, uint32(metaLen))
	return binary.BigEndian.AppendUint64(head, uint64(size))
}

// append writes a draft record. A failure, say a full disk, takes back what was
// written.
func (p *pack) append(o *object, content io.Reader) (record, error) {
	meta, err := json.Marshal(o)
	if err != nil {
		return record{}, err
	}
	head := append(encodeHead(draftState, int64(len(meta)), o.Size), meta...)
	p.mu.Lock()
	defer p.mu.Unlock()
	r := record{at: p.end, metaLen: int64(len(meta)), size: o.Size}
	if _, err := p.file.WriteAt(head, r.at); err != nil {
		return record{}, errors.Join(err, p.file.Truncate(r.at))
	}
	n, err := io.Copy(io.NewOffsetWriter(p.file, r.contentAt()), content)
	if err == nil && n != o.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return record{}, errors.Join(err, p.file.Truncate(r.at))
	}
	p.end = r.end()
	return r, nil
}

func (p *pack) setState(r record, s state) error {
	_, err := p.file.WriteAt([]byte{byte(s)}, r.at+stateAt)
	return err
}

// kill makes a record garbage and erases its content: what the channel deleted,
// perhaps at an end user's wish, must not be found in the file.
func (p *pack) kill(r record) error {
	if err := p.setState(r, deadState); err != nil {
		return err
	}
	_, err := io.CopyN(io.NewOffsetWriter(p.file, r.contentAt()), zeroReader{}, r.size)
	return err
}

func (p *pack) content(r record) *io.SectionReader {
	return io.NewSectionReader(p.file, r.contentAt(), r.size)
}

type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// openPack opens or creates the pack and gives its live records in their order.
func openPack(path string) (*pack, []*object, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	p := &pack{path: path, file: f}
	objects, garbage, err := p.scan()
	if err == nil && garbage > worthIt && garbage > p.end/2 {
		objects, err = p.rewrite(objects)
	}
	if err != nil {
		p.file.Close()
		return nil, nil, err
	}
	return p, objects, nil
}

// scan reads all heads, cuts off a torn last record, and counts the garbage.
func (p *pack) scan() (live []*object, garbage int64, err error) {
	info, err := p.file.Stat()
	if err != nil {
		return nil, 0, err
	}
	buf := make([]byte, firstRead)
	for size := info.Size(); p.end < size; {
		r, s, meta, err := p.readHead(buf)
		if err != nil {
			return nil, 0, err
		}
		if s == 0 || r.end() > size {
			return live, garbage, p.file.Truncate(p.end)
		}
		p.end = r.end()
		if s != liveState {
			garbage += r.end() - r.at
			continue
		}
		o := &object{record: r}
		if err := json.Unmarshal(meta, o); err != nil {
			return nil, 0, fmt.Errorf("%s: record at %d: %w", p.path, r.at, err)
		}
		live = append(live, o)
	}
	return live, garbage, nil
}

var errNoPack = errors.New("not a pack of objects")

// readHead reads the record at end. Its state is 0 when the file ends within
// the head or the metadata.
func (p *pack) readHead(buf []byte) (r record, s state, meta []byte, err error) {
	n, err := p.file.ReadAt(buf, p.end)
	if err != nil && err != io.EOF {
		return r, 0, nil, err
	}
	head := buf[:n]
	if !bytes.HasPrefix(head, []byte(mark)[:min(n, len(mark))]) {
		return r, 0, nil, fmt.Errorf("%s: at %d: %w", p.path, p.end, errNoPack)
	}
	if int64(n) < headLen {
		return r, 0, nil, nil
	}
	r = record{at: p.end, metaLen: int64(binary.BigEndian.Uint32(head[5:])), size: int64(binary.BigEndian.Uint64(head[9:]))}
	meta = head[headLen:]
	if int64(len(meta)) < r.metaLen {
		meta = make([]byte, r.metaLen)
		if _, err := p.file.ReadAt(meta, r.at+headLen); err == io.EOF {
			return r, 0, nil, nil
		} else if err != nil {
			return r, 0, nil, err
		}
	}
	return r, state(head[stateAt]), meta[:r.metaLen], nil
}

// rewrite copies the live records to a new file and puts it in the old one's place.
func (p *pack) rewrite(objects []*object) ([]*object, error) {
	f, err := os.OpenFile(p.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	fresh := &pack{path: p.path, file: f}
	for _, o := range objects {
		r, err := fresh.append(o, p.content(o.record))
		if err == nil {
			err = fresh.setState(r, liveState)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		o.record = r
	}
	if err := os.Rename(p.path+".new", p.path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	p.file.Close()
	p.file, p.end = f, fresh.end
	return objects, nil
}
