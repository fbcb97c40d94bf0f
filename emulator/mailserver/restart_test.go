package mailserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/emulator/mailserver"
	"github.com/emersion/go-imap/v2"
)

func TestRestartKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	first := start(t, mailserver.Options{Dir: dir})
	deliver(t, first.Server, "x@example.com", 4)
	if err := first.Deliver("a@example.com", []string{"x@example.com", "y@example.com"}, strings.NewReader(mail1)); err != nil {
		t.Fatal(err)
	}
	c := first.dialIMAP(t, "x@example.com")
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	c.Store(imap.UIDSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsSet, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close()
	c.Store(imap.UIDSetNum(2, 5), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close()
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	if err := first.BumpUIDValidity("y@example.com", "INBOX"); err != nil {
		t.Fatal(err)
	}
	want, wantY, cert := describe(t, first.Mailbox("x@example.com")), describe(t, first.Mailbox("y@example.com")), first.CertPEM()
	first.Close()

	// What a killed process may leave: a line without its end, and a body nobody knows.
	journal, err := os.OpenFile(filepath.Join(dir, "journal.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	journal.WriteString(`{"op":"add","box":"x@exa`)
	journal.Close()
	orphan := filepath.Join(dir, "mail", "ORPHAN")
	if err := os.WriteFile(orphan, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}

	second := start(t, mailserver.Options{Dir: dir})
	if got := describe(t, second.Mailbox("x@example.com")); got != want {
		t.Errorf("x has\n%s\nwant\n%s", got, want)
	}
	if got := describe(t, second.Mailbox("y@example.com")); got != wantY {
		t.Errorf("y has\n%s\nwant\n%s", got, wantY)
	}
	if !bytes.Equal(second.CertPEM(), cert) {
		t.Error("the certificate is another one")
	}
	if _, err := os.Stat(orphan); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unknown body is still there: %v", err)
	}
	deliver(t, second.Server, "x@example.com", 1)
	got := second.Mailbox("x@example.com")
	if uid := got[len(got)-1].UID; uid != 6 {
		t.Errorf("new mail has UID %d, want 6: that of an expunged one must not come again", uid)
	}
	files, err := os.ReadDir(filepath.Join(dir, "mail"))
	if err != nil || len(files) != 1 {
		t.Errorf("%d files of bodies, want the one that holds all small mails (%v)", len(files), err)
	}
}

func describe(t *testing.T, list []mailserver.Message) string {
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintln(&b, m.Folder, m.UIDValidity, m.UID, m.InternalDate.UnixNano(), m.Size, m.Flags, len(content(t, m)))
	}
	return b.String()
}

func TestDamagedJournalIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journal.jsonl"), []byte("{broken}\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := mailserver.Open(mailserver.Options{Dir: dir}); err == nil {
		s.Close()
		t.Error("opened over a damaged journal, which would have lost mail in silence")
	}
}
