package mailbox_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/mailserver"
	"emailchannel.dev/emailchannel/shared/mailbox"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

func TestFetchIsIncremental(t *testing.T) {
	s := start(t)
	s.fill(t, 1, 3)
	ctx := t.Context()
	var c collector
	cursor, err := s.Fetch(ctx, s.imap, login(), "INBOX", mailbox.Cursor{}, 0, c.take)
	if err != nil || c.uids() != "1 2 3" || cursor.LastUID != 3 {
		t.Fatalf("first: %s, cursor %+v, %v", c.uids(), cursor, err)
	}
	stored := s.Mailbox(user)
	for i, item := range c.items {
		m := stored[i]
		if c.bodies[i] != raw(i+1) || item.Size != m.Size || !item.InternalDate.Equal(m.InternalDate.Truncate(time.Second)) || item.UIDValidity != m.UIDValidity {
			t.Errorf("item %+v with %q does not fit the stored %+v", item, c.bodies[i], m)
		}
	}
	again, err := s.Fetch(ctx, s.imap, login(), "INBOX", cursor, 0, c.take)
	if err != nil || again != cursor || len(c.items) != 3 {
		t.Errorf("nothing new: %s, cursor %+v, %v", c.uids(), again, err)
	}
	s.fill(t, 4, 6)
	cursor, err = s.Fetch(ctx, s.imap, login(), "INBOX", cursor, 2, c.take)
	if err != nil || c.uids() != "1 2 3 4 5" || cursor.LastUID != 5 {
		t.Errorf("two at most: %s, cursor %+v, %v", c.uids(), cursor, err)
	}
	for _, m := range s.Mailbox(user) {
		if len(m.Flags) != 0 {
			t.Errorf("UID %d got the flags %v", m.UID, m.Flags)
		}
	}
}

func TestFetchAskedForNothingElse(t *testing.T) {
	s := start(t)
	s.fill(t, 1, 1)
	transcript := make(chan string, 1)
	proxy := relay(t, s.imap, func(client, server net.Conn) {
		var said strings.Builder
		go io.Copy(client, server)
		io.Copy(io.MultiWriter(server, &said), client)
		transcript <- said.String()
	})
	var c collector
	if _, err := s.Fetch(t.Context(), proxy, login(), "INBOX", mailbox.Cursor{}, 0, c.take); err != nil {
		t.Fatal(err)
	}
	said := <-transcript
	for _, word := range []string{" SELECT ", "ENVELOPE", "BODYSTRUCTURE", "BODY[", "STORE", "RETURN", "UNSEEN"} {
		if strings.Contains(said, word) {
			t.Errorf("said %q:\n%s", word, said)
		}
	}
	if !strings.Contains(said, "EXAMINE INBOX") || !strings.Contains(said, "BODY.PEEK[]") {
		t.Errorf("said\n%s", said)
	}
}

func TestFetchStartsAgainUnderANewUIDValidity(t *testing.T) {
	s := start(t)
	s.fill(t, 1, 2)
	var c collector
	before, err := s.Fetch(t.Context(), s.imap, login(), "INBOX", mailbox.Cursor{}, 0, c.take)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.BumpUIDValidity(user, "INBOX"); err != nil {
		t.Fatal(err)
	}
	cursor, err := s.Fetch(t.Context(), s.imap, login(), "INBOX", before, 0, c.take)
	if err != nil || c.uids() != "1 2 1 2" || cursor.UIDValidity == before.UIDValidity || cursor.LastUID != 2 {
		t.Errorf("%s, cursor %+v after %+v, %v", c.uids(), cursor, before, err)
	}
	if v := c.items[3].UIDValidity; v != cursor.UIDValidity {
		t.Errorf("items have UIDVALIDITY %d, cursor %d", v, cursor.UIDValidity)
	}
}

