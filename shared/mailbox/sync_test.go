package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/mailbox"
	"github.com/emersion/go-imap/v2"
)

func TestTenThousandMails(t *testing.T) {
	n := 10_000
	if raceDetector {
		n = 1_000
	}
	s := start(t)
	servers := map[string]func(*testing.T) *imapServer{
		"emulator": func(t *testing.T) *imapServer {
			s.fill(t, 1, n/8)
			s.double(t, 3)
			return &imapServer{Dialer: s.Dialer, imap: s.imap, fill: s.fill}
		},
		"dovecot": func(t *testing.T) *imapServer {
			d := startDovecot(t, "")
			d.fill(t, 1, n)
			return &imapServer{Dialer: d.Dialer, imap: d.imap, fill: d.fill}
		},
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			f, err := s.Open(t.Context(), s.imap, login(), "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var got []uint32
			deliver := func(_ context.Context, item mailbox.Item) error {
				got = append(got, item.UID)
				_, err := io.Copy(io.Discard, item.Body)
				return err
			}
			var cursor mailbox.Cursor
			begun := time.Now()
			for calls := 0; ; calls++ { // as a poll does, in parts over one connection
				next, err := f.Fetch(t.Context(), cursor, n/5, deliver)
				if err != nil {
					t.Fatal(err)
				}
				if next == cursor {
					break
				}
				cursor = next
			}
			t.Logf("%d mails: %v", len(got), time.Since(begun).Round(time.Millisecond))
			if len(got) != n || !slices.IsSorted(got) || got[0] != 1 || got[n-1] != uint32(n) || cursor.LastUID != uint32(n) {
				t.Fatalf("%d mails, cursor %+v", len(got), cursor)
			}
			s.fill(t, n+1, n+3)
			begun, got = time.Now(), nil
			if cursor, err = s.Fetch(t.Context(), s.imap, login(), "INBOX", cursor, 0, deliver); err != nil || len(got) != 3 || cursor.LastUID != uint32(n)+3 {
				t.Errorf("three more: %v, cursor %+v, %v", got, cursor, err)
			}
			t.Logf("three more, with the login: %v", time.Since(begun).Round(time.Millisecond))
			begun, got = time.Now(), nil
			parts := 0
			err = f.UIDs(t.Context(), func(uids []uint32) error { got = append(got, uids...); parts++; return nil })
			t.Logf("their UIDs: %v", time.Since(begun).Round(time.Millisecond))
			if err != nil || len(got) != n+3 || !slices.IsSorted(got) || n > 5000 && parts < 2 || f.UIDValidity() != cursor.UIDValidity {
				t.Errorf("%d UIDs in %d parts, %v", len(got), parts, err)
			}
		})
	}
}

// cutAfter lets through that many bytes of what the server says, and then closes both sides; a negative number lets all through.
func cutAfter(t *testing.T, to mailbox.Server, left *atomic.Int64) mailbox.Server {
	proxy := relay(t, to, func(client, server net.Conn) {
		go io.Copy(server, client)
		var from io.Reader = server
		if n := left.Load(); n >= 0 {
			from = io.LimitReader(server, n)
		}
		io.Copy(client, from)
		client.Close()
	})
	proxy.Security = to.Security
	return proxy
}

func TestCutInTheMiddleOfALiteral(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		s.put(t, "INBOX", 1, 3)
		big, err := io.ReadAll(io.LimitReader(lines{}, 400<<10))
		if err != nil {
			t.Fatal(err)
		}
		m := mailbox.Copy{Folder: "INBOX", Size: int64(len(big))}
		if err := s.Append(t.Context(), s.imap, login(), m, strings.NewReader(string(big))); err != nil {
			t.Fatal(err)
		}
		s.put(t, "INBOX", 5, 6)
		for _, security := range []mailbox.Server{s.imap, s.tls} {
			var left atomic.Int64
			proxy := cutAfter(t, security, &left)
			left.Store(200 << 10)
			var c collector
			cursor, err := s.Fetch(t.Context(), proxy, login(), "INBOX", mailbox.Cursor{}, 0, c.take)
			var bad *mailbox.FetchError
			if !errors.As(err, &bad) || bad.UID != 4 || c.uids() != "1 2 3" || cursor.LastUID != 3 {
				t.Fatalf("%s: %s, cursor %+v, %v", security.Security, c.uids(), cursor, err)
			}
			left.Store(-1)
			cursor, err = s.Fetch(t.Context(), proxy, login(), "INBOX", cursor, 0, c.take)
			if err != nil || c.uids() != "1 2 3 4 5 6" || cursor.LastUID != 6 || c.bodies[3] != string(big) {
				t.Errorf("%s: %s, cursor %+v, %v", security.Security, c.uids(), cursor, err)
			}
		}
	})
}

