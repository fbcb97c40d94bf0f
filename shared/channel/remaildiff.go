package channel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/thread"
)

// Difference is what today's code makes otherwise of one thing. Long texts are
// shown from where they differ.
type Difference struct {
	Field  string `json:"field"` // of the message; or "fingerprint", "decision"
	Stored string `json:"stored"`
	Today  string `json:"today"`
}

func (t *again) differs(field, stored, today string) {
	if stored != today {
		s, n := excerpts(stored, today)
		t.differences = append(t.differences, Difference{field, s, n})
	}
}

// excerpts are the parts of two texts around the place where they part.
func excerpts(a, b string) (string, string) {
	const before, after = 40, 200
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	cut := func(s string) string {
		from, to := max(0, at-before), min(len(s), at+after)
		out := s[from:to]
		if from > 0 {
			out = "…" + out
		}
		if to < len(s) {
			out += "…"
		}
		return strings.ToValidUTF8(out, "")
	}
	return cut(a), cut(b)
}

// compare finds what today's code does otherwise.
func (r *Remail) compare(ctx context.Context, t *again) error {
	var k known
	recall := func(ctx context.Context, tx Tx) (err error) { k, err = t.recall(ctx, tx); return err }
	if t.known == nil {
		if err := r.Docs.Update(ctx, recall); err != nil {
			return err
		}
		t.id = k.id
		if own := k.own; own != nil && own.State != Announced { // a second delivery of a mail that was processed
			t.known, t.session = own, own.Session
		}
	}
	var today string
	err := r.Docs.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		if err = recall(ctx, tx); err == nil {
			today, err = t.decision(ctx, tx, k)
		}
		return err
	})
	if err != nil {
		return err
	}
	if t.known == nil {
		t.differs("decision", "not processed", today)
		return nil
	}
	if t.id != t.mail.Fingerprint && t.id != t.mail.ContentFingerprint {
		t.differs("fingerprint", t.id, t.mail.Fingerprint)
	}
	t.differs("decision", t.decided(), today)
	if t.known.State != Stored {
		return nil
	}
	if t.stored, err = get[Message](ctx, r.Docs, messagePath(t.session, t.id)); err != nil {
		return err
	}
	if t.stored == nil {
		return notFound("message", t.id)
	}
	t.changed = map[string]any{}
	t.fields(t.message(k, Session{ID: t.session}))
	return r.attachments(ctx, t)
}

// decided is the stored decision in the words of [again.decision].
func (t *again) decided() string {
	if t.known.State == Suppressed {
		return "makes no session: " + t.known.Rule
	}
	return decisionText(thread.Rule(t.known.Rule), t.session)
}

func decisionText(rule thread.Rule, session string) string {
	if rule.Opens() {
		return "begins a session: " + string(rule)
	}
	return "joins session " + session + ": " + string(rule)
}

// decision is what today's code decides about the mail, as if it came for the
// first time: sessions that began with it or later are not there.
func (t *again) decision(ctx context.Context, tx Tx, k known) (string, error) {
	if t.known != nil {
		for id, m := range k.mails {
			if s := k.current(m); s != nil && !s.CreatedAt.Before(t.known.At) {
				delete(k.mails, id)
			}
		}
		if t.known.Rule != string(thread.RuleAnnounced) { // that rule is about the mail's own ID
			k.own = nil
		}
	}
	d, suppressed, err := t.decide(ctx, tx, &k)
	if err != nil {
		return "", err
	}
	if suppressed != "" {
		return "makes no session: " + suppressed, nil
	}
	if t.known != nil && t.known.Rule == string(thread.RuleExpired) && d.Join != "" && d.Join != t.session {
		d.Rule = thread.RuleExpired // as it was that day
	}
	return decisionText(d.Rule, d.Join), nil
}

// fields compares a message's fields with those of today.
func (t *again) fields(now Message) {
	was := *t.stored
	for _, f := range []struct {
		name       string
		was, today any
	}{
		{"subject", was.Subject, now.Subject}, {"text", was.Text, now.Text}, {"html", was.HTML, now.HTML},
		{"from", was.From, now.From}, {"reply_to", was.ReplyTo, now.ReplyTo}, {"to", was.To, now.To}, {"cc", was.Cc, now.Cc},
		{"message_id", was.MessageID, now.MessageID}, {"in_reply_to", was.InReplyTo, now.InReplyTo}, {"references", was.References, now.References},
		{"class", string(was.Class), string(now.Class)}, {"class_reason", was.ClassReason, now.ClassReason},
		{"degraded", was.Degraded, now.Degraded}, {"size", was.Size, now.Size},
	} {
		if stored, today := shown(f.was), shown(f.today); stored != today {
			t.differs(f.name, stored, today)
			t.changed[f.name] = f.today
		}
	}
}

// shown writes a field's value as it is stored, in words.
func shown(v any) string {
	switch v := v.(type) {
	case string:
		return strings.ToValidUTF8(v, "\uFFFD")
	case email.Address:
		return strings.ToValidUTF8(strings.TrimSpace(v.Name+" <"+v.Addr+">"), "\uFFFD")
	case []email.Address:
		all := make([]string, len(v))
		for i, a := range v {
			all[i] = shown(a)
		}
		return strings.Join(all, ", ")
	case []string:
		return shown(strings.Join(v, ", "))
	}
	return fmt.Sprint(v)
}

// attachments compares the files, whose content the archive has.
func (r *Remail) attachments(ctx context.Context, t *again) error {
	objects := map[string]string{} // by hash of the content
	was := make([]string, len(t.stored.Attachments))
	for i, a := range t.stored.Attachments {
		hash, err := r.hash(ctx, a.Object)
		if err != nil {
			return err
		}
		objects[hash], was[i] = a.Object, described(a, hash)
	}
	now := make([]string, len(t.files))
	for i := range t.files {
		f := &t.files[i]
		now[i] = described(*f, t.hashes[i])
		if object, ok := objects[t.hashes[i]]; ok {
			f.Object = object
			continue
		}
		f.Object += "~" + t.hashes[i][:12]
		t.fresh = append(t.fresh, i)
	}
	for i := range max(len(was), len(now)) {
		at := func(list []string) string {
			if i < len(list) {
				return list[i]
			}
			return ""
		}
		if at(was) != at(now) {
			t.differs(fmt.Sprintf("attachments[%d]", i), at(was), at(now))
			t.changed["attachments"] = t.files
		}
	}
	return nil
}

func described(a Attachment, hash string) string {
	inline := ""
	if a.Inline {
		inline = " inline"
	}
	return shown(fmt.Sprintf("%q %s%s %s %d bytes sha256:%s", a.Name, a.Type, inline, a.ContentID, a.Size, hash))
}

// hash reads an object; one that is missing has none.
func (r *Remail) hash(ctx context.Context, object string) (string, error) {
	content, err := r.Archive.Open(ctx, object)
	if errors.Is(err, fs.ErrNotExist) {
		return "missing", nil
	}
	if err != nil {
		return "", err
	}
	defer content.Close()
	h := sha256.New()
	if _, err := io.Copy(h, content); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
