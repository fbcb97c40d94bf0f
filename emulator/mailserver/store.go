package mailserver

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
)

// store holds all mailboxes. Every change is a record that is first in the journal and then applied; at a start the
// journal's records are applied again.
type store struct {
	now    func() time.Time
	bodies bodies

	mu       sync.Mutex
	journal  *journal // nil after close
	boxes    map[string]map[string]*folder
	refs     map[string]int // messages per body file
	validity uint32         // the last UIDVALIDITY given out
}

var errNoFolder = errors.New("no such mailbox")

func openStore(dir string, now func() time.Time) (*store, error) {
	b, err := openBodies(filepath.Join(dir, "mail"))
	if err != nil {
		return nil, err
	}
	s := &store{now: now, bodies: b, boxes: map[string]map[string]*folder{}, refs: map[string]int{}}
	path := filepath.Join(dir, "journal.jsonl")
	if err := replay(path, s.apply); err != nil {
		return nil, err
	}
	if err := b.sweep(func(name string) bool { return s.refs[name] > 0 }); err != nil {
		return nil, err
	}
	s.journal, err = startJournal(path, s.state())
	return s, err
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal == nil {
		return nil
	}
	err := errors.Join(s.journal.file.Close(), s.bodies.close())
	s.journal = nil
	return err
}

// commit makes the records durable and visible. The lock must be held.
func (s *store) commit(recs ...record) error {
	if s.journal == nil {
		return ErrClosed
	}
	if len(recs) == 0 {
		return nil
	}
	if err := s.journal.append(recs); err != nil {
		return err
	}
	for _, r := range recs {
		s.apply(r)
	}
	return nil
}

// apply changes the state in memory. It cannot fail: what does not fit the state is from a folder that is gone.
func (s *store) apply(r record) {
	box := s.boxes[r.Box]
	if box == nil {
		box = map[string]*folder{}
		s.boxes[r.Box] = box
	}
	s.validity = max(s.validity, r.Validity)
	if r.Op == opFolder {
		box[r.Folder] = newFolder(r.Folder, r.Validity, r.Next)
		box[r.Folder].subscribed = r.Yes
		return
	}
	f := box[r.Folder]
	if f == nil {
		return
	}
	switch r.Op {
	case opAdd:
		s.refs[r.Body]++
		f.add(&message{uid: r.UID, date: r.Date, size: r.Size, body: r.Body, flags: r.Flags})
	case opFlags:
		f.setFlags(r.UID, r.Flags, r.source)
	case opExpunge:
		if m := f.expunge(r.UID); m != nil {
			s.release(m.body)
		}
	case opDelete:
		for _, m := range f.messages {
			s.release(m.body)
		}
		delete(box, r.Folder)
	case opRename:
		delete(box, r.Folder)
		f.name = r.To
		box[r.To] = f
	case opRenumber:
		box[r.Folder] = f.renumbered(r.Validity)
	case opSubscribe:
		f.subscribed = r.Yes
	}
}

func (s *store) release(body string) {
	if s.refs[body]--; s.refs[body] > 0 {
		return
	}
	delete(s.refs, body)
	// While the journal is replayed a later record may still refer to the file; the sweep afterwards decides.
	if s.journal != nil {
		s.bodies.remove(body)
	}
}

// state is the records that make today's mailboxes from nothing.
func (s *store) state() []record {
	var recs []record
	for box, folders := range s.boxes {
		for name, f := range folders {
			recs = append(recs, record{Op: opFolder, Box: box, Folder: name, Validity: f.validity, Next: f.next, Yes: f.subscribed})
			for _, m := range f.messages {
				recs = append(recs, addRecord(box, name, m))
			}
		}
	}
	return recs
}

func addRecord(box, folder string, m *message) record {
	return record{Op: opAdd, Box: box, Folder: folder, UID: m.uid, Date: m.date, Size: m.size, Body: m.body, Flags: m.flags}
}

// nextValidity grows with time, so that a mailbox made anew never gets an old value, even in a new directory.
func (s *store) nextValidity() uint32 {
	s.validity = max(s.validity+1, uint32(s.now().Unix()))
	return s.validity
}

// ensure returns the records that give box its standard folders. The lock must be held.
func (s *store) ensure(box string) error {
	var recs []record
	for name := range standardFolders() {
		if s.boxes[box][name] == nil {
			recs = append(recs, record{Op: opFolder, Box: box, Folder: name, Validity: s.nextValidity(), Next: 1})
		}
	}
	return s.commit(recs...)
}

// folder finds a folder of an existing or new box. The lock must be held.
func (s *store) folder(box, name string) (*folder, error) {
	if s.boxes[box][inbox] == nil {
		if err := s.ensure(box); err != nil {
			return nil, err
		}
	}
	if f := s.boxes[box][folderName(name)]; f != nil {
		return f, nil
	}
	return nil, errNoFolder
}

// add puts the message into the named folder of each box in one step.
func (s *store) add(boxes []string, name string, m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	recs := make([]record, 0, len(boxes))
	for _, box := range boxes {
		f, err := s.folder(box, name)
		if err != nil {
			return err
		}
		m.uid = f.next
		recs = append(recs, addRecord(box, f.name, &m))
	}
	return s.commit(recs...)
}

// addresses lists the boxes that exist, sorted.
func (s *store) addresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for box := range s.boxes {
		out = append(out, box)
	}
	slices.Sort(out)
	return out
}

// flagsAfter is the flags of a message after a STORE.
func flagsAfter(m *message, change *imap.StoreFlags) []imap.Flag {
	if change.Op == imap.StoreFlagsSet {
		return slices.Clone(change.Flags)
	}
	out := slices.DeleteFunc(slices.Clone(m.flags), func(f imap.Flag) bool {
		return (&message{flags: change.Flags}).has(f)
	})
	if change.Op == imap.StoreFlagsAdd {
		out = append(out, change.Flags...)
	}
	return out
}
