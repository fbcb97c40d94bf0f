package mailbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"emailchannel.dev/emailchannel/shared/email"
)

// ErrNoSentFolder means that the server names no folder as the one for sent mail (RFC 6154), so that an account has to name it.
var ErrNoSentFolder = errors.New("server names no Sent folder")

const (
	maxSought = 20       // mails of a search that are looked at; more than a few with one Message-ID are some server's mistake
	maxFields = 64 << 10 // bytes of the two header fields
)

// FindSent looks for a mail of ours in the folder, "" meaning the one for sent mail: by email.IDHeader, then by its Message-ID, either
// of which may be "". Both are compared whole; IMAP's own search is for a part of the text. What it returns is the
// Message-ID that the mail has there, which is another where the server replaces it. Nothing is changed and nothing but
// those two header fields is read. Not found is no proof that a mail was not sent: some servers store it late.
func (d *Dialer) FindSent(ctx context.Context, s Server, l Login, folder, outboundID, messageID string) (found bool, serverMessageID string, err error) {
	err = d.use(ctx, s, l, func(c *imapConn) (err error) {
		if folder == "" {
			if folder, err = c.sentFolder(); err != nil {
				return err
			}
		}
		if _, err = c.examine(folder); err != nil {
			return err
		}
		for _, by := range []imap.SearchCriteriaHeaderField{{Key: email.IDHeader, Value: outboundID}, {Key: "Message-ID", Value: messageID}} {
			if found || by.Value == "" { // an empty one would find every mail
				continue
			}
			if found, serverMessageID, err = c.find(by); err != nil {
				return err
			}
		}
		return nil
	})
	return found && err == nil, serverMessageID, err
}

// sentFolder asks which folder is \Sent. Many servers tell it in every LIST; those with LIST-EXTENDED may want to be asked.
func (c *imapConn) sentFolder() (string, error) {
	folders, err := c.list("*")
	if err != nil {
		return "", err
	}
	for _, f := range folders {
		if has(f.Attrs, imap.MailboxAttrSent) && !has(f.Attrs, imap.MailboxAttrNoSelect) {
			return f.Mailbox, nil
		}
	}
	return "", ErrNoSentFolder
}

func has(attrs []imap.MailboxAttr, want imap.MailboxAttr) bool {
	return slices.ContainsFunc(attrs, func(a imap.MailboxAttr) bool { return strings.EqualFold(string(a), string(want)) })
}

func (c *imapConn) list(pattern string) (folders []*imap.ListData, err error) {
	err = c.watch.during(func() (err error) {
		var o *imap.ListOptions
		if caps := c.client.Caps(); caps.Has(imap.CapSpecialUse) && caps.Has(imap.CapListExtended) {
			o = &imap.ListOptions{ReturnSpecialUse: true}
		}
		folders, err = c.client.List("", pattern, o).Collect()
		return err
	})
	return folders, refusal("LIST", err)
}

// find returns the Message-ID of the newest mail whose field is exactly that.
func (c *imapConn) find(by imap.SearchCriteriaHeaderField) (found bool, messageID string, err error) {
	all, err := c.searchFor(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{by}})
	if err != nil {
		return false, "", err
	}
	uids := expand(all, from(1), maxUIDs)
	uids = uids[max(0, len(uids)-maxSought):]
	if len(uids) == 0 {
		return false, "", nil
	}
	err = c.fields(uids, func(fields textproto.MIMEHeader) {
		if slices.Contains(fields.Values(by.Key), by.Value) {
			found, messageID = true, fields.Get("Message-ID")
		}
	})
	return found, messageID, err
}

// fields gives each the two header fields of the mails, as far as they can be read.
func (c *imapConn) fields(uids []uint32, each func(textproto.MIMEHeader)) error {
	section := &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Message-ID", email.IDHeader}}
	f := &fetcher{imapConn: c}
	return f.each(uids, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}}, func(m *imapclient.FetchMessageData) error {
		lit := f.readItems(m, &Item{})
		if lit == nil {
			return nil
		}
		body := &literal{lit: lit, left: lit.Size(), watch: c.watch}
		b, err := io.ReadAll(io.LimitReader(body, maxFields))
		if err == nil && body.left > 0 {
			err = fmt.Errorf("header fields of %d bytes", lit.Size())
		}
		if err != nil {
			f.abandon(body)
			return err
		}
		fields, _ := textproto.NewReader(bufio.NewReader(bytes.NewReader(b))).ReadMIMEHeader()
		each(fields)
		return nil
	})
}
