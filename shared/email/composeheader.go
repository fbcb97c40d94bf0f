package email

import (
	"encoding/base64"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-message"
)

// FieldError tells which part of a Draft cannot be written. Sending again does not help.
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string { return fmt.Sprintf("mail field %s %s", e.Field, e.Problem) }

// checkValues refuses what would end a header field and begin another one.
func checkValues(field string, values ...string) error {
	for _, v := range values {
		for i := 0; i < len(v); i++ {
			if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
				return &FieldError{Field: field, Problem: "has a line end or another control character"}
			}
		}
	}
	return nil
}

// ownFields are written from the Draft's own members and from its structure; Headers must not repeat them. Bcc would
// tell everyone.
func isOwnField(key string) bool {
	switch key {
	case "from", "reply-to", "to", "cc", "bcc", "subject", "message-id", "in-reply-to", "references", "date", "mime-version",
		"content-type", "content-transfer-encoding", "content-disposition", "content-id", "dkim-signature", "sender", "return-path":
		return true
	}
	return false
}

// header builds the header fields except those of the structure.
func (d Draft) header() (message.Header, error) {
	var h message.Header
	if err := d.check(); err != nil {
		return h, err
	}
	names := make([]string, 0, len(d.Headers))
	for k := range d.Headers {
		names = append(names, k)
	}
	sort.Sort(sort.Reverse(sort.StringSlice(names))) // go-message writes the field that was set last first
	for _, k := range names {
		h.Set(k, encodeText(d.Headers[k], len(k)+2))
	}
	h.Set("Subject", encodeText(d.Subject, len("Subject: ")))
	if refs := d.references(); refs != "" {
		h.Set("References", refs)
	}
	if d.InReplyTo != "" {
		h.Set("In-Reply-To", "<"+d.InReplyTo+">")
	}
	if d.MessageID != "" {
		h.Set("Message-ID", "<"+d.MessageID+">")
	}
	if len(d.Cc) > 0 {
		h.Set("Cc", formatAddresses(d.Cc))
	}
	if len(d.To) > 0 {
		h.Set("To", formatAddresses(d.To))
	}
	if d.ReplyTo.Addr != "" {
		h.Set("Reply-To", formatAddresses([]Address{d.ReplyTo}))
	}
	h.Set("From", formatAddresses([]Address{d.From}))
	if !d.Date.IsZero() {
		h.Set("Date", d.Date.Format(time.RFC1123Z))
	}
	return h, nil
}

func (d Draft) check() error {
	for _, f := range []struct {
		name   string
		values []string
	}{{"Subject", []string{d.Subject}}, {"Message-ID", []string{d.MessageID}}, {"In-Reply-To", []string{d.InReplyTo}}, {"References", d.References}} {
		if err := checkValues(f.name, f.values...); err != nil {
			return err
		}
		if f.name != "Subject" && strings.ContainsAny(strings.Join(f.values, ""), "<> \t") {
			return &FieldError{Field: f.name, Problem: "is no Message-ID without brackets"}
		}
	}
	for name, list := range map[string][]Address{"From": {d.From}, "To": d.To, "Cc": d.Cc, "Reply-To": {d.ReplyTo}} {
		if err := checkAddresses(name, list); err != nil {
			return err
		}
	}
	for k, v := range d.Headers {
		if nameLength([]byte(k+":")) != len(k) || isOwnField(strings.ToLower(k)) {
			return &FieldError{Field: shortName(k), Problem: "cannot be set"}
		}
		if err := checkValues(k, v); err != nil {
			return err
		}
	}
	return nil
}

func checkAddresses(field string, list []Address) error {
	for _, a := range list {
		if err := checkValues(field, a.Name, a.Addr); err != nil {
			return err
		}
		if a.Addr == "" && field == "Reply-To" {
			continue
		}
		at := strings.LastIndexByte(a.Addr, '@')
		if at < 1 || at == len(a.Addr)-1 || strings.ContainsAny(a.Addr, "<>,; \t()") && !strings.HasPrefix(a.Addr, `"`) {
			return &FieldError{Field: field, Problem: "has no usable address"}
		}
	}
	return nil
}

