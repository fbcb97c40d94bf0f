package mailserver

import (
	"bufio"
	"bytes"
	"io"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-message/textproto"
)

// Search knows all keys of RFC 3501 but CONDSTORE's. TEXT and BODY look at the stored bytes without decoding them.
func (s *imapSession) Search(kind imapserver.NumKind, c *imap.SearchCriteria, _ *imap.SearchOptions) (*imap.SearchData, error) {
	if err := s.refused("search"); err != nil {
		return nil, err
	}
	s.store.mu.Lock()
	all := s.visible()
	s.store.mu.Unlock()

	match := &search{bodies: s.store.bodies, all: all}
	var uids imap.UIDSet
	var seqs imap.SeqSet
	data := &imap.SearchData{}
	for _, m := range all {
		if !match.matches(m, c) {
			continue
		}
		n := m.seq
		if kind == imapserver.NumKindUID {
			n = uint32(m.uid)
			uids.AddNum(m.uid)
		} else {
			seqs.AddNum(m.seq)
		}
		if data.Count++; data.Count == 1 {
			data.Min = n
		}
		data.Max = n
	}
	data.All = seqs
	if kind == imapserver.NumKindUID {
		data.All = uids
	}
	return data, nil
}

type search struct {
	bodies bodies
	all    []seen
}

func (s *search) matches(m seen, c *imap.SearchCriteria) bool {
	for _, set := range c.SeqNum {
		if !contains(set, s.all)(m) {
			return false
		}
	}
	for _, set := range c.UID {
		if !contains(set, s.all)(m) {
			return false
		}
	}
	for _, f := range c.Flag {
		if !m.has(f) {
			return false
		}
	}
	if slices.ContainsFunc(c.NotFlag, m.has) || !within(m.date, c.Since, c.Before) {
		return false
	}
	if c.Larger != 0 && m.size <= c.Larger || c.Smaller != 0 && m.size >= c.Smaller {
		return false
	}
	if !s.matchesContent(m, c) {
		return false
	}
	for i := range c.Not {
		if s.matches(m, &c.Not[i]) {
			return false
		}
	}
	for i := range c.Or {
		if !s.matches(m, &c.Or[i][0]) && !s.matches(m, &c.Or[i][1]) {
			return false
		}
	}
	return true
}

// within compares days without regard to the zone, as RFC 3501 §6.4.4 wants.
func within(t, since, before time.Time) bool {
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return (since.IsZero() || !day.Before(since)) && (before.IsZero() || day.Before(before))
}

// matchesContent opens the message only when a key asks for it.
func (s *search) matchesContent(m seen, c *imap.SearchCriteria) bool {
	sent := !c.SentSince.IsZero() || !c.SentBefore.IsZero()
	if len(c.Header) == 0 && len(c.Text) == 0 && len(c.Body) == 0 && !sent {
		return true
	}
	f, err := s.bodies.open(m.body)
	if err != nil {
		return false
	}
	defer f.Close()
	in := bufio.NewReader(f)
	header, _ := textproto.ReadHeader(in)
	for _, h := range c.Header {
		has := func(v string) bool { return containsFold([]byte(v), h.Value) }
		if !slices.ContainsFunc(header.Values(h.Key), has) {
			return false
		}
	}
	if sent {
		if t, err := mail.ParseDate(header.Get("Date")); err != nil || !within(t, c.SentSince, c.SentBefore) {
			return false
		}
	}
	if len(c.Text) == 0 && len(c.Body) == 0 {
		return true
	}
	body, _ := io.ReadAll(in)
	for _, t := range c.Body {
		if !containsFold(body, t) {
			return false
		}
	}
	whole, _ := io.ReadAll(rewound(f))
	return !slices.ContainsFunc(c.Text, func(t string) bool { return !containsFold(whole, t) })
}

func containsFold(b []byte, s string) bool {
	return bytes.Contains(bytes.ToLower(b), []byte(strings.ToLower(s)))
}
