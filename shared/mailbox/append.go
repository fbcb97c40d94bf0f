package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/fault"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Copy is a mail to be stored in a folder.
type Copy struct {
	Folder string    // "" is the one for sent mail (RFC 6154); any other is created when it is missing
	Flags  []string  // such as `\Seen`
	Date   time.Time // its INTERNALDATE; zero is the server's now
	Size   int64     // bytes, exactly as many as the reader gives
}

// Append stores a copy of a mail by IMAP APPEND (RFC 9051 §6.3.12). It is for the caller to do so once: FindSent tells whether
// the mail is there already, which it is, too, where a provider keeps its own copy of what it sends.
//
// The content is streamed as it is; its lines must end in CRLF. Errors: a *Refusal is the server's answer, permanent when the
// mail is too big for it, also when it has announced so (RFC 7889). ErrUncertain means that the mail was sent whole and
// no answer came: look for it before storing it again. After any other error it is not there.
func (d *Dialer) Append(ctx context.Context, s Server, l Login, m Copy, msg io.Reader) error {
	if m.Size <= 0 {
		return fault.Permanentf("copy of a mail of %d bytes", m.Size)
	}
	return d.use(ctx, s, l, func(c *imapConn) (err error) {
		if m.Folder == "" {
			m.Folder, err = c.sentFolder()
		} else {
			err = c.ensure(m.Folder)
		}
		if err == nil {
			err = c.fits(m)
		}
		if err == nil {
			err = c.append(m, msg)
		}
		if err != nil {
			return fmt.Errorf("folder %q: %w", m.Folder, err)
		}
		return nil
	})
}

// ensure creates the folder when it does not exist. Waiting for the answer [TRYCREATE] instead would mean to read the content
// a second time.
func (c *imapConn) ensure(folder string) error {
	folders, err := c.list(folder) // "*" and "%" in a name make the answer longer, not wrong
	if err != nil {
		return err
	}
	for _, f := range folders {
		same := f.Mailbox == folder || strings.EqualFold(f.Mailbox, "INBOX") && strings.EqualFold(folder, "INBOX")
		if same && !has(f.Attrs, imap.MailboxAttrNonExistent) {
			return nil
		}
	}
	err = c.watch.during(func() error { return refusal("CREATE", c.client.Create(folder, nil).Wait()) })
	var refused *Refusal
	if err != nil && !(errors.As(err, &refused) && refused.Code == string(imap.ResponseCodeAlreadyExists)) {
		return err
	}
	// Mail programs show what is subscribed; that a server does not know subscriptions is no reason to fail.
	c.watch.during(func() error { return c.client.Subscribe(folder).Wait() })
	return nil
}

// fits asks for the limit on a mail's size, which is one for all folders or one for each.
func (c *imapConn) fits(m Copy) error {
	var limit *uint32
	err := c.watch.during(func() error {
		var known bool
		if limit, known = c.client.Caps().AppendLimit(); known && limit == nil {
			status, err := c.client.Status(m.Folder, &imap.StatusOptions{AppendLimit: true}).Wait()
			if err != nil {
				return refusal("STATUS", err)
			}
			limit = status.AppendLimit
		}
		return nil
	})
	if err != nil || limit == nil || m.Size <= int64(*limit) {
		return err
	}
	return fault.Permanent(&Refusal{Command: "APPEND", Code: string(imap.ResponseCodeTooBig),
		Answer: fmt.Sprintf("mail of %d bytes is larger than the %d that the server takes", m.Size, *limit)})
}

func (c *imapConn) append(m Copy, msg io.Reader) error {
	o := &imap.AppendOptions{Time: m.Date}
	for _, flag := range m.Flags {
		o.Flags = append(o.Flags, imap.Flag(flag))
	}
	// The server is asked before the content is sent, unless it is short (LITERAL-, RFC 7888) and the server knows that.
	var cmd *imapclient.AppendCommand
	c.watch.during(func() error { cmd = c.client.Append(m.Folder, m.Size, o); return nil })
	if err := fill(watchedWriter{cmd, c.watch}, msg, m.Size); err != nil {
		return appendError(err) // without its end the command is none
	}
	err := c.watch.during(func() error {
		cmd.Close()
		_, err := cmd.Wait()
		return err
	})
	if err = appendError(err); err == nil {
		return nil
	}
	var refused *Refusal
	if errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUncertain, err)
}

// fill copies what must be exactly size bytes.
func fill(to io.Writer, msg io.Reader, size int64) error {
	n, err := io.Copy(to, io.LimitReader(msg, size))
	if err != nil {
		return err
	}
	more, err := io.CopyN(io.Discard, msg, 1)
	if n += more; n != size {
		return fmt.Errorf("content is not of the %d bytes that were announced", size)
	}
	if err != io.EOF {
		return fmt.Errorf("content: %w", err)
	}
	return nil
}

func appendError(err error) error {
	err = refusal("APPEND", err)
	var refused *Refusal
	if errors.As(err, &refused) && refused.Code == string(imap.ResponseCodeTooBig) {
		return fault.Permanent(err)
	}
	return err
}

// watchedWriter gives up when the server does not read on.
type watchedWriter struct {
	to    io.Writer
	watch *watchdog
}

func (w watchedWriter) Write(b []byte) (n int, err error) {
	err = w.watch.during(func() (err error) {
		n, err = w.to.Write(b)
		return err
	})
	return n, err
}
