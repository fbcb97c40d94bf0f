package suite_test

import (
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
)

// What was in the mailbox when the suite was killed within a poll is fetched when it starts again, without a wait for
// the minute's tick or for the lease of the dead.
func TestMailIsFetchedAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	up := func() *world {
		w := restarted(t, dir)
		w.Clock.Freeze(true)
		return w
	}
	w := up()
	w.control("POST", "/_emulator/faults", `{"fail":"imap","times":1000}`)
	raw := "From: cleo@customer.example\r\nTo: support@example.com\r\nSubject: x\r\nMessage-ID: <r@customer.example>\r\n\r\nhello\r\n"
	if err := w.Mail.Deliver("cleo@customer.example", []string{"support@example.com"}, strings.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if err := w.Docs().Write(t.Context(), func(tx channel.Tx) {
		tx.Set("leases/poll-support", channel.Lease{Holder: "killed", Until: w.Clock.Now().Add(time.Hour)})
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = up()
	defer w.Close()
	w.eventually("a session", func() bool {
		return len(list[channel.Session](w, "/v1/sessions?address=cleo@customer.example")) == 1
	})
}