// Wherever the connection is cut, each mail is taken once and whole.
func TestCutAnywhere(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		s.fill(t, 1, 5)
		var left atomic.Int64
		proxy := cutAfter(t, s.imap, &left)
		var c collector
		var cursor mailbox.Cursor
		cuts := 0
		for at := int64(0); cursor.LastUID < 5; at += 61 {
			left.Store(at)
			var err error
			if cursor, err = s.Fetch(t.Context(), proxy, login(), "INBOX", cursor, 0, c.take); err != nil {
				cuts++
			}
			if at > 64<<10 {
				t.Fatalf("never done: %s, cursor %+v, %v", c.uids(), cursor, err)
			}
		}
		if c.uids() != "1 2 3 4 5" || cuts < 5 {
			t.Errorf("%s after %d cuts", c.uids(), cuts)
		}
		for i, body := range c.bodies {
			if body != raw(i+1) {
				t.Errorf("mail %d is %q", i+1, body)
			}
		}
	})
}

func TestExpungeDuringFetch(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		s.fill(t, 1, 250)
		o := s.other(t)
		o.open("INBOX")
		gone := map[uint32]bool{}
		c := collector{after: func(n int) error {
			if n != 5 && n != 120 { // in the first and in the second hundred
				return nil
			}
			var uids []imap.UID
			for i := n - 2; i < n+130; i += 3 { // behind, here, in this hundred and in the next
				uids = append(uids, imap.UID(i))
				gone[uint32(i)] = true
			}
			return o.expunge(uids...)
		}}
		cursor := s.fetch(t, "INBOX", mailbox.Cursor{}, &c)
		if cursor.LastUID != 250 {
			t.Errorf("cursor %+v", cursor)
		}
		taken := map[uint32]int{}
		for i, item := range c.items {
			taken[item.UID]++
			if c.bodies[i] != raw(int(item.UID)) {
				t.Errorf("UID %d is %q", item.UID, c.bodies[i])
			}
		}
		for uid := uint32(1); uid <= 250; uid++ {
			if taken[uid] > 1 || taken[uid] == 0 && !gone[uid] {
				t.Errorf("UID %d was taken %d times", uid, taken[uid])
			}
		}
		again := collector{}
		if next := s.fetch(t, "INBOX", cursor, &again); next != cursor || len(again.items) != 0 {
			t.Errorf("again: %s, cursor %+v", again.uids(), next)
		}
	})
}

func TestUIDValidityChanges(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		s.put(t, "Queue", 1, 3)
		o := s.other(t)
		var c collector
		before := s.fetch(t, "Queue", mailbox.Cursor{}, &c)
		f, err := s.Open(t.Context(), s.imap, login(), "Queue")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		o.recreate(s, "Queue", 11, 12)
		// What is still open is the old folder: it may fail, but it takes nothing that is in the new one under its own number.
		cursor, err := f.Fetch(t.Context(), before, 0, c.take)
		if cursor != before || len(c.items) != 3 {
			t.Errorf("the old folder gave %s, cursor %+v after %+v, %v", c.uids(), cursor, before, err)
		}
		cursor = s.fetch(t, "Queue", before, &c)
		if cursor.UIDValidity == before.UIDValidity || cursor.LastUID != 2 || len(c.items) != 5 || c.items[4].UIDValidity != cursor.UIDValidity {
			t.Errorf("%s, cursor %+v after %+v", c.uids(), cursor, before)
		}
		if strings.Join(c.bodies[3:], "") != raw(11)+raw(12) {
			t.Errorf("got %q", c.bodies[3:])
		}
	})
}

// state is what another mail program sees of a folder; opening it takes \Recent away, so it is asked by STATUS and EXAMINE.
func (o other) state(folder string) string {
	o.t.Helper()
	data, err := o.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	o.must(err)
	out := fmt.Sprint(data.NumMessages, data.UIDNext, data.UIDValidity)
	mails, err := o.Fetch(imap.UIDSet{{Start: 1}}, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true}).Collect()
	o.must(err)
	for _, m := range mails {
		slices.Sort(m.Flags)
		out += fmt.Sprint("\n", m.UID, m.Flags, m.InternalDate)
	}
	return out
}

func TestNothingInTheMailboxChanges(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		s.fill(t, 1, 4)
		o := s.other(t)
		before := o.state("INBOX")
		if strings.HasSuffix(t.Name(), "/dovecot") && !strings.Contains(before, `\Recent`) {
			t.Errorf("the server tells no \\Recent, so nothing is seen of it: %s", before)
		}
		f, err := s.Open(t.Context(), s.imap, login(), "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		var c collector
		if _, err := f.Fetch(t.Context(), mailbox.Cursor{}, 0, c.take); err != nil || len(c.items) != 4 {
			t.Fatalf("%s, %v", c.uids(), err)
		}
		if _, err := f.Wait(t.Context(), 50*time.Millisecond); err != nil {
			t.Error(err)
		}
		if err := f.UIDs(t.Context(), func([]uint32) error { return nil }); err != nil {
			t.Error(err)
		}
		f.Close()
		if _, _, err := s.FindSent(t.Context(), s.imap, login(), "INBOX", "x", "<x@example.com>"); err != nil {
			t.Error(err)
		}
		if err := s.VerifyIMAP(t.Context(), s.imap, login(), []string{"INBOX"}); err != nil {
			t.Error(err)
		}
		if after := o.state("INBOX"); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})
}

