package mailserver_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"emailchannel.dev/emailchannel/emulator/mailserver"
	"github.com/emersion/go-smtp"
)

const childDir = "MAILSERVER_TEST_DIR"

// TestChild is the process that TestKilledServerKeepsAcknowledgedMail kills.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("only as a child of TestKilledServerKeepsAcknowledgedMail")
	}
	s, err := mailserver.Open(mailserver.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening", ln.Addr())
	go func() { // an orphan must not stay behind when the parent's test fails
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	s.ServeSMTP(ln)
}

func TestKilledServerKeepsAcknowledgedMail(t *testing.T) {
	dir := t.TempDir()
	acked := 0
	for round := range 2 {
		child := exec.Command(os.Args[0], "-test.run=^TestChild$")
		child.Env = append(os.Environ(), childDir+"="+dir)
		stdin, err := child.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		stdout, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		addr := ""
		for out := bufio.NewScanner(stdout); addr == "" && out.Scan(); {
			addr, _ = strings.CutPrefix(out.Text(), "listening ")
			if addr == out.Text() {
				addr = ""
			}
		}
		acked += sendUntilKilled(t, addr, 100+50*round, child.Process.Kill)
		child.Wait()
	}
	s, err := mailserver.Open(mailserver.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := s.Mailbox("x@example.com")
	if len(got) < acked {
		t.Errorf("%d mails are there, %d were acknowledged", len(got), acked)
	}
	for i, m := range got {
		if text := content(t, m); m.UID != uint32(i+1) || int64(len(text)) != m.Size || !strings.HasSuffix(text, mail1) {
			t.Fatalf("mail %d of %d is UID %d with %d of %d bytes", i+1, len(got), m.UID, len(text), m.Size)
		}
		if m.UIDValidity != got[0].UIDValidity {
			t.Fatal("UIDVALIDITY has changed")
		}
	}
}

// sendUntilKilled sends over four connections, kills the server after n acknowledgements while the others are at work, and
// returns how many there were.
func sendUntilKilled(t *testing.T, addr string, n int, kill func() error) int {
	var acked atomic.Int64
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			c, err := smtp.Dial(addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for c.SendMail("a@example.com", []string{"x@example.com"}, strings.NewReader(mail1)) == nil {
				if acked.Add(1) == int64(n) {
					if err := kill(); err != nil {
						t.Error(err)
					}
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	return int(acked.Load())
}
