package mailbox_test

import (
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/emulator/mailserver"
	"emailchannel.dev/emailchannel/shared/mailbox"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// imapServer is one of the servers that each of these tests runs against.
type imapServer struct {
	*mailbox.Dialer
	imap mailbox.Server
	tls  mailbox.Server // on another port, with Security TLS
	fill func(t testing.TB, from, to int)
}

// both runs a test against the server of the emulator and against Dovecot.
func both(t *testing.T, test func(*testing.T, *imapServer)) {
	t.Run("emulator", func(t *testing.T) {
		s := start(t)
		test(t, &imapServer{Dialer: s.Dialer, imap: s.imap, tls: s.listenTLS(t, s.ServeIMAP), fill: s.fill})
	})
	t.Run("dovecot", func(t *testing.T) { onDovecot(t, test) })
}

func onDovecot(t *testing.T, test func(*testing.T, *imapServer)) {
	d := startDovecot(t, "")
	test(t, &imapServer{Dialer: d.Dialer, imap: d.imap, tls: d.imaps, fill: d.fill})
}

// other is a second mail program at the same mailbox.
type other struct {
	*imapclient.Client
	t testing.TB
}

func (s *imapServer) other(t testing.TB) other {
	t.Helper()
	c, err := imapclient.DialInsecure(s.imap.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	o := other{c, t}
	o.must(c.Login(user, mailserver.Password).Wait())
	return o
}

func (o other) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o other) open(folder string) *imap.SelectData {
	o.t.Helper()
	data, err := o.Select(folder, nil).Wait()
	o.must(err)
	return data
}

// expunge removes mails of the open folder.
func (o other) expunge(uids ...imap.UID) error {
	flags := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := o.Store(imap.UIDSetNum(uids...), flags, nil).Close(); err != nil {
		return err
	}
	return o.UIDExpunge(imap.UIDSetNum(uids...)).Close()
}

// recreate replaces a folder by one of the same name with mails from..to, which has another UIDVALIDITY.
func (o other) recreate(s *imapServer, folder string, from, to int) {
	o.t.Helper()
	o.must(o.Delete(folder).Wait())
	s.put(o.t, folder, from, to)
}

// put stores mails in a folder, which is created when it is missing.
func (s *imapServer) put(t testing.TB, folder string, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		m := mailbox.Copy{Folder: folder, Size: int64(len(raw(i)))}
		if err := s.Append(t.Context(), s.imap, login(), m, strings.NewReader(raw(i))); err != nil {
			t.Fatal(err)
		}
	}
}

// fetch is Fetch of everything after the cursor.
func (s *imapServer) fetch(t testing.TB, folder string, after mailbox.Cursor, c *collector) mailbox.Cursor {
	t.Helper()
	cursor, err := s.Fetch(t.Context(), s.imap, login(), folder, after, 0, c.take)
	if err != nil {
		t.Fatal(err)
	}
	return cursor
}