func TestFolders(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		folders := []string{"Queue", "Größe & Ärger", "日本語/受信", `two  "words"`, "a*b%c"}
		cursors := map[string]mailbox.Cursor{}
		for i, folder := range folders {
			s.put(t, folder, 10*i+1, 10*i+2)
		}
		if err := s.VerifyIMAP(t.Context(), s.imap, login(), folders); err != nil {
			t.Fatal(err)
		}
		for round := range 2 {
			for i, folder := range folders {
				var c collector
				cursors[folder] = s.fetch(t, folder, cursors[folder], &c)
				want := raw(10*i+1) + raw(10*i+2)
				if round == 1 {
					want = ""
				}
				if got := strings.Join(c.bodies, ""); got != want {
					t.Errorf("round %d, %s: %q", round, folder, got)
				}
			}
		}
	})
}

func TestUIDsOfASparseFolder(t *testing.T) {
	asked := 0
	server := scriptedBy(t, func(command string) []string {
		switch {
		case strings.HasPrefix(command, "EXAMINE"):
			return []string{"* 3 EXISTS", "* OK [UIDVALIDITY 9] ok", "* OK [UIDNEXT 1700000003] ok"}
		case strings.Contains(command, "SEARCH"):
			asked++
			var low, high uint32
			if n, _ := fmt.Sscanf(command, "UID SEARCH UID %d:%d", &low, &high); n < 2 {
				high = 1<<32 - 1
			}
			answer := "* SEARCH 7 1700000000 1700000001 1700000004"
			if low > 7 { // a server that answers more than it was asked is cut to size
				answer = "* SEARCH 1700000000 1700000001 1700000004"
			}
			return []string{answer}
		}
		return nil
	})
	f := inbox(t, &mailbox.Dialer{AllowInsecure: true}, server)
	var got []uint32
	err := f.UIDs(t.Context(), func(uids []uint32) error { got = append(got, uids...); return nil })
	if err != nil || !slices.Equal(got, []uint32{7, 1700000000, 1700000001, 1700000004}) || asked > 1000 {
		t.Errorf("%v after %d questions, %v", got, asked, err)
	}
	enough := errors.New("enough")
	if err := f.UIDs(t.Context(), func([]uint32) error { return enough }); err != enough {
		t.Errorf("got %v", err)
	}
}

// A batch of a big folder does not have the server list all that is left, and a gap is passed at once.
func TestFetchAsksForWhatIsNear(t *testing.T) {
	var asked []string
	server := scriptedBy(t, func(command string) []string {
		switch {
		case strings.HasPrefix(command, "EXAMINE"):
			return []string{"* 4 EXISTS", "* OK [UIDVALIDITY 9] ok", "* OK [UIDNEXT 90003] ok"}
		case strings.Contains(command, "SEARCH"):
			asked = append(asked, strings.TrimPrefix(command, "UID SEARCH UID "))
			return []string{"* SEARCH 4 6000 90001 90002"} // more than it was asked
		case strings.Contains(command, "BODY.PEEK"):
			uid := strings.Fields(command)[2]
			return []string{"* 1 FETCH (UID " + uid + " BODY[] {2}\r\nhi)"}
		case strings.Contains(command, "UID FETCH"):
			uid := strings.Fields(command)[2]
			return []string{"* 1 FETCH (UID " + uid + " RFC822.SIZE 2)"}
		}
		return nil
	})
	f := inbox(t, &mailbox.Dialer{AllowInsecure: true}, server)
	cursor := mailbox.Cursor{UIDValidity: 9}
	var got []uint32
	for range 5 {
		next, err := f.Fetch(t.Context(), cursor, 1, func(_ context.Context, m mailbox.Item) error {
			got = append(got, m.UID)
			_, err := io.Copy(io.Discard, m.Body)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		cursor = next
	}
	if want := []uint32{4, 6000, 90001, 90002}; !slices.Equal(got, want) {
		t.Errorf("got %d, not %d", got, want)
	}
	if want := []string{"1:5000", "5:5004", "5005:*", "6001:11000", "11001:*", "90002:*", "90003:*"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, not %q", asked, want)
	}
}

func TestUIDsWithoutUIDNEXT(t *testing.T) {
	var said []string
	server := scriptedBy(t, func(command string) []string {
		switch {
		case strings.HasPrefix(command, "EXAMINE"):
			return []string{"* 2 EXISTS", "* OK [UIDVALIDITY 9] ok"}
		case command == "UID SEARCH UID *":
			return []string{"* SEARCH 20000"}
		case strings.Contains(command, "SEARCH"):
			said = append(said, command)
			return []string{"* SEARCH 4 20000"}
		}
		return nil
	})
	f := inbox(t, &mailbox.Dialer{AllowInsecure: true}, server)
	var got []uint32
	err := f.UIDs(t.Context(), func(uids []uint32) error { got = append(got, uids...); return nil })
	if err != nil || !slices.Equal(got, []uint32{4, 20000}) || len(said) < 2 || said[0] != "UID SEARCH UID 1:5000" {
		t.Errorf("%v after %q, %v", got, said, err)
	}
}
