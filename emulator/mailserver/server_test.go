package mailserver_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/mailserver"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const mail1 = "From: a@example.com\r\nTo: b@example.com\r\nSubject: one\r\n\r\nbody\r\n"

type running struct {
	*mailserver.Server
	smtp, imap string
	roots      *x509.CertPool
}

func start(t testing.TB, o mailserver.Options) *running {
	t.Helper()
	s, err := mailserver.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Server: s, roots: x509.NewCertPool()}
	r.roots.AppendCertsFromPEM(s.CertPEM())
	var wg sync.WaitGroup
	listen := func(serve func(net.Listener) error) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { serve(ln) })
		return ln.Addr().String()
	}
	r.smtp, r.imap = listen(s.ServeSMTP), listen(s.ServeIMAP)
	t.Cleanup(func() { s.Close(); wg.Wait() })
	return r
}

func (r *running) dialSMTP(t testing.TB) *smtp.Client {
	t.Helper()
	c, err := smtp.Dial(r.smtp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (r *running) dialIMAP(t testing.TB, user string) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(r.imap, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(user, mailserver.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

func content(t testing.TB, m mailserver.Message) string {
	t.Helper()
	r, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func deliver(t testing.TB, s *mailserver.Server, to string, n int) {
	t.Helper()
	for i := range n {
		if err := s.Deliver("", []string{to}, strings.NewReader(fmt.Sprintf("Subject: %d\r\n\r\nbody %d\r\n", i+1, i+1))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSMTPStoresBytesBehindTraceHeaders(t *testing.T) {
	var hooks []string
	r := start(t, mailserver.Options{Delivered: func(rcpt string) { hooks = append(hooks, rcpt) }})
	// A line beyond RFC 5321's limit, leading dots, bytes that are no UTF-8, a bare CR.
	raw := "Subject: x\r\n\r\n.dot\r\n..two\r\n" + strings.Repeat("long", 3000) + "\r\n\xff\xfe \r bare\r\n"
	c := r.dialSMTP(t)
	if err := c.SendMail("a@example.com", []string{"B@Example.com", "b@example.com", "c@example.com"}, strings.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	got := r.Mailbox("b@example.com")
	if len(got) != 1 {
		t.Fatalf("b has %d mails, want one for two spellings of its address", len(got))
	}
	text := content(t, got[0])
	if !strings.HasPrefix(text, "Return-Path: <a@example.com>\r\nReceived: from localhost (127.0.0.1:") {
		t.Errorf("trace headers are missing: %.200q", text)
	}
	if !strings.HasSuffix(text, "\r\n"+raw) {
		t.Errorf("content was changed: %.300q", text)
	}
	if strings.Contains(text, "for <") {
		t.Error("Received names one of several recipients")
	}
	if got[0].Size != int64(len(text)) || got[0].Folder != "INBOX" || got[0].UID != 1 {
		t.Errorf("metadata %+v does not fit %d bytes in INBOX", got[0], len(text))
	}
	if len(r.Mailbox("c@example.com")) != 1 || len(hooks) != 2 {
		t.Errorf("hook calls %v, want b and c", hooks)
	}
}

func TestReceivedNamesASingleRecipient(t *testing.T) {
	r := start(t, mailserver.Options{Now: func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }})
	if err := r.dialSMTP(t).SendMail("", []string{"b@example.com"}, strings.NewReader(mail1)); err != nil {
		t.Fatal(err)
	}
	text := content(t, r.Mailbox("b@example.com")[0])
	for _, want := range []string{"Return-Path: <>\r\n", "for <b@example.com>", "Wed, 04 Mar 2026 05:06:07 +0000"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
}

func TestSMTPAuth(t *testing.T) {
	r := start(t, mailserver.Options{})
	token := func(mech, s string) sasl.Client { return fixed{mech, []byte(s)} }
	for name, test := range map[string]struct {
		client sasl.Client
		code   int
	}{
		"plain":       {sasl.NewPlainClient("", "x@example.com", "demo"), 0},
		"plain wrong": {sasl.NewPlainClient("", "x@example.com", "nope"), 535},
		"no user":     {sasl.NewPlainClient("", "", "demo"), 535},
		"login":       {sasl.NewLoginClient("x@example.com", "demo"), 0},
		"login wrong": {sasl.NewLoginClient("x@example.com", "Demo"), 535},
		"xoauth2":     {token("XOAUTH2", "user=x@example.com\x01auth=Bearer demo\x01\x01"), 0},
		"xoauth2 bad": {token("XOAUTH2", "user=x@example.com\x01auth=Bearer old\x01\x01"), 535},
		"bearer":      {token("OAUTHBEARER", "n,a=x@example.com,\x01auth=Bearer demo\x01\x01"), 0},
		"bearer bad":  {token("OAUTHBEARER", "n,a=x@example.com,\x01auth=Bearer old\x01\x01"), 535},
		"unknown":     {token("CRAM-MD5", ""), 504},
	} {
		t.Run(name, func(t *testing.T) {
			err := r.dialSMTP(t).Auth(test.client)
			var refused *smtp.SMTPError
			if test.code == 0 && err != nil || test.code != 0 && (!errors.As(err, &refused) || refused.Code != test.code) {
				t.Errorf("got %v, want code %d", err, test.code)
			}
		})
	}
}

// fixed answers every challenge with nothing but ^A, which ends both token mechanisms.
type fixed struct {
	mech  string
	first []byte
}

func (f fixed) Start() (string, []byte, error) { return f.mech, f.first, nil }
func (f fixed) Next([]byte) ([]byte, error)    { return []byte{1}, nil }

func TestStartTLSWithTheExportedCertificate(t *testing.T) {
	r := start(t, mailserver.Options{})
	for _, name := range []string{"localhost", "mail.localhost", "127.0.0.1"} {
		conn, err := net.Dial("tcp", r.smtp)
		if err != nil {
			t.Fatal(err)
		}
		c, err := smtp.NewClientStartTLS(conn, &tls.Config{RootCAs: r.roots, ServerName: name})
		if err == nil {
			err = c.SendMail("a@example.com", []string{name + "@example.com"}, strings.NewReader(mail1))
			c.Close()
		}
		if err != nil {
			t.Errorf("SMTP as %s: %v", name, err)
		} else if text := content(t, r.Mailbox(name + "@example.com")[0]); !strings.Contains(text, "with ESMTPS id") {
			t.Errorf("Received does not tell of TLS: %q", text)
		}
		i, err := imapclient.DialStartTLS(r.imap, &imapclient.Options{TLSConfig: &tls.Config{RootCAs: r.roots, ServerName: name}})
		if err != nil {
			t.Errorf("IMAP as %s: %v", name, err)
			continue
		}
		if err := i.Login("x@example.com", "demo").Wait(); err != nil {
			t.Errorf("IMAP login as %s: %v", name, err)
		}
		i.Close()
	}
}

func TestIMAPRefusesAWrongPassword(t *testing.T) {
	r := start(t, mailserver.Options{})
	c, err := imapclient.DialInsecure(r.imap, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var refused *imap.Error
	if err := c.Login("x@example.com", "wrong").Wait(); !errors.As(err, &refused) || refused.Code != imap.ResponseCodeAuthenticationFailed {
		t.Fatalf("got %v, want AUTHENTICATIONFAILED", err)
	}
	if n := len(r.Addresses()); n != 0 {
		t.Errorf("a refused login made %d mailboxes", n)
	}
	if err := c.Login("x@example.com", "demo").Wait(); err != nil {
		t.Error(err)
	}
}

func TestIMAPFolders(t *testing.T) {
	r := start(t, mailserver.Options{})
	c := r.dialIMAP(t, "x@example.com")
	step := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	step("create", c.Create("Work/2026", nil).Wait())
	step("create parent", c.Create("Work", nil).Wait())
	step("rename", c.Rename("Work", "Done", nil).Wait())
	if err := c.Rename("Done", "Sent", nil).Wait(); err == nil {
		t.Error("renamed over an existing folder")
	}
	if err := c.Delete("inbox").Wait(); err == nil {
		t.Error("deleted INBOX")
	}
	step("delete", c.Delete("Junk").Wait())
	list, err := c.List("", "*", nil).Collect()
	step("list", err)
	var names []string
	for _, l := range list {
		names = append(names, l.Mailbox)
	}
	if got := strings.Join(names, " "); got != "Done Done/2026 INBOX Sent Trash" {
		t.Errorf("folders are %q", got)
	}
	status, err := c.Status("INBOX", &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true, NumUnseen: true}).Wait()
	step("status", err)
	if *status.NumMessages != 0 || status.UIDNext != 1 || status.UIDValidity == 0 || *status.NumUnseen != 0 {
		t.Errorf("status of an empty INBOX is %+v", status)
	}
}

func TestIMAPMessages(t *testing.T) {
	r := start(t, mailserver.Options{})
	deliver(t, r.Server, "x@example.com", 5)
	c := r.dialIMAP(t, "x@example.com")
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	append1 := c.Append("Sent", int64(len(mail1)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}, Time: time.Unix(1e9, 0)})
	io.WriteString(append1, mail1)
	append1.Close()
	if data, err := append1.Wait(); err != nil || data.UID != 1 {
		t.Fatalf("append: %+v, %v", data, err)
	}
	if err := c.Store(imap.UIDSetNum(2, 4), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	if data, err := c.Move(imap.UIDSetNum(3), "Trash").Wait(); err != nil || data.DestUIDs.String() != "1" {
		t.Fatalf("move: %+v, %v", data, err)
	}
	if data, err := c.Copy(imap.UIDSetNum(5), "Trash").Wait(); err != nil || data.DestUIDs.String() != "2" {
		t.Fatalf("copy: %+v, %v", data, err)
	}
	if n := c.Mailbox().NumMessages; n != 2 {
		t.Errorf("client was told of %d messages, want 2", n)
	}
	var got []string
	for _, m := range r.Mailbox("x@example.com") {
		got = append(got, fmt.Sprintf("%s/%d", m.Folder, m.UID))
	}
	if s := strings.Join(got, " "); s != "INBOX/1 INBOX/5 Sent/1 Trash/1 Trash/2" {
		t.Errorf("mail is at %s", s)
	}
	if m := r.Mailbox("x@example.com")[2]; content(t, m) != mail1 || !m.InternalDate.Equal(time.Unix(1e9, 0)) {
		t.Errorf("appended mail has changed: %+v", m)
	}
}

func TestFetchGivesStoredBytesAndRanges(t *testing.T) {
	r := start(t, mailserver.Options{})
	raw := "\r\nno header at all: \xff\r\nSubject broken\r\n"
	if err := r.Deliver("", []string{"x@example.com"}, strings.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	deliver(t, r.Server, "x@example.com", 4)
	c := r.dialIMAP(t, "x@example.com")
	if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		t.Fatal(err)
	}
	whole := &imap.FetchItemBodySection{}
	part := &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Offset: 2, Size: 9}}
	beyond := &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Offset: 1000, Size: 9}}
	m, err := c.Fetch(imap.UIDSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil || string(m[0].FindBodySection(whole)) != raw {
		t.Errorf("BODY[] is %q, %v", m[0].FindBodySection(whole), err)
	}
	m, err = c.Fetch(imap.UIDSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{part}}).Collect()
	if err != nil || string(m[0].FindBodySection(part)) != raw[2:11] {
		t.Errorf("BODY[]<2.9> is %q, %v", m[0].FindBodySection(part), err)
	}
	m, err = c.Fetch(imap.UIDSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{beyond}}).Collect()
	if err != nil || len(m[0].FindBodySection(beyond)) != 0 {
		t.Errorf("BODY[]<1000.9> is %q, %v", m[0].FindBodySection(beyond), err)
	}
	for set, want := range map[string]string{"2:3": "2:3", "4:*": "4:5", "*": "5", "99:*": "5", "1,5,77": "1,5"} {
		var uids imap.UIDSet
		for _, one := range strings.Split(set, ",") {
			a, b, ranged := strings.Cut(one, ":")
			if !ranged {
				b = a
			}
			uids.AddRange(num(a), num(b))
		}
		// SEARCH, because go-imap's client drops from a FETCH what it does not think it asked for.
		found, err := c.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{uids}}, nil).Wait()
		if err != nil || found.All.String() != want {
			t.Errorf("UID %s has %q, want %q (%v)", set, found.All, want, err)
		}
	}
	for _, m := range r.Mailbox("x@example.com") {
		if len(m.Flags) != 0 {
			t.Errorf("EXAMINE let a fetch set %v on UID %d", m.Flags, m.UID)
		}
	}
}

func num(s string) imap.UID {
	var n imap.UID
	fmt.Sscan(s, &n) // "*" stays 0, which is how go-imap writes it
	return n
}

func TestSearchKeys(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	r := start(t, mailserver.Options{Now: func() time.Time { return now }})
	for _, raw := range []string{
		"Subject: Invoice 7\r\nDate: Wed, 1 Apr 2026 10:00:00 +0000\r\n\r\nplease pay\r\n",
		"Subject: hello\r\nDate: Fri, 1 May 2026 10:00:00 +0000\r\n\r\n" + strings.Repeat("x", 500),
	} {
		if err := r.Deliver("", []string{"x@example.com"}, strings.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		now = now.AddDate(0, 0, 1)
	}
	c := r.dialIMAP(t, "x@example.com")
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Store(imap.SeqSetNum(2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	day := func(d int) time.Time { return time.Date(2026, 5, d, 0, 0, 0, 0, time.UTC) }
	for name, test := range map[string]struct {
		c    imap.SearchCriteria
		want string
	}{
		"all":        {imap.SearchCriteria{}, "1:2"},
		"seen":       {imap.SearchCriteria{Flag: []imap.Flag{imap.FlagSeen}}, "2"},
		"unseen":     {imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}, "1"},
		"subject":    {imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "invoice"}}}, "1"},
		"body":       {imap.SearchCriteria{Body: []string{"PAY"}}, "1"},
		"text":       {imap.SearchCriteria{Text: []string{"hello"}}, "2"},
		"larger":     {imap.SearchCriteria{Larger: 300}, "2"},
		"since":      {imap.SearchCriteria{Since: day(2)}, "2"},
		"before":     {imap.SearchCriteria{Before: day(2)}, "1"},
		"sentbefore": {imap.SearchCriteria{SentBefore: day(1)}, "1"},
		"not":        {imap.SearchCriteria{Not: []imap.SearchCriteria{{Larger: 300}}}, "1"},
		"or":         {imap.SearchCriteria{Or: [][2]imap.SearchCriteria{{{Larger: 9000}, {Smaller: 300}}}}, "1"},
	} {
		data, err := c.UIDSearch(&test.c, nil).Wait()
		if err != nil || data.All.String() != test.want {
			t.Errorf("%s found %v, want %s (%v)", name, data.All, test.want, err)
		}
	}
}

func TestIdleTellsOfNewMail(t *testing.T) {
	r := start(t, mailserver.Options{})
	told := make(chan uint32, 10)
	c, err := imapclient.DialInsecure(r.imap, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				told <- *d.NumMessages
			}
		}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("x@example.com", "demo").Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	deliver(t, r.Server, "x@example.com", 1)
	if n := <-told; n != 1 {
		t.Errorf("told of %d mails", n)
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
}

// switchable is a Fault with one step at a time.
type switchable struct {
	mu     sync.Mutex
	step   string
	answer error
}

func (f *switchable) set(step string, answer error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.step, f.answer = step, answer
}

func (f *switchable) at(service, op string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if service+" "+op != f.step {
		return nil
	}
	return f.answer
}

func TestFaults(t *testing.T) {
	var fault switchable
	r := start(t, mailserver.Options{Fault: fault.at})
	send := func() error {
		return r.dialSMTP(t).SendMail("a@example.com", []string{"x@example.com"}, strings.NewReader(mail1))
	}
	for _, op := range []string{"connect", "mail", "rcpt", "data", "data-answer"} {
		fault.set("smtp "+op, errors.New("not now"))
		var refused *smtp.SMTPError
		if err := send(); !errors.As(err, &refused) || refused.Code != 451 {
			t.Errorf("%s: got %v, want 451", op, err)
		}
	}
	if n := len(r.Mailbox("x@example.com")); n != 1 {
		t.Errorf("%d mails are stored, want only the one refused after storing", n)
	}
	fault.set("smtp rcpt", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"})
	var refused *smtp.SMTPError
	if err := send(); !errors.As(err, &refused) || refused.Code != 550 {
		t.Errorf("an answer of the test's own came as %v", err)
	}
	fault.set("smtp data-answer", fmt.Errorf("cut: %w", mailserver.ErrDrop))
	if err := send(); err == nil || errors.As(err, &refused) {
		t.Errorf("got %v, want a connection without an answer", err)
	}
	if n := len(r.Mailbox("x@example.com")); n != 2 {
		t.Errorf("%d mails are stored, want also the one without an answer", n)
	}

	fault.set("imap search", errors.New("not now"))
	c := r.dialIMAP(t, "x@example.com")
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	var no *imap.Error
	if _, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait(); !errors.As(err, &no) || no.Type != imap.StatusResponseTypeNo {
		t.Errorf("got %v, want NO", err)
	}
	fault.set("imap literal", errors.New("cut"))
	conn, err := net.Dial("tcp", r.imap)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "a LOGIN x@example.com demo\r\nb EXAMINE INBOX\r\nc UID FETCH 1 BODY.PEEK[]\r\n")
	answer, err := io.ReadAll(conn)
	size := r.Mailbox("x@example.com")[0].Size
	_, body, found := strings.Cut(string(answer), fmt.Sprintf("BODY[] {%d}\r\n", size))
	if err != nil || !found || int64(len(body)) >= size {
		t.Errorf("got %d of %d bytes (%v), want a body that is cut off", len(body), size, err)
	}
}

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
	if err != nil || len(files) != 5 {
		t.Errorf("%d body files for 5 mails (%v)", len(files), err)
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

func TestManyAtOnce(t *testing.T) {
	r := start(t, mailserver.Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c, err := smtp.Dial(r.smtp)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for range 25 {
				if err := c.SendMail("a@example.com", []string{"x@example.com", fmt.Sprintf("%d@example.com", i)}, strings.NewReader(mail1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		c := r.dialIMAP(t, "x@example.com")
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			t.Error(err)
		}
		for range 20 {
			if err := c.Store(imap.UIDSet{{Start: 1}}, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	got := r.Mailbox("x@example.com")
	for i, m := range got {
		if m.UID != uint32(i+1) {
			t.Fatalf("mail %d has UID %d", i, m.UID)
		}
	}
	if len(got) != 200 {
		t.Errorf("%d mails, want 200", len(got))
	}
}
