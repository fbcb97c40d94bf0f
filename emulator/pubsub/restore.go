package pubsub

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/proto"
)

var errTruncated = errors.New("record too short")

// restore reads the journal in dir, begins a new one with what is alive, and queues it in publish order.
func (b *Broker) restore(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := readJournal(filepath.Join(dir, journalName), b.replay); err != nil {
		return fmt.Errorf("%s: %w", journalName, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	j, err := b.snapshot(dir)
	if err != nil {
		return err
	}
	b.journal = j
	for _, seq := range slices.Sorted(maps.Keys(b.live)) {
		b.enqueue(b.live[seq])
	}
	return nil
}

// replay applies one record.
func (b *Broker) replay(kind byte, content []byte) error {
	switch kind {
	case recTopic:
		pb := &pubsubpb.Topic{}
		if err := proto.Unmarshal(content, pb); err != nil {
			return err
		}
		b.addTopic(pb)
		return nil
	case recTopicGone:
		delete(b.topics, string(content))
		return nil
	case recSub:
		return b.replaySub(content)
	case recMessage:
		return b.replayMessage(content)
	}
	return b.replayNumbers(kind, content)
}

func (b *Broker) replayNumbers(kind byte, content []byte) error {
	n, rest, err := uvarint(content)
	if err != nil {
		return err
	}
	switch kind {
	case recSubGone:
		if s := b.byID[uint32(n)]; s != nil {
			b.dropSub(s)
		}
		return nil
	case recAck:
		seq, _, err := uvarint(rest)
		b.replayAck(uint32(n), seq)
		return err
	case recNumbers:
		sub, _, err := uvarint(rest)
		b.lastSeq = max(b.lastSeq, n)
		b.lastSub = max(b.lastSub, uint32(sub))
		return err
	}
	return fmt.Errorf("unknown kind %q", kind)
}

func (b *Broker) replaySub(content []byte) error {
	id, rest, err := uvarint(content)
	if err != nil {
		return err
	}
	pb := &pubsubpb.Subscription{}
	if err := proto.Unmarshal(rest, pb); err != nil {
		return err
	}
	f, err := parseFilter(pb.Filter)
	if err != nil {
		return err
	}
	b.addSub(uint32(id), pb, f)
	return nil
}

func (b *Broker) replayMessage(content []byte) error {
	seq, rest, err := uvarint(content)
	if err != nil {
		return err
	}
	count, rest, err := uvarint(rest)
	m := &message{seq: seq, pb: &pubsubpb.PubsubMessage{}}
	for range count {
		var id uint64
		if id, rest, err = uvarint(rest); err != nil {
			return err
		}
		if s := b.byID[uint32(id)]; s != nil {
			m.deliveries = append(m.deliveries, &delivery{m: m, sub: s})
		}
	}
	if err != nil {
		return err
	}
	b.lastSeq = max(b.lastSeq, seq)
	if len(m.deliveries) == 0 {
		return nil
	}
	b.live[seq] = m
	return proto.Unmarshal(rest, m.pb)
}

func (b *Broker) replayAck(sub uint32, seq uint64) {
	m := b.live[seq]
	if m == nil {
		return
	}
	m.deliveries = slices.DeleteFunc(m.deliveries, func(d *delivery) bool { return d.sub.id == sub })
	if len(m.deliveries) == 0 {
		delete(b.live, seq)
	}
}

func uvarint(p []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(p)
	if n <= 0 {
		return 0, nil, errTruncated
	}
	return v, p[n:], nil
}

// snapshot writes what is alive to a new journal and puts it in place of the old one. b.mu is held.
func (b *Broker) snapshot(dir string) (*journal, error) {
	j, err := createJournal(dir)
	if err != nil {
		return nil, err
	}
	err = j.append(recNumbers, uvarints(b.lastSeq, uint64(b.lastSub)))
	for _, t := range b.topics {
		err = errors.Join(err, j.appendProto(recTopic, nil, t.pb))
	}
	for _, s := range b.subs {
		err = errors.Join(err, j.appendProto(recSub, uvarints(uint64(s.id)), s.pb))
	}
	for _, m := range b.live {
		err = errors.Join(err, j.publish(m))
	}
	if err == nil {
		err = j.commit()
	}
	if err != nil {
		j.file.Close()
		return nil, fmt.Errorf("write snapshot: %w", err)
	}
	return j, nil
}

// compact takes a snapshot once the journal is at least twice as long as after the last one, so that the work
// stays in proportion to what is published. Where that fails the old journal goes on.
func (b *Broker) compact() {
	j := b.journal
	if j == nil || j.size < max(minCompaction, 2*j.base) {
		return
	}
	fresh, err := b.snapshot(filepath.Dir(j.path))
	if err != nil {
		j.base = j.size
		return
	}
	j.file.Close()
	b.journal = fresh
}
