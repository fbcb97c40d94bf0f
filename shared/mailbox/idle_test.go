package mailbox_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/mailbox"
	"github.com/emersion/go-imap/v2"
)

// forever is longer than a test may take: what ends before it did not end by time.
const forever = 5 * time.Minute

func (s *imapServer) opened(t testing.TB, server mailbox.Server) *mailbox.Folder {
	t.Helper()
	return inbox(t, s.Dialer, server)
}

// inbox opens INBOX until the test ends.
func inbox(t testing.TB, d *mailbox.Dialer, server mailbox.Server) *mailbox.Folder {
	t.Helper()
	f, err := d.Open(t.Context(), server, login(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func TestMailEndsAWait(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		s.fill(t, 1, 2)
		startTLS := s.imap
		startTLS.Security = mailbox.StartTLS
		n := 2
		for _, server := range []mailbox.Server{s.imap, s.tls, startTLS} {
			f := s.opened(t, server)
			var c collector
			cursor, err := f.Fetch(t.Context(), mailbox.Cursor{}, 0, c.take)
			if err != nil || len(c.items) != n {
				t.Fatalf("%s, %v", c.uids(), err)
			}
			for range 2 {
				n++
				delivered := make(chan time.Time, 1)
				time.AfterFunc(50*time.Millisecond, func() {
					delivered <- time.Now()
					s.fill(t, n, n)
				})
				arrived, err := f.Wait(t.Context(), forever)
				if !arrived || err != nil {
					t.Fatalf("%s: %v, %v", server.Security, arrived, err)
				}
				if cursor, err = f.Fetch(t.Context(), cursor, 0, c.take); err != nil || len(c.items) != n || c.bodies[n-1] != raw(n) {
					t.Fatalf("%s: %s, %v", server.Security, c.uids(), err)
				}
				t.Logf("%s: taken %v after its delivery", server.Security, time.Since(<-delivered).Round(time.Millisecond))
			}
		}
	})
}

func TestAWaitMissesNothing(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		f := s.opened(t, s.imap)
		cursor, err := f.Fetch(t.Context(), mailbox.Cursor{}, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		// After Fetch has looked and before Wait has begun.
		s.fill(t, 1, 1)
		if arrived, err := f.Wait(t.Context(), forever); !arrived || err != nil {
			t.Fatalf("%v, %v", arrived, err)
		}
		// While Fetch gives the first.
		c := collector{after: func(int) error { s.fill(t, 2, 2); return nil }}
		if cursor, err = f.Fetch(t.Context(), cursor, 0, c.take); err != nil {
			t.Fatal(err)
		}
		if arrived, err := f.Wait(t.Context(), forever); !arrived || err != nil {
			t.Fatalf("%v, %v", arrived, err)
		}
		c.after = nil
		if _, err = f.Fetch(t.Context(), cursor, 0, c.take); err != nil || c.uids() != "1 2" {
			t.Errorf("%s, %v", c.uids(), err)
		}
	})
}

func TestOnlyMailEndsAWait(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		s.fill(t, 1, 3)
		o := s.other(t)
		o.open("INBOX")
		f := s.opened(t, s.imap)
		done := make(chan error, 1)
		time.AfterFunc(20*time.Millisecond, func() {
			flags := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen}}
			done <- errors.Join(o.Store(imap.UIDSetNum(3), flags, nil).Close(), o.expunge(1, 2))
		})
		if arrived, err := f.Wait(t.Context(), 700*time.Millisecond); arrived || err != nil {
			t.Errorf("flags and expunges: %v, %v", arrived, err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		// Fewer than before the expunge, but one more than after it.
		time.AfterFunc(20*time.Millisecond, func() { s.fill(t, 4, 4) })
		if arrived, err := f.Wait(t.Context(), forever); !arrived || err != nil {
			t.Errorf("mail: %v, %v", arrived, err)
		}
	})
}

func TestAWaitEnds(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		f := s.opened(t, s.imap)
		for range 3 { // the connection stays good
			if arrived, err := f.Wait(t.Context(), 20*time.Millisecond); arrived || err != nil {
				t.Fatalf("by time: %v, %v", arrived, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err := f.Wait(ctx, forever); !errors.Is(err, context.Canceled) {
			t.Errorf("by its context: %v", err)
		}
		if _, err := f.Wait(t.Context(), forever); err == nil {
			t.Error("a closed connection waits")
		}
	})
}

// idler is a scripted server that says on each IDLE and NOOP what answer does.
func idler(t *testing.T, capabilities string, answer func(command string) []string) mailbox.Server {
	return scriptedBy(t, func(command string) []string {
		switch {
		case strings.HasPrefix(command, "CAPABILITY"):
			return []string{"* CAPABILITY IMAP4rev1 " + capabilities}
		case strings.HasPrefix(command, "EXAMINE"):
			return []string{"* 2 EXISTS", "* OK [UIDVALIDITY 9] ok"}
		}
		return answer(command)
	})
}

func TestServersWithoutIDLEAreAsked(t *testing.T) {
	for name, capabilities := range map[string]string{"not offered": "", "offered and refused": "IDLE"} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			server := idler(t, capabilities, func(command string) []string {
				switch command {
				case "IDLE":
					return []string{"BAD not today"}
				case "NOOP":
					if asked++; asked == 2 {
						return []string{"* 3 EXISTS"}
					}
				}
				return nil
			})
			f := inbox(t, &mailbox.Dialer{AllowInsecure: true}, server)
			f.SetPauses(forever, 20*time.Millisecond)
			if arrived, err := f.Wait(t.Context(), forever); !arrived || err != nil || asked != 2 {
				t.Errorf("%v after %d questions, %v", arrived, asked, err)
			}
		})
	}
}

// A server may end an IDLE after a while (RFC 2177), so ours end before.
func TestIDLEIsBegunAnew(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		idles := make(chan bool, 1000)
		proxy := relay(t, s.imap, func(client, server net.Conn) {
			go io.Copy(client, server)
			for in := bufio.NewScanner(client); in.Scan(); {
				if strings.HasSuffix(in.Text(), " IDLE") {
					idles <- true
				}
				fmt.Fprintf(server, "%s\r\n", in.Text())
			}
		})
		f := s.opened(t, proxy)
		f.SetPauses(10*time.Millisecond, forever)
		go func() {
			for range 5 {
				<-idles
			}
			s.fill(t, 1, 1)
		}()
		if arrived, err := f.Wait(t.Context(), forever); !arrived || err != nil {
			t.Errorf("%v, %v", arrived, err)
		}
	})
}

func TestAServerThatDiesEndsAWait(t *testing.T) {
	for name, answer := range map[string][]string{
		"BYE":                   {"+ idling", "* BYE going down", "(close)"},
		"silence after DONE":    {"+ idling", "* 3 EXISTS", "(silence)"},
		"silence before it":     {"(silence)"},
		"nonsense while idling": {"+ idling", "* 3 EXISTS", "* (((", "(silence)"},
	} {
		t.Run(name, func(t *testing.T) {
			server := idler(t, "IDLE", func(command string) []string {
				if command == "IDLE" {
					return answer
				}
				return []string{"(silence)"}
			})
			d := &mailbox.Dialer{AllowInsecure: true, Timeout: 200 * time.Millisecond}
			server.Security = mailbox.None
			f, err := d.Open(t.Context(), server, mailbox.Login{User: user, Password: "x"}, "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.Wait(t.Context(), forever); err == nil {
				t.Error("no error")
			}
		})
	}
}
