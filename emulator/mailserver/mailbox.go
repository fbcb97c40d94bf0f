package mailserver

import (
	"io"
	"slices"
	"strings"
	"time"
)

// Message describes one stored mail to tests and the console.
type Message struct {
	Folder       string
	UID          uint32
	UIDValidity  uint32
	InternalDate time.Time
	Size         int64
	Flags        []string

	open func() (io.ReadCloser, error)
}

// Open reads the mail's bytes. It fails when the mail has been expunged.
func (m Message) Open() (io.ReadCloser, error) { return m.open() }

// Mailbox lists the mail of an address, INBOX first, then the other folders by name, each by UID. Asking creates nothing.
func (s *Server) Mailbox(addr string) []Message {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	var out []Message
	for _, f := range s.store.boxes[address(addr)] {
		for _, m := range f.messages {
			flags := make([]string, len(m.flags))
			for i, flag := range m.flags {
				flags[i] = string(flag)
			}
			out = append(out, Message{
				Folder: f.name, UID: uint32(m.uid), UIDValidity: f.validity,
				InternalDate: m.date, Size: m.size, Flags: flags,
				open: func() (io.ReadCloser, error) { return s.store.bodies.open(m.body) },
			})
		}
	}
	slices.SortStableFunc(out, func(a, b Message) int { return strings.Compare(rank(a.Folder), rank(b.Folder)) })
	return out
}

func rank(folder string) string {
	if folder == inbox {
		return ""
	}
	return folder
}

// Addresses lists the mailboxes that exist, sorted.
func (s *Server) Addresses() []string { return s.store.addresses() }

// BumpUIDValidity gives the folder a new UIDVALIDITY and its mail new UIDs from 1, as a restored or migrated server
// does. Connections that have it selected keep the old view. It fails when there is no such folder.
func (s *Server) BumpUIDValidity(addr, name string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	f, err := s.store.folder(address(addr), name)
	if err != nil {
		return err
	}
	return s.store.commit(record{Op: opRenumber, Box: address(addr), Folder: f.name, Validity: s.store.nextValidity()})
}