func TestFetchStopsAtARefusedMail(t *testing.T) {
	s := start(t)
	s.fill(t, 1, 5)
	full := errors.New("archive is full")
	c := collector{after: func(n int) error {
		if n == 3 {
			return full
		}
		return nil
	}}
	cursor, err := s.Fetch(t.Context(), s.imap, login(), "INBOX", mailbox.Cursor{}, 0, c.take)
	if err != full || cursor.LastUID != 2 {
		t.Fatalf("cursor %+v, %v", cursor, err)
	}
	c.after = nil
	cursor, err = s.Fetch(t.Context(), s.imap, login(), "INBOX", cursor, 0, c.take)
	if err != nil || c.uids() != "1 2 3 4 5" || cursor.LastUID != 5 {
		t.Errorf("%s, cursor %+v, %v", c.uids(), cursor, err)
	}
}

func TestFetchStopsAtARefusedMailThatWasNotRead(t *testing.T) {
	s := start(t)
	if err := s.Deliver("", []string{user}, io.LimitReader(lines{}, 10<<20)); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	cursor, err := s.Fetch(t.Context(), s.imap, login(), "INBOX", mailbox.Cursor{}, 0, func(context.Context, mailbox.Item) error { return no })
	if err != no || cursor.LastUID != 0 {
		t.Errorf("cursor %+v, %v", cursor, err)
	}
}

