package mailserver_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/mailserver"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

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
