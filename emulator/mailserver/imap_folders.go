package mailserver

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// change finds a folder of the user and commits what make returns for it.
func (s *imapSession) change(name string, make func(f *folder) ([]record, error)) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	f, err := s.store.folder(s.user, name)
	if err != nil {
		return no(imap.ResponseCodeNonExistent, "No such mailbox")
	}
	recs, err := make(f)
	if err != nil {
		return err
	}
	return s.store.commit(recs...)
}

func (s *imapSession) Create(name string, _ *imap.CreateOptions) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if _, err := s.store.folder(s.user, name); err == nil {
		return no(imap.ResponseCodeAlreadyExists, "Mailbox already exists")
	}
	return s.store.commit(record{Op: opFolder, Box: s.user, Folder: folderName(name), Validity: s.store.nextValidity(), Next: 1})
}

func (s *imapSession) Delete(name string) error {
	return s.change(name, func(f *folder) ([]record, error) {
		if f.name == inbox {
			return nil, no(imap.ResponseCodeCannot, "INBOX stays")
		}
		return []record{{Op: opDelete, Box: s.user, Folder: f.name}}, nil
	})
}

// Rename takes the folders below along (RFC 3501 §6.3.5). Renaming INBOX, which would move its mail, is refused.
func (s *imapSession) Rename(name, to string, _ *imap.RenameOptions) error {
	to = folderName(to)
	return s.change(name, func(f *folder) ([]record, error) {
		if f.name == inbox {
			return nil, no(imap.ResponseCodeCannot, "INBOX keeps its name")
		}
		if _, err := s.store.folder(s.user, to); err == nil {
			return nil, no(imap.ResponseCodeAlreadyExists, "Mailbox already exists")
		}
		var recs []record
		for other := range s.store.boxes[s.user] {
			if below, ok := strings.CutPrefix(other, f.name); ok && (below == "" || below[0] == delim) {
				recs = append(recs, record{Op: opRename, Box: s.user, Folder: other, To: to + below})
			}
		}
		return recs, nil
	})
}

func (s *imapSession) Subscribe(name string) error { return s.subscribe(name, true) }

func (s *imapSession) Unsubscribe(name string) error { return s.subscribe(name, false) }

func (s *imapSession) subscribe(name string, yes bool) error {
	return s.change(name, func(f *folder) ([]record, error) {
		return []record{{Op: opSubscribe, Box: s.user, Folder: f.name, Yes: yes}}, nil
	})
}

func (s *imapSession) Status(name string, o *imap.StatusOptions) (*imap.StatusData, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	f, err := s.store.folder(s.user, name)
	if err != nil {
		return nil, no(imap.ResponseCodeNonExistent, "No such mailbox")
	}
	return f.status(o), nil
}

func (s *imapSession) List(w *imapserver.ListWriter, ref string, patterns []string, o *imap.ListOptions) error {
	if len(patterns) == 0 { // LIST "" "" asks for the delimiter only
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: delim})
	}
	for _, d := range s.list(ref, patterns, o) {
		if err := w.WriteList(&d); err != nil {
			return err
		}
	}
	return nil
}

func (s *imapSession) list(ref string, patterns []string, o *imap.ListOptions) []imap.ListData {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	var out []imap.ListData
	for name, f := range s.store.boxes[s.user] {
		special := standardFolders()[name]
		matches := slices.ContainsFunc(patterns, func(p string) bool { return imapserver.MatchList(name, delim, ref, p) })
		if !matches || o.SelectSubscribed && !f.subscribed || o.SelectSpecialUse && special == "" {
			continue
		}
		d := imap.ListData{Mailbox: name, Delim: delim}
		if f.subscribed {
			d.Attrs = append(d.Attrs, imap.MailboxAttrSubscribed)
		}
		if special != "" {
			d.Attrs = append(d.Attrs, special)
		}
		if o.ReturnStatus != nil {
			d.Status = f.status(o.ReturnStatus)
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b imap.ListData) int { return strings.Compare(a.Mailbox, b.Mailbox) })
	return out
}
