package mailbox_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/mailserver"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/mailbox"
	"github.com/emersion/go-smtp"
)

func envelope(to ...string) mailbox.Envelope {
	return mailbox.Envelope{From: "a@example.com", To: to}
}

// sender is a Sender that ends with the test.
func (s *suite) sender(t testing.TB) *mailbox.Sender {
	sender := mailbox.NewSender(s.Dialer)
	t.Cleanup(func() { sender.Close() })
	return sender
}

func (s *suite) stored(t *testing.T, addr string) []string {
	t.Helper()
	var out []string
	for _, m := range s.Mailbox(addr) {
		r, err := m.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

func TestSendDelivers(t *testing.T) {
	s := start(t)
	sender := s.sender(t)
	receipt, err := sender.Send(t.Context(), s.smtp, login(), envelope("b@example.com", "c@example.com"), strings.NewReader("Subject: x\n\n.dot\nend"))
	if err != nil || !strings.HasPrefix(receipt.Response, "2.0.0 OK: queued as ") || receipt.Refused != nil {
		t.Fatalf("%+v, %v", receipt, err)
	}
	for _, to := range []string{"b@example.com", "c@example.com"} {
		got := s.stored(t, to)
		if len(got) != 1 || !strings.HasSuffix(got[0], "Subject: x\r\n\r\n.dot\r\nend\r\n") {
			t.Errorf("%s has %q", to, got)
		}
	}
}

func TestConnectionsAreReused(t *testing.T) {
	s := start(t)
	sender := s.sender(t)
	for range 150 {
		if _, err := sender.Send(t.Context(), s.smtp, login(), envelope(user), strings.NewReader(raw(1))); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.fault.count("smtp auth"); n != 2 {
		t.Errorf("%d logins for 150 mails, want 2: a hundred mails a connection", n)
	}
	other := mailbox.Login{User: "other@example.com", Password: mailserver.Password}
	if _, err := sender.Send(t.Context(), s.smtp, other, envelope(user), strings.NewReader(raw(1))); err != nil {
		t.Fatal(err)
	}
	if n := s.fault.count("smtp auth"); n != 3 {
		t.Errorf("another account used the first one's connection")
	}
}

func TestRefusalsAreTheServersAnswer(t *testing.T) {
	for _, test := range []struct {
		step, command string
		code          int
		permanent     bool
	}{
		{"smtp mail", "MAIL", 550, true},
		{"smtp mail", "MAIL", 450, false},
		{"smtp rcpt", "RCPT", 550, true},
		{"smtp rcpt", "RCPT", 452, false},
		{"smtp data", "DATA", 554, true},
		{"smtp data", "DATA", 451, false},
		{"smtp auth", "AUTH", 535, false}, // a corrected password cures it
	} {
		t.Run(fmt.Sprint(test.step, test.code), func(t *testing.T) {
			s := start(t)
			sender := s.sender(t)
			answer := &smtp.SMTPError{Code: test.code, EnhancedCode: smtp.EnhancedCode{test.code / 100, 7, 1}, Message: "because of the moon"}
			s.fault.set(test.step, answer, 1)
			receipt, err := sender.Send(t.Context(), s.smtp, login(), envelope(user), strings.NewReader(raw(1)))
			var refused *mailbox.ServerError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v", err)
			}
			want := mailbox.ServerError{Code: test.code, Enhanced: fmt.Sprintf("%d.7.1", test.code/100), Message: "because of the moon", Command: test.command}
			if *refused != want || refused.Temporary() != (test.code < 500) || refused.Permanent() != (test.code >= 500) {
				t.Errorf("got %+v, want %+v", *refused, want)
			}
			if fault.IsPermanent(err) != test.permanent || errors.Is(err, mailbox.ErrUncertain) {
				t.Errorf("permanent is %v, want %v (%v)", fault.IsPermanent(err), test.permanent, err)
			}
			if test.command == "RCPT" && receipt.Refused[user] == nil {
				t.Error("the refused recipient is not named")
			}
			if _, err := sender.Send(t.Context(), s.smtp, login(), envelope(user), strings.NewReader(raw(1))); err != nil {
				t.Errorf("the next mail: %v", err)
			}
			if n := len(s.Mailbox(user)); n != 1 {
				t.Errorf("%d mails arrived, want the second only", n)
			}
		})
	}
}

func TestSomeRecipientsRefused(t *testing.T) {
	s := start(t)
	s.fault.set("smtp rcpt", &smtp.SMTPError{Code: 550, Message: "no such user"}, 1)
	receipt, err := s.sender(t).Send(t.Context(), s.smtp, login(), envelope("bad@example.com", "good@example.com"), strings.NewReader(raw(1)))
	if err != nil {
		t.Fatal(err)
	}
	if len(receipt.Refused) != 1 || receipt.Refused["bad@example.com"].Code != 550 {
		t.Errorf("refused: %v", receipt.Refused)
	}
	if len(s.Mailbox("good@example.com")) != 1 || len(s.Mailbox("bad@example.com")) != 0 {
		t.Error("mail is in the wrong box")
	}
}

func TestAllRecipientsRefusedIsTemporaryWhenOneIs(t *testing.T) {
	codes := []int{550, 451}
	server := smtpScript(t, func(command string) string {
		if strings.HasPrefix(command, "RCPT") {
			code := codes[0]
			codes = codes[1:]
			return fmt.Sprintf("%d no", code)
		}
		return ""
	})
	sender := mailbox.NewSender(&mailbox.Dialer{AllowInsecure: true})
	defer sender.Close()
	receipt, err := sender.Send(t.Context(), server, mailbox.Login{}, envelope("a@example.com", "b@example.com"), strings.NewReader(raw(1)))
	var refused *mailbox.ServerError
	if !errors.As(err, &refused) || refused.Code != 451 || fault.IsPermanent(err) || len(receipt.Refused) != 2 {
		t.Errorf("%v, %+v", err, receipt)
	}
}

// Each recipient has an answer of its own, and a mail that some get is sent.
func TestEachRecipientHasItsAnswer(t *testing.T) {
	answers := map[string]string{
		"good@example.com":  "",
		"full@example.com":  "452 4.2.2 mailbox is full",
		"many@example.com":  "552 too many recipients",
		"quota@example.com": "552 5.2.2 mailbox is full for ever",
		"none@example.com":  "550-5.1.1 no such\r\n550 5.1.1 user",
		"old@example.com":   "450 later",
	}
	server := smtpScript(t, func(command string) string {
		for to, answer := range answers {
			if command == "RCPT TO:<"+to+">" {
				return answer
			}
		}
		return ""
	})
	sender := mailbox.NewSender(&mailbox.Dialer{AllowInsecure: true})
	defer sender.Close()
	receipt, err := sender.Send(t.Context(), server, mailbox.Login{}, envelope(slices.Sorted(maps.Keys(answers))...), strings.NewReader(raw(1)))
	if err != nil || len(receipt.Refused) != 5 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	for to, want := range map[string]struct {
		mailbox.ServerError
		temporary bool
	}{
		"full@example.com":  {mailbox.ServerError{Code: 452, Enhanced: "4.2.2", Message: "mailbox is full"}, true},
		"many@example.com":  {mailbox.ServerError{Code: 552, Message: "too many recipients"}, true},
		"quota@example.com": {mailbox.ServerError{Code: 552, Enhanced: "5.2.2", Message: "mailbox is full for ever"}, false},
		"none@example.com":  {mailbox.ServerError{Code: 550, Enhanced: "5.1.1", Message: "no such\nuser"}, false},
		"old@example.com":   {mailbox.ServerError{Code: 450, Message: "later"}, true},
	} {
		want.Command = "RCPT"
		got := receipt.Refused[to]
		if got == nil || *got != want.ServerError || got.Temporary() != want.temporary || got.Permanent() == want.temporary {
			t.Errorf("%s: %+v, want %+v", to, got, want)
		}
	}
}

// A server that says 552 to the only recipient means his mailbox, and there is no next mail for the others.
func TestFullMailboxWithoutEnhancedCode(t *testing.T) {
	server := smtpScript(t, func(command string) string {
		if strings.HasPrefix(command, "RCPT") {
			return "552 Requested mail action aborted: exceeded storage allocation"
		}
		return ""
	})
	sender := mailbox.NewSender(&mailbox.Dialer{AllowInsecure: true})
	defer sender.Close()
	receipt, err := sender.Send(t.Context(), server, mailbox.Login{}, envelope("a@example.com"), strings.NewReader(raw(1)))
	if !fault.IsPermanent(err) || receipt.Refused["a@example.com"] == nil || receipt.Refused["a@example.com"].Temporary() {
		t.Errorf("%+v, %v", receipt, err)
	}
}

// 421 ends the session at any step. It is a certain answer: the mail is not accepted.
func TestTheServerClosesDownInASession(t *testing.T) {
	for _, step := range []string{"MAIL", "RCPT TO:<b@", "DATA", "."} {
		t.Run(step, func(t *testing.T) {
			var down atomic.Bool
			down.Store(true)
			server := smtpScript(t, func(command string) string {
				if down.Load() && strings.HasPrefix(command, step) {
					return "421 4.3.2 closing down"
				}
				return ""
			})
			sender := mailbox.NewSender(&mailbox.Dialer{AllowInsecure: true})
			defer sender.Close()
			send := func() error {
				_, err := sender.Send(t.Context(), server, mailbox.Login{}, envelope("a@example.com", "b@example.com"), strings.NewReader(raw(1)))
				return err
			}
			err := send()
			var refused *mailbox.ServerError
			if !errors.As(err, &refused) || refused.Code != 421 || fault.IsPermanent(err) || errors.Is(err, mailbox.ErrUncertain) {
				t.Errorf("got %v", err)
			}
			down.Store(false)
			if err := send(); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// A server may take the mail and go away at once: that is no failure, neither of this mail nor of the next.
func TestTheServerLeavesAfterItsAnswer(t *testing.T) {
	var connections atomic.Int64
	server := serve(t, func(conn net.Conn) {
		connections.Add(1)
		fmt.Fprint(conn, "220 ready\r\n")
		for in, content := bufio.NewScanner(conn), false; in.Scan(); {
			switch {
			case content && in.Text() == ".":
				fmt.Fprint(conn, "250 2.0.0 taken\r\n")
				return
			case content:
			case in.Text() == "DATA":
				content = true
				fmt.Fprint(conn, "354 go\r\n")
			default:
				fmt.Fprint(conn, "250 yes\r\n")
			}
		}
	})
	sender := mailbox.NewSender(&mailbox.Dialer{AllowInsecure: true})
	defer sender.Close()
	for range 3 {
		receipt, err := sender.Send(t.Context(), server, mailbox.Login{}, envelope(user), strings.NewReader(raw(1)))
		if err != nil || receipt.Response != "2.0.0 taken" {
			t.Errorf("%+v, %v", receipt, err)
		}
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("%d connections", n)
	}
}

// The server is told the size, and its answer to that is about the mail.
func TestTheServerRefusesTheSize(t *testing.T) {
	server := smtpScript(t, func(command string) string {
		switch {
		case strings.HasPrefix(command, "EHLO"):
			return "250-hello\r\n250 SIZE"
		case strings.Contains(command, "SIZE=123456"):
			return "552 5.3.4 that is too much"
		}
		return ""
	})
	sender := mailbox.NewSender(&mailbox.Dialer{AllowInsecure: true})
	defer sender.Close()
	e := envelope(user)
	e.Size = 123456
	_, err := sender.Send(t.Context(), server, mailbox.Login{}, e, failing{errors.New("was read")})
	var refused *mailbox.ServerError
	if !errors.As(err, &refused) || refused.Code != 552 || refused.Enhanced != "5.3.4" || !fault.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
}

func TestUncertainAfterTheEndOfTheMail(t *testing.T) {
	for _, security := range []mailbox.Security{mailbox.None, mailbox.StartTLS} {
		t.Run(string(security), func(t *testing.T) {
			s := start(t)
			s.smtp.Security = security
			s.fault.set("smtp data-answer", mailserver.ErrDrop, 1)
			_, err := s.sender(t).Send(t.Context(), s.smtp, login(), envelope(user), strings.NewReader(raw(1)))
			if !errors.Is(err, mailbox.ErrUncertain) || fault.IsPermanent(err) {
				t.Fatalf("got %v", err)
			}
			if n := len(s.Mailbox(user)); n != 1 {
				t.Errorf("%d mails, want the one that is uncertain and nothing sent again", n)
			}
		})
	}
}

func TestUncertainByTimeoutAndByContext(t *testing.T) {
	server := smtpScript(t, func(command string) string {
		if command == "." {
			return "(silence)"
		}
		return ""
	})
	sender := mailbox.NewSender(&mailbox.Dialer{AllowInsecure: true, AnswerTimeout: 20 * time.Millisecond})
	defer sender.Close()
	_, err := sender.Send(t.Context(), server, mailbox.Login{}, envelope(user), strings.NewReader(raw(1)))
	if !errors.Is(err, mailbox.ErrUncertain) {
		t.Errorf("timeout: %v", err)
	}
	patient := mailbox.NewSender(&mailbox.Dialer{AllowInsecure: true})
	defer patient.Close()
	ctx, cancel := context.WithCancel(t.Context())
	_, err = patient.Send(ctx, server, mailbox.Login{}, envelope(user), &cancelAtEnd{strings.NewReader(raw(1)), cancel})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("context: %v", err)
	}
}

// cancelAtEnd cancels when the mail has been read: whether its end is still sent is a matter of luck.
type cancelAtEnd struct {
	io.Reader
	cancel func()
}

func (c *cancelAtEnd) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if err == io.EOF {
		c.cancel()
	}
	return n, err
}

func TestAMailThatCannotBeReadIsNotSent(t *testing.T) {
	s := start(t)
	sender := s.sender(t)
	broken := errors.New("archive is away")
	for _, cause := range []error{broken, fault.Permanent(broken)} {
		msg := io.MultiReader(strings.NewReader(strings.Repeat(raw(1), 1000)), failing{cause})
		_, err := sender.Send(t.Context(), s.smtp, login(), envelope(user), msg)
		if !errors.Is(err, broken) || errors.Is(err, mailbox.ErrUncertain) {
			t.Errorf("got %v", err)
		}
	}
	// The server handles connections on their own; one that it answers after the broken ones proves little, so ask it to stop.
	s.Close()
	if n := len(s.Mailbox(user)); n != 0 {
		t.Errorf("%d halves were delivered", n)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAStaleConnectionIsReplaced(t *testing.T) {
	for name, answer := range map[string]error{
		"closed": mailserver.ErrDrop,
		"421":    &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "idle for too long"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			sender := s.sender(t)
			send := func() error {
				_, err := sender.Send(t.Context(), s.smtp, login(), envelope(user), strings.NewReader(raw(1)))
				return err
			}
			if err := send(); err != nil {
				t.Fatal(err)
			}
			s.fault.set("smtp mail", answer, 1)
			if err := send(); err != nil {
				t.Errorf("on a connection that had gone: %v", err)
			}
			if n := s.fault.count("smtp auth"); n != 2 {
				t.Errorf("%d logins, want a second one", n)
			}
			s.fault.set("smtp mail", answer, 2)
			if err := send(); err == nil {
				t.Error("a fresh connection that failed, too, was tried again")
			}
		})
	}
}

func TestContentIsNeverSentTwice(t *testing.T) {
	s := start(t)
	sender := s.sender(t)
	if _, err := sender.Send(t.Context(), s.smtp, login(), envelope(user), strings.NewReader(raw(1))); err != nil {
		t.Fatal(err)
	}
	s.fault.set("smtp data", mailserver.ErrDrop, 1) // on the first mail's connection, which looks stale
	_, err := sender.Send(t.Context(), s.smtp, login(), envelope(user), io.LimitReader(lines{}, 20<<20))
	if err == nil || errors.Is(err, mailbox.ErrUncertain) {
		t.Errorf("got %v, want a failure within the content", err)
	}
	if n := s.fault.count("smtp data"); n != 2 {
		t.Errorf("DATA was used %d times", n)
	}
}

func TestSizeIsCheckedBeforeData(t *testing.T) {
	s := start(t)
	e := envelope(user)
	e.Size = mailserver.MaxMessageBytes + 1
	_, err := s.sender(t).Send(t.Context(), s.smtp, login(), e, failing{errors.New("was read")})
	var refused *mailbox.ServerError
	if !errors.As(err, &refused) || refused.Code != 552 || !fault.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
	if says := fmt.Sprintf("mail of %d bytes is larger than the %d that the server takes", e.Size, mailserver.MaxMessageBytes); !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want it to say %q", err, says)
	}
	if n := s.fault.count("smtp mail"); n != 0 {
		t.Error("the server was asked although it had announced the answer")
	}
}

func TestInternationalAddresses(t *testing.T) {
	s := start(t)
	sender := s.sender(t)
	if _, err := sender.Send(t.Context(), s.smtp, login(), envelope("jörg@exämple.com"), strings.NewReader(raw(1))); err != nil {
		t.Error(err)
	}
	if n := len(s.Mailbox("jörg@exämple.com")); n != 1 {
		t.Errorf("%d mails", n)
	}
	plain := smtpScript(t, func(string) string { return "" })
	_, err := sender.Send(t.Context(), plain, mailbox.Login{}, envelope("jörg@example.com"), strings.NewReader(raw(1)))
	var refused *mailbox.ServerError
	if !errors.As(err, &refused) || refused.Enhanced != "5.6.7" || !fault.IsPermanent(err) {
		t.Errorf("a server without SMTPUTF8: %v", err)
	}
}

func TestEnvelopeRefusesInjection(t *testing.T) {
	for _, bad := range []mailbox.Envelope{
		{From: "a@example.com"},
		envelope("a@example.com\r\nRCPT TO:<b@example.com>"),
		envelope("a@example.com> SIZE=1 <x@example.com"),
		envelope("a b@example.com"), envelope("example.com"), envelope("@example.com"), envelope("a@"), envelope("a@b\x00"),
		envelope(""), {From: "a@b\nc", To: []string{user}}, {From: " @b", To: []string{user}},
	} {
		if err := bad.Validate(); !fault.IsPermanent(err) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, good := range []mailbox.Envelope{envelope(user), {To: []string{user}}, envelope(`"a b"@example.com`), envelope("ü@example.com")} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
}

func TestSendersAreConcurrent(t *testing.T) {
	s := start(t)
	sender := s.sender(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if _, err := sender.Send(t.Context(), s.smtp, login(), envelope(user), strings.NewReader(raw(1))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(s.Mailbox(user)); n != 160 {
		t.Errorf("%d mails, want 160", n)
	}
}

// smtpScript is an SMTP server that says yes where answer says nothing. The end of the content is the command ".".
func smtpScript(t *testing.T, answer func(command string) string) mailbox.Server {
	return serve(t, func(conn net.Conn) {
		fmt.Fprint(conn, "220 ready\r\n")
		content := false
		in := bufio.NewScanner(conn)
		for in.Scan() {
			line := in.Text()
			if content && line != "." {
				continue
			}
			reply := answer(line)
			if reply == "" {
				reply = "250 yes"
				if line == "DATA" {
					reply = "354 go"
				}
			}
			content = line == "DATA" && strings.HasPrefix(reply, "354")
			if reply != "(silence)" {
				fmt.Fprint(conn, reply+"\r\n")
			}
		}
	})
}
