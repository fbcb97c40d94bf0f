package mailbox_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/mailbox"
)

// ours is a mail of ours; id and messageID may be "".
func ours(id, messageID string) string {
	m := "From: a@example.com\r\n"
	if messageID != "" {
		m += "Message-ID: " + messageID + "\r\n"
	}
	if id != "" {
		m += email.IDHeader + ": " + id + "\r\n"
	}
	return m + "\r\nX-Emailchannel-ID: body\r\n"
}

func (s *imapServer) store(t testing.TB, m mailbox.Copy, content string) {
	t.Helper()
	m.Size = int64(len(content))
	if err := s.Append(t.Context(), s.imap, login(), m, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

func TestFindSent(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		for _, content := range []string{
			ours("out-1", "<1@example.com>"),
			ours("out-22", "<replaced@provider.example>"),
			ours("", "<3@example.com>"),
			ours("out-4", ""),
			"From: a@example.com\r\nMessage-ID:\r\n <5@example.com>\r\nX-EMAILCHANNEL-id:   out-5 \r\n\r\nx\r\n",
			"no header at all",
		} {
			s.store(t, mailbox.Copy{}, content)
		}
		s.put(t, "Elsewhere", 1, 1)
		for name, test := range map[string]struct {
			folder, id, messageID string
			found                 bool
			there                 string
		}{
			"by both":                   {"", "out-1", "<1@example.com>", true, "<1@example.com>"},
			"Message-ID replaced":       {"", "out-22", "<2@example.com>", true, "<replaced@provider.example>"},
			"field dropped":             {"", "out-3", "<3@example.com>", true, "<3@example.com>"},
			"no Message-ID":             {"", "out-4", "<4@example.com>", true, ""},
			"folded and spaced":         {"", "out-5", "", true, "<5@example.com>"},
			"part of an ID":             {"", "out-2", "", false, ""},
			"part of a Message-ID":      {"", "", "1@example.com", false, ""},
			"nothing to look for":       {"", "", "", false, ""},
			"in the body":               {"", "body", "", false, ""},
			"neither":                   {"", "out-9", "<9@example.com>", false, ""},
			"not in this folder":        {"Elsewhere", "out-1", "<1@example.com>", false, ""},
			"with what must be escaped": {"", "a\"b\\c", "<\"1\"@example.com>", false, ""},
			"with a line break":         {"", "a\r\nb", "<ü@example.com>", false, ""},
		} {
			found, there, err := s.FindSent(t.Context(), s.imap, login(), test.folder, test.id, test.messageID)
			if err != nil || found != test.found || there != test.there {
				t.Errorf("%s: %v, %q, %v", name, found, there, err)
			}
		}
		_, _, err := s.FindSent(t.Context(), s.imap, login(), "Nowhere", "x", "")
		check(t, "no folder", err, `folder "Nowhere": EXAMINE: NO `)
	})
}

func TestNoSentFolder(t *testing.T) {
	server := scriptedBy(t, func(command string) []string {
		if strings.HasPrefix(command, "LIST") {
			return []string{`* LIST () "/" INBOX`, `* LIST () "/" Sent`, `* LIST (\NoSelect \Sent) "/" "Odd"`}
		}
		return nil
	})
	d := &mailbox.Dialer{AllowInsecure: true}
	if _, _, err := d.FindSent(t.Context(), server, login(), "", "x", ""); !errors.Is(err, mailbox.ErrNoSentFolder) {
		t.Errorf("FindSent: %v", err)
	}
	err := d.Append(t.Context(), server, login(), mailbox.Copy{Size: 1}, strings.NewReader("x"))
	if !errors.Is(err, mailbox.ErrNoSentFolder) {
		t.Errorf("Append: %v", err)
	}
}

