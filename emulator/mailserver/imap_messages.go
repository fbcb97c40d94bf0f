package mailserver

import (
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// seen is a message with the number under which the session's client knows it.
type seen struct {
	seq uint32
	*message
}

// visible lists the messages of the selected folder that the client has been told of. The lock must be held.
func (s *imapSession) visible() []seen {
	out := make([]seen, 0, len(s.folder.messages))
	for i, m := range s.folder.messages {
		if seq := s.view.EncodeSeqNum(uint32(i + 1)); seq != 0 {
			out = append(out, seen{seq, m})
		}
	}
	return out
}

// pick returns the visible messages in the set. The lock must be held.
func (s *imapSession) pick(set imap.NumSet) []seen {
	all := s.visible()
	in := contains(set, all)
	return slices.DeleteFunc(all, func(m seen) bool { return !in(m) })
}

// contains resolves "*" to the last message, so that "n:*" has it even when its number is below n (RFC 3501 §6.4.8).
func contains(set imap.NumSet, all []seen) func(seen) bool {
	last := seen{message: &message{}}
	if len(all) > 0 {
		last = all[len(all)-1]
	}
	switch set := set.(type) {
	case imap.UIDSet:
		if set.Dynamic() {
			set = withoutStar(set, last.uid)
		}
		return func(m seen) bool { return set.Contains(m.uid) }
	case imap.SeqSet:
		var fixed imap.SeqSet
		for _, r := range set {
			fixed.AddRange(orElse(r.Start, last.seq), orElse(r.Stop, last.seq))
		}
		return func(m seen) bool { return fixed.Contains(m.seq) }
	}
	return func(seen) bool { return false }
}

func withoutStar(set imap.UIDSet, last imap.UID) (fixed imap.UIDSet) {
	for _, r := range set {
		fixed.AddRange(orElse(r.Start, last), orElse(r.Stop, last))
	}
	return fixed
}

func orElse[N imap.UID | uint32](n, star N) N {
	if n == 0 {
		return star
	}
	return n
}

// writable refuses changes in a folder opened with EXAMINE and in one that was deleted or renumbered meanwhile. The
// lock must be held.
func (s *imapSession) writable() error {
	if s.readOnly {
		return no("", "Mailbox is read-only")
	}
	if s.store.boxes[s.user][s.folder.name] != s.folder {
		return no("", "Mailbox has been replaced")
	}
	return nil
}

func (s *imapSession) Append(name string, r imap.LiteralReader, o *imap.AppendOptions) (*imap.AppendData, error) {
	if err := s.refused("append"); err != nil {
		return nil, err
	}
	b, err := s.store.bodies.create()
	if err != nil {
		return nil, err
	}
	n, err := b.fill(r)
	if err == nil && n != r.Size() { // the library ends a literal that was cut without an error
		s.store.bodies.remove(b.name)
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	m := message{date: o.Time, size: n, body: b.name, flags: o.Flags}
	if m.date.IsZero() {
		m.date = s.store.now()
	}
	data, err := s.append(name, m)
	if err != nil {
		s.store.bodies.remove(b.name)
		return nil, err
	}
	if s.server.opt.Delivered != nil && folderName(name) == inbox {
		s.server.opt.Delivered(s.user)
	}
	return data, nil
}

func (s *imapSession) append(name string, m message) (*imap.AppendData, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	f, err := s.store.folder(s.user, name)
	if err != nil {
		return nil, no(imap.ResponseCodeTryCreate, "No such mailbox")
	}
	m.uid = f.next
	return &imap.AppendData{UID: m.uid, UIDValidity: f.validity}, s.store.commit(addRecord(s.user, f.name, &m))
}

func (s *imapSession) Store(w *imapserver.FetchWriter, set imap.NumSet, change *imap.StoreFlags, _ *imap.StoreOptions) error {
	if err := s.setFlags(set, change); err != nil {
		return err
	}
	if change.Silent {
		return nil
	}
	return s.Fetch(w, set, &imap.FetchOptions{Flags: true})
}

func (s *imapSession) setFlags(set imap.NumSet, change *imap.StoreFlags) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	var recs []record
	for _, m := range s.pick(set) {
		recs = append(recs, record{
			Op: opFlags, Box: s.user, Folder: s.folder.name, UID: m.uid, Flags: flagsAfter(m.message, change), source: s.view,
		})
	}
	return s.store.commit(recs...)
}

// Expunge tells the client through Poll, as it tells everybody else.
func (s *imapSession) Expunge(_ *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.writable() != nil {
		return nil // CLOSE comes here too, and is no error in a read-only folder
	}
	var recs []record
	for _, m := range s.folder.messages {
		if m.has(imap.FlagDeleted) && (uids == nil || uids.Contains(m.uid)) {
			recs = append(recs, record{Op: opExpunge, Box: s.user, Folder: s.folder.name, UID: m.uid})
		}
	}
	return s.store.commit(recs...)
}

func (s *imapSession) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	return s.transfer(set, dest, false)
}

func (s *imapSession) Move(w *imapserver.MoveWriter, set imap.NumSet, dest string) error {
	data, err := s.transfer(set, dest, true)
	if err != nil || data == nil {
		return err
	}
	return w.WriteCopyData(data)
}

// transfer copies messages to another folder, and removes them here when move is set. No data is returned when the set
// is empty: COPYUID cannot say so.
func (s *imapSession) transfer(set imap.NumSet, dest string, move bool) (*imap.CopyData, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	to, err := s.store.folder(s.user, dest)
	if err != nil {
		return nil, no(imap.ResponseCodeTryCreate, "No such mailbox")
	}
	if move {
		if err := s.writable(); err != nil {
			return nil, err
		}
	}
	data := &imap.CopyData{UIDValidity: to.validity}
	var recs, gone []record
	for i, m := range s.pick(set) {
		c := *m.message
		c.uid = to.next + imap.UID(i)
		recs = append(recs, addRecord(s.user, to.name, &c))
		gone = append(gone, record{Op: opExpunge, Box: s.user, Folder: s.folder.name, UID: m.uid})
		data.SourceUIDs.AddNum(m.uid)
		data.DestUIDs.AddNum(c.uid)
	}
	if len(recs) == 0 {
		return nil, nil
	}
	if move {
		recs = append(recs, gone...)
	}
	return data, s.store.commit(recs...)
}
