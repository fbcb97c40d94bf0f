package email

import "strings"

// charsetOf is the charset that the mail's own Content-Type declares; raw 8-bit header text is usually in it.
func charsetOf(h header) string {
	_, ps := parseParams(h.get("content-type"), "")
	return ps["charset"]
}

// finish fills the Mail from the header and from what the walk gathered.
func (p *parser) finish(h header, envelopeSender string) {
	m := p.m
	m.Bytes = p.in.n
	m.MessageID = firstID(h.all("message-id"))
	m.HasMessageID = m.MessageID != ""
	m.InReplyTo = ParseMessageIDs(strings.Join(h.all("in-reply-to"), " "))
	m.References = ParseMessageIDs(strings.Join(h.all("references"), " "))
	m.From, m.Sender, m.ReplyTo = p.addresses(h, "from"), p.addresses(h, "sender"), p.addresses(h, "reply-to")
	m.To, m.Cc = p.addresses(h, "to"), p.addresses(h, "cc")
	m.ReturnPath, m.ReturnPathEmpty = returnPath(envelopeSender, p.mboxFrom, h)
	m.Subject = strings.TrimSpace(decodeText(h.get("subject"), p.charset))
	m.Date = parseDate(h.get("date"))
	if m.Date.IsZero() && h.get("date") != "" {
		p.note("bad-date")
	}
	p.addTNEFBody()
	var cut bool
	if m.Text, m.HTML, cut = p.bodies.result(p.lim.Links); cut {
		p.note("limit:links")
	}
	if len(m.Text) > p.lim.TextBytes {
		m.Text = string(trimPartialRune([]byte(m.Text[:p.lim.TextBytes])))
		p.note("limit:text")
	}
	s := newSignals(h, &p.facts, m)
	m.Class, m.ClassReason = classify(s)
	m.Report = newReport(s, m)
	m.noReply = noReplyReason(h, m)
	m.Trace = traceFields(h)
	m.Signed = h.has("dkim-signature")
	m.ContentFingerprint = contentFingerprint(m, h.get("date"), p.digest.sum())
	if m.Fingerprint = Fingerprint(m.MessageID); m.Fingerprint == "" {
		m.Fingerprint = m.ContentFingerprint
	}
}

func (p *parser) addresses(h header, key string) []Address {
	var list []Address
	for _, v := range h.all(key) {
		if room := maxAddresses - len(list); room > 0 {
			as := parseAddresses(v, p.charset)
			list = append(list, as[:min(len(as), room)]...)
		}
	}
	if len(list) == maxAddresses {
		p.note("limit:addresses")
	}
	return list
}

// returnPath decides the envelope sender: what SMTP said, else Return-Path, else the mbox line.
func returnPath(envelope, mbox string, h header) (addr string, null bool) {
	for _, s := range []string{envelope, h.get("return-path"), mbox} {
		s = strings.TrimSpace(s)
		if s == "" {
			continue
		}
		if s == "<>" {
			return "", true
		}
		if list := ParseAddressList(s); len(list) > 0 {
			return list[0].Addr, false
		}
	}
	return "", false
}
