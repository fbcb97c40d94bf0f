package pubsub

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/proto"
)

// The journal is one file of records: length (4 bytes), CRC-32C (4 bytes), kind (1 byte), content. A snapshot
// is the same kind of file with only what is alive, written beside the old one and renamed over it. A record
// that a kill cut off is dropped at the next start; nobody was told that it was stored.
const (
	recTopic       = 't' // Topic
	recTopicGone   = 'T' // name
	recSub         = 's' // id, Subscription
	recSubGone     = 'S' // id
	recMessage     = 'm' // sequence number, count, subscription ids, PubsubMessage
	recAck         = 'a' // subscription id, sequence number
	recNumbers     = 'n' // last sequence number, last subscription id
	journalName    = "pubsub.journal"
	minCompaction  = 4 << 20
	maxRecord      = 64 << 20
	recordOverhead = 9
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// journal appends records. Its methods do nothing on nil. After an error all of them return it: what follows a
// half-written record could not be read back.
type journal struct {
	path string
	file *os.File
	w    *bufio.Writer
	size int64
	base int64 // size after the last snapshot
	buf  []byte
}

func (j *journal) append(kind byte, content ...[]byte) error {
	n := 1
	crc := crc32.Update(0, castagnoli, []byte{kind})
	for _, c := range content {
		n += len(c)
		crc = crc32.Update(crc, castagnoli, c)
	}
	var head [recordOverhead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(n))
	binary.LittleEndian.PutUint32(head[4:], crc)
	head[8] = kind
	j.size += int64(8 + n)
	_, err := j.w.Write(head[:])
	for _, c := range content {
		if err == nil {
			_, err = j.w.Write(c)
		}
	}
	return err
}

func (j *journal) appendProto(kind byte, prefix []byte, pb proto.Message) error {
	body, err := proto.MarshalOptions{}.MarshalAppend(j.buf[:0], pb)
	if err != nil {
		return err
	}
	if cap(body) <= 1<<20 { // keep it for the next record, unless it was a giant
		j.buf = body
	}
	return j.append(kind, prefix, body)
}

func (j *journal) putTopic(pb *pubsubpb.Topic) error {
	if j == nil {
		return nil
	}
	return errors.Join(j.appendProto(recTopic, nil, pb), j.flush())
}

func (j *journal) deleteTopic(name string) error {
	if j == nil {
		return nil
	}
	return errors.Join(j.append(recTopicGone, []byte(name)), j.flush())
}

func (j *journal) putSub(id uint32, pb *pubsubpb.Subscription) error {
	if j == nil {
		return nil
	}
	return errors.Join(j.appendProto(recSub, uvarints(uint64(id)), pb), j.flush())
}

func (j *journal) deleteSub(id uint32) error {
	if j == nil {
		return nil
	}
	return errors.Join(j.append(recSubGone, uvarints(uint64(id))), j.flush())
}

// publish does not flush: the caller does, once per request.
func (j *journal) publish(m *message) error {
	if j == nil || len(m.deliveries) == 0 {
		return nil
	}
	head := uvarints(m.seq, uint64(len(m.deliveries)))
	for _, d := range m.deliveries {
		head = binary.AppendUvarint(head, uint64(d.sub.id))
	}
	return j.appendProto(recMessage, head, m.pb)
}

// ack may be forgotten, so it is not flushed and its error waits for the next publish.
func (j *journal) ack(sub uint32, seq uint64) {
	if j != nil {
		_ = j.append(recAck, uvarints(uint64(sub), seq))
	}
}

// drained flushes acks at a moment when it is cheap, so that a kill of an idle broker repeats nothing.
func (j *journal) drained() { _ = j.flush() }

func (j *journal) flush() error {
	if j == nil {
		return nil
	}
	return j.w.Flush()
}

func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	err := errors.Join(j.w.Flush(), j.file.Close())
	j.file = nil
	return err
}

func uvarints(vs ...uint64) []byte {
	out := make([]byte, 0, 10*len(vs))
	for _, v := range vs {
		out = binary.AppendUvarint(out, v)
	}
	return out
}

// createJournal begins a journal beside the one at path; commit puts it in place.
func createJournal(dir string) (*journal, error) {
	path := filepath.Join(dir, journalName)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{path: path, file: f, w: bufio.NewWriterSize(f, 64<<10)}, nil
}

func (j *journal) commit() error {
	j.base = j.size
	err := j.w.Flush()
	if err == nil {
		err = j.file.Sync()
	}
	if err == nil {
		err = os.Rename(j.path+".new", j.path)
	}
	return err
}

// readJournal calls f for each whole record of the file; a missing file has none.
func readJournal(path string, f func(kind byte, content []byte) error) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 256<<10)
	for at := int64(0); ; {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return endOfJournal(err)
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n == 0 || n > maxRecord {
			return fmt.Errorf("damaged at byte %d: record of %d bytes", at, n)
		}
		rec := make([]byte, n)
		if _, err := io.ReadFull(r, rec); err != nil {
			return endOfJournal(err)
		}
		if crc32.Checksum(rec, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return fmt.Errorf("damaged at byte %d: wrong checksum", at)
		}
		if err := f(rec[0], rec[1:]); err != nil {
			return fmt.Errorf("record at byte %d: %w", at, err)
		}
		at += int64(8 + n)
	}
}

func endOfJournal(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