func TestHeaderFieldsAreBounded(t *testing.T) {
	server := scriptedBy(t, func(command string) []string {
		switch {
		case strings.HasPrefix(command, "EXAMINE"):
			return []string{"* 1 EXISTS", "* OK [UIDVALIDITY 9] ok"}
		case strings.Contains(command, "SEARCH"):
			return []string{"* SEARCH 1"}
		case strings.Contains(command, "FETCH"):
			return []string{"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (MESSAGE-ID X-EMAILCHANNEL-ID)] {2000000000}\r\n" + strings.Repeat("x", 1<<20)}
		}
		return nil
	})
	d := &mailbox.Dialer{AllowInsecure: true}
	_, _, err := d.FindSent(t.Context(), server, login(), "Sent", "x", "")
	check(t, "two gigabytes", err, "2000000000 bytes")
}

func TestAppend(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		big, err := io.ReadAll(io.LimitReader(lines{}, 3<<20))
		if err != nil {
			t.Fatal(err)
		}
		date := time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))
		startTLS := s.imap
		startTLS.Security = mailbox.StartTLS
		contents := []string{"s", ours("out-1", "<1@example.com>"), string(big), "bare\nLF and \x00 and \xff"}
		for i, server := range []mailbox.Server{s.imap, s.tls, startTLS} {
			folder := fmt.Sprintf("Kopien/Größe %d", i)
			for n, content := range contents[:3] {
				m := mailbox.Copy{Folder: folder, Flags: []string{`\Seen`, "$Forwarded"}, Date: date, Size: int64(len(content))}
				if err := s.Append(t.Context(), server, login(), m, strings.NewReader(content)); err != nil {
					t.Fatalf("%s, mail %d: %v", server.Security, n, err)
				}
			}
			var c collector
			s.fetch(t, folder, mailbox.Cursor{}, &c)
			for n, item := range c.items {
				flags := strings.ToLower(strings.Join(item.Flags, " "))
				if c.bodies[n] != contents[n] || !item.InternalDate.Equal(date) || !strings.Contains(flags, `\seen`) || !strings.Contains(flags, "$forwarded") {
					t.Errorf("%s, mail %d: %+v", server.Security, n, item)
				}
			}
			if len(c.items) != 3 {
				t.Errorf("%s: %d mails", server.Security, len(c.items))
			}
		}
		o := s.other(t)
		if folders, err := o.List("", "Kopien/*", nil).Collect(); err != nil || len(folders) != 3 {
			t.Errorf("%d folders, %v", len(folders), err)
		}
	})
}

// Nothing is stored when the content is not what was announced. What a server makes of a connection that ends in a literal is its own
// affair, so this is not for the emulator's.
func TestAppendIsWholeOrNot(t *testing.T) {
	onDovecot(t, func(t *testing.T, s *imapServer) {
		s.put(t, "Sent", 1, 1)
		away := errors.New("archive is away")
		for name, test := range map[string]struct {
			size int64
			msg  io.Reader
			want string
		}{
			"too short": {20, strings.NewReader("short"), "not of the 20 bytes"},
			"too long":  {20, strings.NewReader(strings.Repeat("long ", 10)), "not of the 20 bytes"},
			"broken":    {1 << 20, io.MultiReader(io.LimitReader(lines{}, 1<<19), failing{away}), away.Error()},
			"empty":     {0, strings.NewReader(""), "0 bytes"},
			"late":      {20, io.MultiReader(strings.NewReader(strings.Repeat("x", 20)), failing{away}), away.Error()},
		} {
			err := s.Append(t.Context(), s.imap, login(), mailbox.Copy{Folder: "Sent", Size: test.size}, test.msg)
			if check(t, name, err, test.want); errors.Is(err, mailbox.ErrUncertain) {
				t.Errorf("%s: %v", name, err)
			}
		}
		var c collector
		s.fetch(t, "Sent", mailbox.Cursor{}, &c)
		if c.uids() != "1" {
			t.Errorf("stored %s", c.uids())
		}
	})
}

