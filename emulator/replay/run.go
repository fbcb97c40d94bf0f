package replay

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"time"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
)

// Via is the way in.
type Via string

const (
	SMTP   Via = "smtp"   // as a sender's server would deliver
	IMAP   Via = "imap"   // put into the mailbox without the network, then polled
	Ingest Via = "ingest" // into the archive, and its pointer published
)

// fed is a mail that was handed over.
type fed struct {
	Mail
	parsed *email.Mail
	source event.Source // where the pipeline finds it
}

// Run feeds the mails in order, waits until the pipeline is idle and reports.
func Run(ctx context.Context, s *suite.Suite, via Via, mails []Mail) (Report, []Result, error) {
	feed := map[Via]func(context.Context, *suite.Suite, *feeder, Mail, *email.Mail) (event.Source, error){SMTP: bySMTP, IMAP: byIMAP, Ingest: byIngest}[via]
	if feed == nil {
		return Report{}, nil, fmt.Errorf("--via %q is none of smtp, imap and ingest", via)
	}
	before, err := snapshot(ctx, s)
	if err != nil {
		return Report{}, nil, err
	}
	f := newFeeder(s)
	all := make([]fed, 0, len(mails))
	for _, m := range mails {
		parsed, err := parse(m.Raw)
		if err != nil {
			parsed = &email.Mail{} // the pipeline says what is wrong with it
		}
		all = append(all, fed{Mail: m, parsed: parsed})
	}
	start := time.Now()
	for i := range all {
		src, err := feed(ctx, s, f, all[i].Mail, all[i].parsed)
		if err != nil {
			return Report{}, nil, fmt.Errorf("%s: %w", all[i].File, err)
		}
		all[i].source = src
	}
	f.validate(all)
	if via == SMTP {
		if err := f.arrived(all); err != nil {
			return Report{}, nil, err
		}
	}
	for quiet := 0; quiet < 3 && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		if quiet++; !s.Stored() {
			quiet = 0
		}
	}
	stored := time.Since(start)
	if err := s.WaitIdle(ctx); err != nil {
		return Report{}, nil, fmt.Errorf("the pipeline is not idle: %w", err)
	}
	return finish(ctx, s, all, before, stored, time.Since(start))
}

// parse reads a mail as the pipeline will, to know what to look for.
func parse(raw []byte) (*email.Mail, error) {
	return email.Parse(bytes.NewReader(raw), "", email.DefaultLimits(), nil)
}

// feeder knows which UID the next mail of an account gets.
type feeder struct {
	s        *suite.Suite
	accounts map[string]string // ID by address
	next     map[string]*event.Source
	conn     *smtp.Client
	folder   string // of mail that goes straight into the archive; its own, as places are never used twice
}

// fallback takes the mail that is addressed to none of the accounts.
const fallback = "support@example.com"

func newFeeder(s *suite.Suite) *feeder {
	return &feeder{s: s, accounts: s.Inboxes(), next: map[string]*event.Source{}, folder: "replay-" + rand.Text()}
}

// address is the first of the channel's own that the mail is addressed to.
func (f *feeder) address(m *email.Mail) string {
	for _, list := range [][]email.Address{m.To, m.Cc} {
		for _, a := range list {
			if addr := email.Normalize(a.Addr); f.accounts[addr] != "" {
				return addr
			}
		}
	}
	if f.accounts[fallback] != "" {
		return fallback
	}
	for addr := range f.accounts {
		return addr
	}
	return fallback
}

// source is the place that the next mail for the address gets.
func (f *feeder) source(addr string) event.Source {
	src := f.next[addr]
	if src == nil {
		src = &event.Source{Account: f.accounts[addr], Folder: "INBOX"}
		src.UIDValidity, src.UID = f.last(addr)
		f.next[addr] = src
	}
	src.UID++
	return *src
}

// validate fills in the UIDVALIDITY of mailboxes that were made by the first mail.
func (f *feeder) validate(all []fed) {
	validity := map[string]uint32{}
	for addr, id := range f.accounts {
		validity[id], _ = f.last(addr)
	}
	for i := range all {
		if src := &all[i].source; src.Folder == "INBOX" {
			src.UIDValidity = validity[src.Account]
		}
	}
}

// arrived reads the mails as they lie in the mailboxes: on its way a mail gets
// other line ends, and fields in front, by which one without a Message-ID or
// without any header is another mail.
func (f *feeder) arrived(all []fed) error {
	at := map[event.Source]*fed{}
	for i := range all {
		at[all[i].source] = &all[i]
	}
	for addr, id := range f.accounts {
		for _, m := range f.s.Mail.Mailbox(addr) {
			mine := at[event.Source{Account: id, Folder: m.Folder, UIDValidity: m.UIDValidity, UID: m.UID}]
			if mine == nil {
				continue
			}
			r, err := m.Open()
			if err != nil {
				return fmt.Errorf("%s: %w", mine.File, err)
			}
			if parsed, err := email.Parse(r, "", email.DefaultLimits(), nil); err == nil {
				mine.parsed = parsed
			}
			r.Close()
		}
	}
	return nil
}

// last is the UIDVALIDITY and the highest UID of an address's INBOX.
func (f *feeder) last(addr string) (validity, uid uint32) {
	for _, m := range f.s.Mail.Mailbox(addr) {
		if m.Folder == "INBOX" {
			validity, uid = m.UIDValidity, max(uid, m.UID)
		}
	}
	return validity, uid
}

// envelopeSender is who a server would say the mail comes from. The first line of
// a mail in an mbox may have no address in that place.
func envelopeSender(m *email.Mail) string {
	candidates := []string{m.ReturnPath}
	for _, list := range [][]email.Address{m.Sender, m.From} {
		if len(list) > 0 {
			candidates = append(candidates, list[0].Addr)
		}
	}
	if m.ReturnPathEmpty {
		return ""
	}
	for _, c := range candidates {
		if a, err := mail.ParseAddress("<" + c + ">"); err == nil && a.Address == c {
			return c
		}
	}
	return ""
}

func byIMAP(_ context.Context, s *suite.Suite, f *feeder, m Mail, p *email.Mail) (event.Source, error) {
	addr := f.address(p)
	src := f.source(addr)
	return src, s.Mail.Deliver(envelopeSender(p), []string{addr}, bytes.NewReader(m.Raw))
}

func bySMTP(_ context.Context, s *suite.Suite, f *feeder, m Mail, p *email.Mail) (event.Source, error) {
	addr := f.address(p)
	src := f.source(addr)
	if f.conn == nil {
		conn, err := net.Dial("tcp", s.Addrs.SMTP)
		if err != nil {
			return src, err
		}
		if f.conn, err = smtp.NewClient(conn, "localhost"); err != nil {
			return src, err
		}
	}
	if err := f.conn.Mail(envelopeSender(p)); err != nil {
		return src, err
	}
	if err := f.conn.Rcpt(addr); err != nil {
		return src, err
	}
	w, err := f.conn.Data()
	if err != nil {
		return src, err
	}
	if _, err := w.Write(m.Raw); err != nil {
		return src, err
	}
	return src, w.Close()
}

func byIngest(ctx context.Context, s *suite.Suite, f *feeder, m Mail, p *email.Mail) (event.Source, error) {
	src := f.source(f.address(p))
	src.Folder = f.folder
	return src, s.Inject(ctx, event.Received{Source: src, Object: "raw/" + src.Key() + ".eml", ReceivedAt: s.Clock.Now(), Size: int64(len(m.Raw))}, m.Raw)
}
