package replay

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/thread"
)

// Report is what became of all mails.
type Report struct {
	Mails           int     `json:"mails"`
	Sessions        int     `json:"sessions"` // mails that began one
	Threaded        int     `json:"threaded"` // mails that joined one
	Duplicates      int     `json:"duplicates"`
	Suppressed      int     `json:"suppressed"`
	Quarantined     int     `json:"quarantined"`
	Lost            int     `json:"lost"` // none of the above: a fault of ours
	Messages        int     `json:"messages"`
	AutoReplies     int     `json:"autoreplies"`
	Seconds         float64 `json:"seconds"`
	MailsPerSecond  float64 `json:"mails_per_second"` // until all is done but the CRM's part, which is stored
	StoredSeconds   float64 `json:"stored_seconds"`   // that time; seconds also has the tickets made
	PeakRSS         int     `json:"peak_rss_mb"`
	FirestoreReads  int64   `json:"firestore_reads"`
	FirestoreWrites int64   `json:"firestore_writes"`
	FirestoreDelete int64   `json:"firestore_deletes"`
	PubSubMessages  int64   `json:"pubsub_messages"`
	StorageWrites   int64   `json:"storage_writes"`
	Tickets         int     `json:"tickets"`
}

// Result is what became of one mail.
type Result struct {
	File        string       `json:"file"`
	Outcome     string       `json:"outcome"` // session, threaded, duplicate, suppressed, quarantined, lost
	Reason      string       `json:"reason,omitempty"`
	Fingerprint string       `json:"fingerprint"`
	MessageID   string       `json:"message_id"`
	SessionID   string       `json:"session_id"`
	Class       email.Class  `json:"class"`
	Subject     string       `json:"subject"`
	From        string       `json:"from"`
	To          []string     `json:"to"`
	Text        string       `json:"text"`
	HTMLBytes   int          `json:"html_bytes"`
	ReplyText   string       `json:"reply_text"`
	Attachments []attachment `json:"attachments"`
	Degraded    []string     `json:"degraded"`
	Quarantined string       `json:"quarantined"` // the reason; empty when it is not
	AutoReply   bool         `json:"auto_reply"`
}

type attachment struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Bytes int64  `json:"bytes"`
}

// counts are the totals of a moment.
type counts struct {
	autoReplies, tickets   int
	reads, writes, deletes int64
	pubsub, storage        int64
}

func snapshot(ctx context.Context, s *suite.Suite) (counts, error) {
	n, err := s.Docs().Count(ctx, channel.Query{Collection: "outbound", Where: []channel.Where{{Field: "auto", Op: "==", Value: true}}}, 1<<30)
	if err != nil {
		return counts{}, err
	}
	c := counts{autoReplies: n}
	c.reads, c.writes, c.deletes, c.storage, c.pubsub, c.tickets = s.Totals()
	return c, nil
}

func finish(ctx context.Context, s *suite.Suite, all []fed, before counts, stored, took time.Duration) (Report, []Result, error) {
	after, err := snapshot(ctx, s)
	if err != nil {
		return Report{}, nil, err
	}
	r := Report{
		Mails: len(all), AutoReplies: after.autoReplies - before.autoReplies, Seconds: took.Seconds(), StoredSeconds: stored.Seconds(), MailsPerSecond: float64(len(all)) / stored.Seconds(), PeakRSS: peakRSS(),
		FirestoreReads: after.reads - before.reads, FirestoreWrites: after.writes - before.writes, FirestoreDelete: after.deletes - before.deletes,
		PubSubMessages: after.pubsub - before.pubsub, StorageWrites: after.storage - before.storage, Tickets: after.tickets - before.tickets,
	}
	results := make([]Result, len(all))
	for i, f := range all {
		if results[i], err = result(ctx, s, f); err != nil {
			return r, nil, fmt.Errorf("%s: %w", f.File, err)
		}
		switch results[i].Outcome {
		case "session":
			r.Sessions++
			r.Messages++
		case "threaded":
			r.Threaded++
			r.Messages++
		case "duplicate":
			r.Duplicates++
		case "suppressed":
			r.Suppressed++
		case "quarantined":
			r.Quarantined++
		default:
			r.Lost++
		}
	}
	return r, results, nil
}

// result looks up what the pipeline made of a mail.
func result(ctx context.Context, s *suite.Suite, f fed) (Result, error) {
	r := describe(f)
	doc, id, err := mailOf(ctx, s, f)
	if err != nil {
		return r, err
	}
	if doc == nil {
		q, err := s.Quarantined(ctx, f.source)
		if err != nil || q == nil {
			r.Outcome = "lost"
			return r, err
		}
		r.Outcome, r.Quarantined, r.Reason = "quarantined", q.Reason, q.Reason
		return r, nil
	}
	r.Fingerprint, r.SessionID, r.Reason = id, doc.Session, doc.Rule
	switch {
	case len(doc.Sources) == 0 || doc.Sources[0] != f.source:
		r.Outcome = "duplicate"
	case doc.State == channel.Suppressed:
		r.Outcome = "suppressed"
	case thread.Rule(doc.Rule).Opens():
		r.Outcome = "session"
	default:
		r.Outcome = "threaded"
	}
	if r.Outcome == "session" || r.Outcome == "threaded" {
		r.AutoReply, err = s.Answered(ctx, doc.Event)
	}
	return r, err
}

// mailOf finds the document of the mail under its Message-ID's fingerprint, or
// its content's, where another sender has used that ID before.
func mailOf(ctx context.Context, s *suite.Suite, f fed) (*channel.Mail, string, error) {
	var other *channel.Mail
	var otherID string
	for _, id := range []string{f.parsed.Fingerprint, f.parsed.ContentFingerprint} {
		if id == "" {
			continue
		}
		doc, err := s.MailDoc(ctx, id)
		if err != nil {
			return nil, "", err
		}
		if doc == nil || doc.State == channel.Announced {
			continue
		}
		if slices.Contains(doc.Sources, f.source) {
			return doc, id, nil
		}
		if other == nil && len(doc.Sources) >= 100 { // deliveries beyond the hundredth are not remembered
			other, otherID = doc, id
		}
	}
	return other, otherID, nil
}

func describe(f fed) Result {
	m := f.parsed
	r := Result{
		File: f.File, Fingerprint: m.Fingerprint, MessageID: m.MessageID, Class: m.Class, Subject: m.Subject,
		Text: m.Text, HTMLBytes: len(m.HTML), ReplyText: email.FreshText(m), Degraded: m.Degraded, Attachments: []attachment{}, To: []string{},
	}
	if r.Degraded == nil {
		r.Degraded = []string{}
	}
	if len(m.From) > 0 {
		r.From = m.From[0].Addr
	}
	for _, to := range m.To {
		r.To = append(r.To, to.Addr)
	}
	for _, p := range m.Parts {
		r.Attachments = append(r.Attachments, attachment{p.Name, p.Type, p.Size})
	}
	return r
}

// peakRSS is the process's largest resident size in MB, as Linux tells it.
func peakRSS() int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb / 1024
		}
	}
	return 0
}