func TestAppendLosesItsAnswer(t *testing.T) {
	both(t, func(t *testing.T, s *imapServer) {
		s.put(t, "Sent", 1, 1)
		content := ours("out-1", "<1@example.com>")
		// The proxy swallows what the server says from the moment when the end of the mail has passed.
		proxy := relay(t, s.imap, func(client, server net.Conn) {
			ended := make(chan bool)
			go func() {
				b := make([]byte, 1<<16)
				for said := ""; ; {
					n, err := client.Read(b)
					if said += string(b[:n]); strings.Contains(said, "body\r\n\r\n") {
						close(ended)
						server.Write(b[:n])
						return
					}
					if server.Write(b[:n]); err != nil {
						return
					}
				}
			}()
			b := make([]byte, 1<<16)
			for {
				n, err := server.Read(b)
				select {
				case <-ended:
					return
				default:
				}
				if client.Write(b[:n]); err != nil {
					return
				}
			}
		})
		err := s.Append(t.Context(), proxy, login(), mailbox.Copy{Folder: "Sent", Size: int64(len(content))}, strings.NewReader(content))
		if !errors.Is(err, mailbox.ErrUncertain) {
			t.Errorf("got %v", err)
		}
		if found, _, err := s.FindSent(t.Context(), s.imap, login(), "Sent", "out-1", ""); err != nil || !found {
			t.Errorf("found is %v, %v", found, err)
		}
	})
}

func TestAppendRefused(t *testing.T) {
	for name, test := range map[string]struct {
		capability, create, answer string
		want                       string
		permanent                  bool
	}{
		"announced for all":    {"APPENDLIMIT=9", "", "", "mail of 10 bytes is larger than the 9 that the server takes", true},
		"announced for this":   {"APPENDLIMIT", "", "", "mail of 10 bytes is larger than the 8 that the server takes", true},
		"too big":              {"", "", "NO [TOOBIG] no", "APPEND: NO [TOOBIG] no", true},
		"full":                 {"LITERAL+", "", "NO [OVERQUOTA] full", "APPEND: NO [OVERQUOTA] full", false},
		"gone meanwhile":       {"", "", "NO [TRYCREATE] where", "APPEND: NO [TRYCREATE] where", false},
		"cannot be made":       {"", "NO [CANNOT] never", "", `folder "Sent": CREATE: NO [CANNOT] never`, false},
		"made by another":      {"", "NO [ALREADYEXISTS] is there", "NO [OVERQUOTA] full", "APPEND: NO [OVERQUOTA] full", false},
		"of the right size":    {"APPENDLIMIT=10", "", "NO end of the test", "APPEND: NO end of the test", false},
		"silent at the answer": {"", "", "(silence)", "did not answer", false},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			server := scriptedBy(t, func(command string) []string {
				said = append(said, command)
				switch verb, _, _ := strings.Cut(command, " "); verb {
				case "CAPABILITY":
					return []string{"* CAPABILITY IMAP4rev1 " + test.capability}
				case "CREATE":
					return []string{test.create}[:min(1, len(test.create))]
				case "STATUS":
					return []string{"* STATUS Sent (APPENDLIMIT 8)"}
				case "APPEND":
					return []string{test.answer}
				}
				return nil
			})
			d := &mailbox.Dialer{AllowInsecure: true, Timeout: 300 * time.Millisecond}
			err := d.Append(t.Context(), server, login(), mailbox.Copy{Folder: "Sent", Size: 10}, strings.NewReader("0123456789"))
			check(t, name, err, test.want)
			if fault.IsPermanent(err) != test.permanent || errors.Is(err, mailbox.ErrUncertain) {
				t.Errorf("permanent is %v: %v", fault.IsPermanent(err), err)
			}
			if strings.Contains(test.want, "larger") && strings.Contains(strings.Join(said, "\n"), "APPEND ") {
				t.Errorf("the server was asked although it had announced the answer: %q", said)
			}
		})
	}
}