// references bounds the thread's IDs to the root and the latest, and drops what no line can hold.
func (d Draft) references() string {
	ids := make([]string, 0, len(d.References))
	for _, id := range d.References {
		if id != "" && len(id) <= maxMessageID {
			ids = append(ids, "<"+id+">")
		}
	}
	if len(ids) > maxReferences {
		ids = append(ids[:1:1], ids[len(ids)-maxReferences+1:]...)
	}
	return strings.Join(ids, " ")
}

// formatAddresses writes a list. A domain is written in its ASCII form; a local part outside of ASCII stays and needs
// a server with SMTPUTF8 (RFC 6531).
func formatAddresses(list []Address) string {
	items := make([]string, len(list))
	for i, a := range list {
		at := strings.LastIndexByte(a.Addr, '@')
		addr := "<" + a.Addr[:at] + "@" + domainASCII(a.Addr[at+1:]) + ">"
		if name := strings.TrimSpace(cleanText(a.Name)); name != "" {
			addr = formatPhrase(name) + " " + addr
		}
		items[i] = addr
	}
	return strings.Join(items, ", ")
}

// formatPhrase writes a display name: as it is, quoted, or as encoded words.
func formatPhrase(name string) string {
	if !isPlain(name) || len(name) > 60 || strings.Contains(name, "  ") {
		return encodeWords(name, len("Reply-To: "))
	}
	if isAtoms(name) {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

func isAtoms(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == ' ' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// encodeText writes an unstructured value. What folding could change is written as encoded words: text outside of
// ASCII, words longer than a line, runs of spaces.
func encodeText(s string, used int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if isPlain(s) && !strings.Contains(s, "  ") && strings.TrimSpace(s) == s && longestWord(s) <= 60 {
		return s
	}
	return encodeWords(s, used)
}

func longestWord(s string) int {
	longest := 0
	for _, w := range strings.Fields(s) {
		longest = max(longest, len(w))
	}
	return longest
}

const (
	wordStart = "=?utf-8?b?"
	wordEnd   = "?="
)

// encodeWords writes RFC 2047 words of at most 75 characters that never split a character. used is the length of
// what stands before on the first line.
func encodeWords(s string, used int) string {
	var words []string
	for s != "" {
		room := (75 - len(wordStart) - len(wordEnd)) / 4 * 3
		if len(words) == 0 {
			room = min(room, max((75-used-len(wordStart)-len(wordEnd))/4*3, utf8.UTFMax))
		}
		n := cutAtRune(s, room)
		words = append(words, wordStart+base64.StdEncoding.EncodeToString([]byte(s[:n]))+wordEnd)
		s = s[n:]
	}
	return strings.Join(words, " ")
}

func cutAtRune(s string, n int) int {
	if len(s) <= n {
		return len(s)
	}
	for n > 1 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}

type param struct{ name, value string }

// formatParams writes "value; name=...": plain where it can be, quoted where it must, and by RFC 2231 with
// continuations for long or non-ASCII text.
func formatParams(value string, ps ...param) string {
	for _, p := range ps {
		switch {
		case p.value == "":
		case !isPlain(p.value) || len(p.value) > 60:
			value += encodeParam(p)
		default:
			value += "; " + p.name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.value) + `"`
		}
	}
	return value
}

// encodeParam cuts before an escape, never within one, and keeps each piece on a line of its own.
func encodeParam(p param) string {
	var out strings.Builder
	rest := "utf-8''" + escapePercent(strings.ToValidUTF8(p.value, "\ufffd"))
	for i := 0; rest != ""; i++ {
		n := min(len(rest), 50)
		for n < len(rest) && n > 2 && (rest[n-1] == '%' || rest[n-2] == '%') {
			n--
		}
		out.WriteString("; " + p.name + "*" + strconv.Itoa(i) + "*=" + rest[:n])
		rest = rest[n:]
	}
	return out.String()
}

func escapePercent(s string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
			out.WriteByte(c)
		} else {
			out.WriteString("%" + string(digits[c>>4]) + string(digits[c&15]))
		}
	}
	return out.String()
}
