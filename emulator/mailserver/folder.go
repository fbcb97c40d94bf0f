package mailserver

import (
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

const (
	inbox = "INBOX"
	delim = '/'
)

// folders that every account has, with their SPECIAL-USE attribute (RFC 6154).
func standardFolders() map[string]imap.MailboxAttr {
	return map[string]imap.MailboxAttr{
		inbox: "", "Sent": imap.MailboxAttrSent, "Junk": imap.MailboxAttrJunk, "Trash": imap.MailboxAttrTrash,
	}
}

// folderName makes INBOX, which is case-insensitive (RFC 3501 §5.1), one name.
func folderName(name string) string {
	name = strings.TrimRight(name, string(delim))
	if strings.EqualFold(name, inbox) {
		return inbox
	}
	return name
}

// message is immutable: a change of flags replaces it, so that a reader may go on without the lock.
type message struct {
	uid   imap.UID
	date  time.Time
	size  int64
	body  string
	flags []imap.Flag
}

func (m *message) has(flag imap.Flag) bool {
	return slices.ContainsFunc(m.flags, func(f imap.Flag) bool { return strings.EqualFold(string(f), string(flag)) })
}

// folder is guarded by its store's lock.
type folder struct {
	name       string
	validity   uint32
	next       imap.UID
	subscribed bool
	messages   []*message // by UID
	tracker    *imapserver.MailboxTracker
}

func newFolder(name string, validity uint32, next imap.UID) *folder {
	return &folder{name: name, validity: validity, next: next, tracker: imapserver.NewMailboxTracker(0)}
}

func (f *folder) index(uid imap.UID) (int, bool) {
	i := sort.Search(len(f.messages), func(i int) bool { return f.messages[i].uid >= uid })
	return i, i < len(f.messages) && f.messages[i].uid == uid
}

func (f *folder) add(m *message) {
	f.messages = append(f.messages, m)
	f.next = max(f.next, m.uid+1)
	f.tracker.QueueNumMessages(uint32(len(f.messages)))
}

func (f *folder) setFlags(uid imap.UID, flags []imap.Flag, source *imapserver.SessionTracker) {
	i, ok := f.index(uid)
	if !ok {
		return
	}
	m := *f.messages[i]
	m.flags = flags
	f.messages[i] = &m
	f.tracker.QueueMessageFlags(uint32(i+1), uid, flags, source)
}

// expunge returns the removed message, nil when there was none.
func (f *folder) expunge(uid imap.UID) *message {
	i, ok := f.index(uid)
	if !ok {
		return nil
	}
	m := f.messages[i]
	f.tracker.QueueExpunge(uint32(i + 1))
	f.messages = slices.Delete(f.messages, i, i+1)
	return m
}

// renumbered is the folder under a new UIDVALIDITY. It is another folder: who has the old one selected keeps its view.
func (f *folder) renumbered(validity uint32) *folder {
	g := newFolder(f.name, validity, 1)
	g.subscribed = f.subscribed
	for _, old := range f.messages {
		m := *old
		m.uid = g.next
		g.add(&m)
	}
	return g
}

func (f *folder) count(flag imap.Flag) uint32 {
	var n uint32
	for _, m := range f.messages {
		if m.has(flag) {
			n++
		}
	}
	return n
}

func (f *folder) size() int64 {
	var n int64
	for _, m := range f.messages {
		n += m.size
	}
	return n
}

func (f *folder) status(o *imap.StatusOptions) *imap.StatusData {
	d := &imap.StatusData{Mailbox: f.name}
	if o.NumMessages {
		d.NumMessages = new(uint32(len(f.messages)))
	}
	if o.NumRecent {
		d.NumRecent = new(uint32)
	}
	if o.UIDNext {
		d.UIDNext = f.next
	}
	if o.UIDValidity {
		d.UIDValidity = f.validity
	}
	if o.NumUnseen {
		d.NumUnseen = new(uint32(len(f.messages)) - f.count(imap.FlagSeen))
	}
	if o.NumDeleted {
		d.NumDeleted = new(f.count(imap.FlagDeleted))
	}
	if o.Size {
		d.Size = new(f.size())
	}
	return d
}