// A panic on the way to the archive must not wait for a server that waits to be read.
func TestFetchEndsWithAPanicOfItsCaller(t *testing.T) {
	s := start(t)
	s.fill(t, 1, 5)
	f, err := s.Open(t.Context(), s.imap, login(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() != "the archive is odd" {
			t.Error("deliver was not called")
		}
	}()
	defer f.Close()
	_, _ = f.Fetch(t.Context(), mailbox.Cursor{}, 0, func(context.Context, mailbox.Item) error { panic("the archive is odd") })
}

func TestFetchPassesExpungedMail(t *testing.T) {
	s := start(t)
	s.fill(t, 1, 5)
	other, err := imapclient.DialInsecure(s.imap.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Login(user, mailserver.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	expunge := func(uids ...imap.UID) error {
		flags := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}
		if err := other.Store(imap.UIDSetNum(uids...), flags, nil).Close(); err != nil {
			return err
		}
		return other.Expunge().Close()
	}
	if err := expunge(2); err != nil {
		t.Fatal(err)
	}
	c := collector{after: func(n int) error {
		if n == 1 {
			return expunge(4, 5)
		}
		return nil
	}}
	cursor, err := s.Fetch(t.Context(), s.imap, login(), "INBOX", mailbox.Cursor{}, 0, c.take)
	if err != nil || !strings.HasPrefix(c.uids(), "1 3") || cursor.LastUID != 5 {
		t.Errorf("%s, cursor %+v, %v", c.uids(), cursor, err)
	}
}

// Flags that change while a body is asked for come as a response of their own, which go-imap takes for the answer.
func TestFetchSurvivesFlagNewsInPlaceOfTheAnswer(t *testing.T) {
	server := scripted(t, map[string][]string{
		"SEARCH": {"* SEARCH 7 8"},
		"FLAGS": {
			`* 1 FETCH (UID 7 FLAGS () INTERNALDATE " 1-May-2026 10:00:00 +0000" RFC822.SIZE 5)`,
			`* 2 FETCH (UID 8 FLAGS () INTERNALDATE " 1-May-2026 10:00:00 +0000" RFC822.SIZE 5)`,
		},
		"PEEK first": {"* 1 FETCH (UID 7 FLAGS (\\Seen))", "* 1 FETCH (UID 7 BODY[] {5}\r\nseven)", "* 2 FETCH (UID 8 BODY[] {5}\r\neight)"},
		"PEEK":       {"* 1 FETCH (UID 7 BODY[] {5}\r\nseven)"},
	})
	var c collector
	d := &mailbox.Dialer{AllowInsecure: true}
	cursor, err := d.Fetch(t.Context(), server, login(), "INBOX", mailbox.Cursor{UIDValidity: 9, LastUID: 6}, 0, c.take)
	slices.Sort(c.bodies)
	if err != nil || strings.Join(c.bodies, " ") != "eight seven" || cursor.LastUID != 8 {
		t.Errorf("got %q, cursor %+v, %v", c.bodies, cursor, err)
	}
}

func TestFetchIgnoresUIDsBelowTheCursor(t *testing.T) {
	server := scripted(t, map[string][]string{"SEARCH": {"* SEARCH 3 5"}})
	var c collector
	d := &mailbox.Dialer{AllowInsecure: true}
	after := mailbox.Cursor{UIDValidity: 9, LastUID: 5}
	cursor, err := d.Fetch(t.Context(), server, login(), "INBOX", after, 0, c.take)
	if err != nil || len(c.items) != 0 || cursor != after {
		t.Errorf("%s, cursor %+v, %v", c.uids(), cursor, err)
	}
}

func TestFetchNamesTheMailThatTheServerCannotGive(t *testing.T) {
	server := scripted(t, map[string][]string{
		"SEARCH": {"* SEARCH 1 2"},
		"FLAGS": {
			`* 1 FETCH (UID 1 FLAGS () INTERNALDATE " 1-May-2026 10:00:00 +0000" RFC822.SIZE 5)`,
			`* 2 FETCH (UID 2 FLAGS () INTERNALDATE " 1-May-2026 10:00:00 +0000" RFC822.SIZE 5)`,
		},
		"PEEK": {"* 1 FETCH (UID 1 BODY[] {3}\r\none)", "NO [SERVERBUG] message 2 is damaged"},
	})
	var c collector
	d := &mailbox.Dialer{AllowInsecure: true}
	cursor, err := d.Fetch(t.Context(), server, login(), "INBOX", mailbox.Cursor{}, 0, c.take)
	var bad *mailbox.FetchError
	var refused *mailbox.Refusal
	if !errors.As(err, &bad) || bad.UID != 2 || !errors.As(err, &refused) || cursor.LastUID != 1 {
		t.Fatalf("cursor %+v, %v", cursor, err)
	}
	if refused.Answer != "NO [SERVERBUG] message 2 is damaged" {
		t.Errorf("answer is %q", refused.Answer)
	}
}

// go-imap ends the connection at an item that it cannot read. The mail is to blame that has it, wherever in the response it is,
// and not the first of those that were asked for.
func TestFetchNamesTheMailWithAnUnreadableItem(t *testing.T) {
	const n, bad = 5, 3
	for name, form := range map[string]string{
		"UID first": `* %[1]d FETCH (UID %[1]d FLAGS () INTERNALDATE "%[2]s" RFC822.SIZE 3)`,
		"UID last":  `* %[1]d FETCH (INTERNALDATE "%[2]s" RFC822.SIZE 3 FLAGS () UID %[1]d)`,
	} {
		var small, whole []string
		for i := 1; i <= n; i++ {
			date := " 1-May-2026 10:00:00 +0000"
			if i == bad {
				date = "00-Jan-0000 00:00:00 +0000"
			}
			small = append(small, fmt.Sprintf(form, i, date))
			whole = append(whole, fmt.Sprintf("* %d FETCH (UID %d BODY[] {3}\r\none)", i, i))
		}
		d := &mailbox.Dialer{AllowInsecure: true}
		server := scripted(t, map[string][]string{"SEARCH": {"* SEARCH 1 2 3 4 5"}, "FLAGS": small, "PEEK": whole})
		var c collector
		cursor, err := d.Fetch(t.Context(), server, login(), "INBOX", mailbox.Cursor{}, 0, c.take)
		var blamed *mailbox.FetchError
		if !errors.As(err, &blamed) || blamed.UID != bad || cursor.LastUID != 0 {
			t.Errorf("%s: cursor %+v, %v", name, cursor, err)
		}
	}
}

func TestFetchCutWithinABody(t *testing.T) {
	s := start(t)
	s.fill(t, 1, 1)
	if err := s.Deliver("", []string{user}, io.LimitReader(lines{}, 1<<20)); err != nil {
		t.Fatal(err)
	}
	var c collector
	cursor, err := s.Fetch(t.Context(), s.imap, login(), "INBOX", mailbox.Cursor{}, 1, c.take)
	if err != nil {
		t.Fatal(err)
	}
	s.fault.set("imap literal", mailserver.ErrDrop, 1)
	cursor, err = s.Fetch(t.Context(), s.imap, login(), "INBOX", cursor, 0, c.take)
	var bad *mailbox.FetchError
	if !errors.As(err, &bad) || bad.UID != 2 || cursor.LastUID != 1 {
		t.Fatalf("cursor %+v, %v", cursor, err)
	}
	// A caller that overlooks the error does not move the cursor either.
	s.fault.set("imap literal", mailserver.ErrDrop, 1)
	cursor, err = s.Fetch(t.Context(), s.imap, login(), "INBOX", cursor, 0, func(_ context.Context, item mailbox.Item) error {
		io.Copy(io.Discard, item.Body)
		return nil
	})
	if !errors.As(err, &bad) || cursor.LastUID != 1 {
		t.Errorf("cursor %+v, %v", cursor, err)
	}
	if cursor, err = s.Fetch(t.Context(), s.imap, login(), "INBOX", cursor, 0, c.take); err != nil || cursor.LastUID != 2 {
		t.Errorf("afterwards: cursor %+v, %v", cursor, err)
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	s := start(t)
	s.fill(t, 1, 3)
	ctx, cancel := context.WithCancel(t.Context())
	c := collector{after: func(n int) error {
		if n == 2 {
			cancel()
		}
		return nil
	}}
	cursor, err := s.Fetch(ctx, s.imap, login(), "INBOX", mailbox.Cursor{}, 0, c.take)
	var bad *mailbox.FetchError
	if !errors.Is(err, context.Canceled) || errors.As(err, &bad) || c.uids() != "1 2" || cursor.LastUID != 2 {
		t.Errorf("cursor %+v, %v", cursor, err)
	}
}

func TestSilentServersEndByTimeout(t *testing.T) {
	silent := serve(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	halfway := scripted(t, map[string][]string{"SEARCH": {"(silence)"}})
	d := &mailbox.Dialer{AllowInsecure: true, Timeout: 50 * time.Millisecond}
	for name, server := range map[string]mailbox.Server{"greeting": silent, "search": halfway} {
		if _, err := d.Fetch(t.Context(), server, login(), "INBOX", mailbox.Cursor{}, 0, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, security := range []mailbox.Security{mailbox.TLS, mailbox.StartTLS} {
		silent.Security = security
		if err := d.VerifyIMAP(t.Context(), silent, login(), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("IMAP %s: %v", security, err)
		}
		if err := d.VerifySMTP(t.Context(), silent, login()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("SMTP %s: %v", security, err)
		}
	}
}

func TestBigMailsAreStreamed(t *testing.T) {
	size := int64(35 << 20)
	if raceDetector {
		size = 5 << 20 // the libraries handle single bytes, each of which the detector looks at
	}
	s := start(t)
	s.imap.Security, s.smtp.Security = mailbox.StartTLS, mailbox.StartTLS
	sender := mailbox.NewSender(s.Dialer)
	defer sender.Close()
	peak := watchHeap(t)
	envelope := mailbox.Envelope{From: "a@example.com", To: []string{user}, Size: size}
	if _, err := sender.Send(t.Context(), s.smtp, login(), envelope, io.LimitReader(lines{}, size)); err != nil {
		t.Fatal(err)
	}
	var got int64
	_, err := s.Fetch(t.Context(), s.imap, login(), "INBOX", mailbox.Cursor{}, 0, func(_ context.Context, item mailbox.Item) (err error) {
		got, err = io.Copy(io.Discard, item.Body)
		return err
	})
	if err != nil || got < size {
		t.Fatalf("%d bytes, %v", got, err)
	}
	extra := peak()
	t.Logf("heap grew by %d KiB for %d KiB, client and server together", extra>>10, size>>10)
	if extra > 64<<20 {
		t.Error("that is too much")
	}
}

// lines is endless text in lines of 64 bytes.
type lines struct{}

func (lines) Read(b []byte) (int, error) {
	const line = "The quick brown fox jumps over the lazy dog and comes back. 12\r\n"
	n := 0
	for n+len(line) <= len(b) {
		n += copy(b[n:], line)
	}
	return n, nil
}

// watchHeap returns a function that stops and tells by how much the heap in use grew at most.
func watchHeap(t *testing.T) func() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, peak := m.HeapAlloc, m.HeapAlloc
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			case <-stop:
				return
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return peak - base
	}
}

func TestUIDsAreBoundedByWhatWasAsked(t *testing.T) {
	server := scripted(t, map[string][]string{"SEARCH": {"* ESEARCH UID ALL 1:4294967295"}})
	d := &mailbox.Dialer{AllowInsecure: true}
	n := 0
	stop := errors.New("enough")
	_, err := d.Fetch(t.Context(), server, login(), "INBOX", mailbox.Cursor{}, 10, func(context.Context, mailbox.Item) error {
		n++
		return stop
	})
	if err == nil {
		t.Error("a server that lists four billion mails and has none was believed")
	}
}

// serve runs handle for each connection.
func serve(t *testing.T, handle func(net.Conn)) mailbox.Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return address(ln)
}

// relay puts between in front of a server.
func relay(t *testing.T, to mailbox.Server, between func(client, server net.Conn)) mailbox.Server {
	return serve(t, func(client net.Conn) {
		server, err := net.Dial("tcp", to.String())
		if err != nil {
			return
		}
		defer server.Close()
		between(client, server)
	})
}

// scripted is an IMAP server with fixed answers: the lines of the key that the command contains, "KEY first" once. A line
// that begins with NO is the tagged answer, "(silence)" is none at all.
func scripted(t *testing.T, answers map[string][]string) mailbox.Server {
	return serve(t, func(conn net.Conn) {
		used := map[string]bool{}
		fmt.Fprint(conn, "* OK [CAPABILITY IMAP4rev1] ready\r\n")
		in := bufio.NewScanner(conn)
		for in.Scan() {
			tag, command, _ := strings.Cut(in.Text(), " ")
			result := "OK done"
			if strings.HasPrefix(command, "EXAMINE") {
				fmt.Fprint(conn, "* 2 EXISTS\r\n* OK [UIDVALIDITY 9] ok\r\n")
			}
			if strings.HasPrefix(command, "CAPABILITY") {
				fmt.Fprint(conn, "* CAPABILITY IMAP4rev1\r\n")
			}
			if command == "STARTTLS" {
				result = "BAD unknown command"
			}
			for _, key := range []string{"SEARCH", "FLAGS", "PEEK"} {
				if !strings.Contains(command, key) {
					continue
				}
				lines := answers[key]
				if first := answers[key+" first"]; first != nil && !used[key] {
					lines = first
				}
				used[key] = true
				for _, line := range lines {
					switch {
					case line == "(silence)":
						result = ""
					case strings.HasPrefix(line, "NO "):
						result = line
					default:
						fmt.Fprint(conn, line+"\r\n")
					}
				}
			}
			if result != "" {
				fmt.Fprintf(conn, "%s %s\r\n", tag, result)
			}
		}
	})
}

// scriptedBy is an IMAP server that gives the lines of answer, and then OK or whatever the last of them is when it begins with NO or
// BAD. The line "(silence)" is no answer at all, "(close)" the end.
func scriptedBy(t *testing.T, answer func(command string) []string) mailbox.Server {
	return serve(t, func(conn net.Conn) {
		fmt.Fprint(conn, "* OK [CAPABILITY IMAP4rev1] ready\r\n")
		in := bufio.NewScanner(conn)
		for in.Scan() {
			tag, command, _ := strings.Cut(in.Text(), " ")
			result := "OK done"
			var lines []string
			switch { // what every session begins with
			case strings.HasPrefix(command, "AUTHENTICATE"), strings.HasPrefix(command, "LOGIN"), strings.HasPrefix(command, "LOGOUT"):
			default:
				lines = answer(command)
			}
			if lines == nil && strings.HasPrefix(command, "CAPABILITY") {
				lines = []string{"* CAPABILITY IMAP4rev1"}
			}
			for _, line := range lines {
				switch {
				case line == "(silence)":
					result = ""
				case line == "(close)":
					return
				case strings.HasPrefix(line, "NO "), strings.HasPrefix(line, "BAD "):
					result = line
				default:
					fmt.Fprint(conn, line+"\r\n")
				}
			}
			if result != "" {
				fmt.Fprintf(conn, "%s %s\r\n", tag, result)
			}
		}
	})
}
