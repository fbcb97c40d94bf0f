package demo

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"

	"emailchannel.dev/emailchannel/emulator/replay"
	"emailchannel.dev/emailchannel/shared/email"
)

// mail is one to send, by a customer.
type mail struct {
	from    string
	to      string
	subject string
	raw     []byte
}

// recipients are the demo accounts that the mails go to.
var recipients = []string{"support@example.com", "billing@example.com", "hilfe@example.com"}

// own are the demo's mails where there is no corpus.
var own = []string{
	"From: =?utf-8?q?Jos=C3=A9_N=C3=BA=C3=B1ez?= <jose@customer.example>\r\nSubject: Where is my order?\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello, order 4711 has not arrived yet. – José\r\n",
	"From: Grace Hopper <grace@customer.example>\r\nSubject: Invoice 2026-03\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Please send me the invoice <b>again</b>.</p>\r\n",
	"From: =?utf-8?b?SsO8cmdlbiBHcm/Dnw==?= <juergen@customer.example>\r\nSubject: =?iso-8859-1?q?Zugang_gest=F6rt?=\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nIch kann mich nicht anmelden. Gr=FC=DFe\r\n",
}

// three picks mails of people from the corpus, one for each account, and gives
// them Message-IDs of their own, so that the demo can be run again.
func three(corpus string) ([]mail, string) {
	source := "the corpus"
	candidates, err := replay.Collect([]string{filepath.Join(corpus, "webklex-php-imap")})
	if err != nil {
		source = "the demo's own"
		candidates = nil
		for i, raw := range own {
			candidates = append(candidates, replay.Mail{File: fmt.Sprint("own ", i+1), Raw: []byte(raw)})
		}
	}
	var out []mail
	seen := map[string]bool{}
	for _, c := range candidates {
		m, err := email.Parse(bytes.NewReader(c.Raw), "", email.DefaultLimits(), nil)
		if err != nil || len(out) == len(recipients) {
			continue
		}
		if _, suppressed := m.Suppress(); suppressed || m.Class != email.ClassNormal || len(m.From) != 1 || len(m.Degraded) > 0 ||
			!strings.Contains(m.From[0].Addr, "@") || m.Subject == "" || len(m.InReplyTo)+len(m.References) > 0 || seen[m.From[0].Addr] || strings.TrimSpace(m.Text) == "" {
			continue
		}
		seen[m.From[0].Addr] = true
		out = append(out, mail{from: m.From[0].Addr, to: recipients[len(out)], subject: m.Subject, raw: renamed(c.Raw)})
	}
	return out, source
}

// renamed replaces the Message-ID.
func renamed(raw []byte) []byte {
	head, body, _ := bytes.Cut(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	var b bytes.Buffer
	fmt.Fprintf(&b, "Message-ID: <%s@demo.example>\n", rand.Text())
	skip := false
	for _, line := range bytes.Split(head, []byte("\n")) {
		folded := len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
		if !folded {
			skip = len(line) >= 11 && strings.EqualFold(string(line[:11]), "message-id:") || bytes.HasPrefix(line, []byte("From "))
		}
		if !skip {
			b.Write(line)
			b.WriteByte('\n')
		}
	}
	b.WriteByte('\n')
	b.Write(body)
	return bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte("\r\n"))
}
