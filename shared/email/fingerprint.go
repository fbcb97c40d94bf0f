package email

import (
	"crypto/sha256"
	"encoding/base32"
	"hash"
	"strings"
	"time"
)

// Fingerprint is the identity of a mail with this Message-ID: 32 lower-case base32 characters (160 bits), fit for a
// document ID. "" for a mail without Message-ID, whose identity is its ContentFingerprint.
func Fingerprint(messageID string) string {
	id := canonicalID(strings.Trim(messageID, "<> \t\r\n"))
	if id == "" {
		return ""
	}
	return "m" + shortHash("message-id", id)
}

// contentFingerprint is the identity of what a mail says, whatever way it came: From, To, Date, Subject and the
// decoded parts. Received, Return-Path, Delivered-To, X- fields and the transfer encoding do not count. From and To
// count as their normalised addresses, the date in UTC.
func contentFingerprint(m *Mail, date string, body []byte) string {
	fields := []string{"content"}
	for _, list := range [][]Address{m.From, m.To} {
		var addrs []string
		for _, a := range list {
			addrs = append(addrs, Normalize(a.Addr))
		}
		fields = append(fields, strings.Join(addrs, ","))
	}
	if !m.Date.IsZero() {
		date = m.Date.UTC().Format(time.RFC3339)
	}
	return "c" + shortHash(append(fields, date, strings.Join(strings.Fields(m.Subject), " "), string(body))...)
}

// shortHash separates the fields by a byte that none of them contains, so that no two lists meet.
func shortHash(fields ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(fields, "\x00")))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:20]))
}

// digest hashes the decoded parts as they stream by.
type digest struct{ h hash.Hash }

func newDigest() *digest { return &digest{h: sha256.New()} }

func (d *digest) part(kind string) { d.write([]byte("\x00" + kind + "\x00")) }

func (d *digest) write(b []byte) { _, _ = d.h.Write(b) } // a hash never fails

func (d *digest) sum() []byte { return d.h.Sum(nil) }

// textDigest hashes text without its white space: transports change line ends, trailing blanks and final newlines.
type textDigest struct{ d *digest }

func (t textDigest) Write(b []byte) (int, error) {
	begin := 0
	for i, c := range b {
		if c == '\r' || c == '\n' || c == ' ' || c == '\t' {
			if i > begin {
				t.d.write(b[begin:i])
			}
			begin = i + 1
		}
	}
	t.d.write(b[begin:])
	return len(b), nil
}
