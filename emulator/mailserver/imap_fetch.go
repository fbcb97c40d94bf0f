package mailserver

import (
	"bufio"
	"errors"
	"io"
	"io/fs"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-message/textproto"
)

// Fetch answers from a list taken under the lock and reads the bodies without it: a slow client holds up nobody. A
// message expunged meanwhile is left out (RFC 2180 §4.1.2).
func (s *imapSession) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	if err := s.refused("fetch"); err != nil {
		return err
	}
	messages, err := s.fetchList(set, o)
	if err != nil {
		return err
	}
	for _, m := range messages {
		var body *stored // stays nil when nothing asks for it
		if needsBody(o) {
			if body, err = s.store.bodies.open(m.body); errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return err
			}
		}
		err = s.write(w.CreateMessage(m.seq), m, body, o)
		body.Close()
		if err != nil {
			// Half a response has been sent: nothing that follows would be understood.
			s.conn.NetConn().Close()
			return err
		}
	}
	return nil
}

// fetchList picks the messages and marks them as seen when a body is fetched without PEEK.
func (s *imapSession) fetchList(set imap.NumSet, o *imap.FetchOptions) ([]seen, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	messages := s.pick(set)
	if !marksSeen(o) || s.writable() != nil {
		return messages, nil
	}
	var recs []record
	for _, m := range messages {
		if !m.has(imap.FlagSeen) {
			flags := append([]imap.Flag{imap.FlagSeen}, m.flags...)
			recs = append(recs, record{Op: opFlags, Box: s.user, Folder: s.folder.name, UID: m.uid, Flags: flags})
		}
	}
	return messages, s.store.commit(recs...)
}

func needsBody(o *imap.FetchOptions) bool {
	return o.Envelope || o.BodyStructure != nil || len(o.BodySection)+len(o.BinarySection)+len(o.BinarySectionSize) > 0
}

func marksSeen(o *imap.FetchOptions) bool {
	for _, b := range o.BodySection {
		if !b.Peek {
			return true
		}
	}
	for _, b := range o.BinarySection {
		if !b.Peek {
			return true
		}
	}
	return false
}

func (s *imapSession) write(w *imapserver.FetchResponseWriter, m seen, body *stored, o *imap.FetchOptions) (err error) {
	defer func() {
		if closeErr := w.Close(); err == nil {
			err = closeErr
		}
	}()
	w.WriteUID(m.uid)
	if o.Flags {
		w.WriteFlags(m.flags)
	}
	if o.InternalDate {
		w.WriteInternalDate(m.date)
	}
	if o.RFC822Size {
		w.WriteRFC822Size(m.size)
	}
	if o.Envelope {
		h, _ := textproto.ReadHeader(bufio.NewReader(body))
		w.WriteEnvelope(imapserver.ExtractEnvelope(h))
	}
	if o.BodyStructure != nil {
		w.WriteBodyStructure(imapserver.ExtractBodyStructure(rewound(body)))
	}
	for _, section := range o.BodySection {
		if err := s.writeSection(w, m, body, section); err != nil {
			return err
		}
	}
	return writeBinary(w, body, o)
}

// writeSection streams the whole message; only parts of one, which the library cuts out, are in memory.
func (s *imapSession) writeSection(w *imapserver.FetchResponseWriter, m seen, body *stored, section *imap.FetchItemBodySection) error {
	if len(section.Part) > 0 || section.Specifier != imap.PartSpecifierNone {
		b := imapserver.ExtractBodySection(rewound(body), section)
		return copyLiteral(w.WriteBodySection(section, int64(len(b))), func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		})
	}
	from, size := int64(0), m.size
	if p := section.Partial; p != nil {
		from = min(p.Offset, m.size)
		size = min(p.Size, m.size-from)
	}
	return copyLiteral(w.WriteBodySection(section, size), func(w io.Writer) error {
		half := size / 2
		if _, err := io.Copy(w, io.NewSectionReader(body, from, half)); err != nil {
			return err
		}
		if err := s.refused("literal"); err != nil {
			return err
		}
		_, err := io.Copy(w, io.NewSectionReader(body, from+half, size-half))
		return err
	})
}

func writeBinary(w *imapserver.FetchResponseWriter, body *stored, o *imap.FetchOptions) error {
	for _, section := range o.BinarySection {
		b := imapserver.ExtractBinarySection(rewound(body), section)
		err := copyLiteral(w.WriteBinarySection(section, int64(len(b))), func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, section := range o.BinarySectionSize {
		w.WriteBinarySectionSize(section, imapserver.ExtractBinarySectionSize(rewound(body), section))
	}
	return nil
}

func copyLiteral(lit io.WriteCloser, write func(io.Writer) error) error {
	err := write(lit)
	// Close also tells when fewer bytes came than the literal announced.
	if closeErr := lit.Close(); err == nil {
		err = closeErr
	}
	return err
}

func rewound(f io.ReaderAt) io.Reader { return io.NewSectionReader(f, 0, 1<<62) }
