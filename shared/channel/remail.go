package channel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
	"emailchannel.dev/emailchannel/shared/session"
)

// Remail processes archived mail once more with today's code (ST-4).
//
// A mail that made a message gets its content brought up to date in place: the
// same session, the same message, nobody is told and nothing is sent. What was
// decided about it (its thread, or that it makes no session) stays; what today
// would decide is told as a difference. A mail that never got so far, such as
// one in quarantine, is processed as if it had just come.
type Remail struct{ *Receive }

// Replayed is what a replay did, or with a dry run would do.
type Replayed struct {
	Mail        string       `json:"mail"` // fingerprint
	Object      string       `json:"object"`
	Session     string       `json:"session,omitempty"`
	Known       bool         `json:"known"` // it was processed before
	DryRun      bool         `json:"dry_run"`
	Differences []Difference `json:"differences"`
}

// Replay processes a mail that was received, by its fingerprint or by the name
// of its object. With dryRun it writes nothing. A mail that is ours, or whose
// content was deleted, or whose session is held, is refused ([*Conflict]).
func (r *Remail) Replay(ctx context.Context, which string, dryRun bool) (*Replayed, error) {
	if which == "" {
		return nil, &Invalid{[]Field{{"mail", "missing: a message's ID, or the name of a raw mail"}}}
	}
	t, err := r.open(ctx, which)
	if err == nil {
		err = r.reparse(ctx, t)
	}
	if err == nil {
		err = r.compare(ctx, t)
	}
	if err == nil && !dryRun {
		err = r.apply(ctx, t)
	}
	if err != nil {
		return nil, fmt.Errorf("replay %s: %w", which, err)
	}
	out := &Replayed{Mail: t.id, Object: t.Object, Session: t.session, Known: t.known != nil, DryRun: dryRun, Differences: t.differences}
	if out.Differences == nil {
		out.Differences = []Difference{}
	}
	return out, nil
}

// again is one mail on its way through today's code.
type again struct {
	arrival
	id          string
	known       *Mail    // as it is stored; nil: never processed
	stored      *Message // its message; nil: it has none
	session     string
	hashes      []string // of the attachments' content
	differences []Difference
	changed     map[string]any // fields of the message that today are others
	fresh       []int          // attachments whose content is another
}

// open finds the mail and where it came from.
func (r *Remail) open(ctx context.Context, which string) (*again, error) {
	cat, err := r.Config.Load(ctx)
	if err != nil {
		return nil, err
	}
	t := &again{arrival: arrival{cat: cat, now: r.Now().UTC()}}
	if strings.HasPrefix(which, "raw/") {
		return t, r.byObject(ctx, t, which)
	}
	if !plainID(which) {
		return nil, notFound("mail", which)
	}
	m, err := get[Mail](ctx, r.Docs, mailPath(which))
	if err != nil {
		return nil, err
	}
	if m == nil || m.State == Announced {
		return nil, notFound("mail", which)
	}
	return t, t.use(which, m)
}

func (r *Remail) byObject(ctx context.Context, t *again, object string) error {
	found := errors.New("found")
	err := r.Docs.Find(ctx, Query{Collection: "mails", Where: []Where{{"raw", "==", object}}, Limit: 1}, func(id string, decode func(any) error) error {
		var m Mail
		if err := decode(&m); err != nil {
			return err
		}
		return errors.Join(found, t.use(id, &m))
	})
	if errors.Is(err, found) {
		var refused *Conflict
		if errors.As(err, &refused) {
			return refused
		}
		return nil
	}
	if err != nil {
		return err
	}
	src, ok := sourceOf(object, t.cat)
	if !ok {
		return notFound("mail", object)
	}
	t.Received = event.Received{Source: src, Object: object, ReceivedAt: t.now}
	return nil
}

// use takes over what is stored of the mail.
func (t *again) use(id string, m *Mail) error {
	switch {
	case m.Direction != In:
		return conflict("it is a mail of ours, which nothing processes")
	case m.State == Erased || m.Raw == "":
		return conflict("its content was deleted")
	}
	t.id, t.known, t.session = id, m, m.Session
	t.Received = event.Received{Object: m.Raw, ReceivedAt: m.At}
	for _, src := range m.Sources {
		if rawObject(src) == m.Raw {
			t.Source = src
		}
	}
	return nil
}

// sourceOf reads an object's name back; accounts and folders may have a hyphen.
func sourceOf(object string, cat *Catalog) (event.Source, bool) {
	key := strings.TrimSuffix(strings.TrimPrefix(object, "raw/"), ".eml")
	for id := range cat.Accounts {
		rest, ok := strings.CutPrefix(key, id+"-")
		if !ok {
			continue
		}
		for _, src := range []event.Source{polled(id, rest), {Account: id, Push: strings.TrimPrefix(rest, "push-")}} {
			if rawObject(src) == object {
				return src, true
			}
		}
	}
	return event.Source{}, false
}

// polled reads the folder, UIDVALIDITY and UID of an account's mail; what does
// not make sense gives a source of another name.
func polled(account, rest string) event.Source {
	words := strings.Split(rest, "-")
	if len(words) < 3 {
		return event.Source{}
	}
	uid, _ := strconv.ParseUint(words[len(words)-1], 10, 32)
	validity, _ := strconv.ParseUint(words[len(words)-2], 10, 32)
	return event.Source{Account: account, Folder: strings.Join(words[:len(words)-2], "-"), UIDValidity: uint32(validity), UID: uint32(uid)}
}

// reparse parses the raw mail without storing its files: only their hashes.
func (r *Remail) reparse(ctx context.Context, t *again) error {
	return r.read(ctx, t, func(p email.Part, content io.Reader) error {
		h := sha256.New()
		n, err := io.Copy(h, content)
		t.files = append(t.files, Attachment{Name: p.Name, Type: p.Type, ContentID: p.ContentID, Inline: p.Disposition == "inline", Size: n, Object: partObject(t.Object, p.Index)})
		t.hashes = append(t.hashes, hex.EncodeToString(h.Sum(nil)))
		return err
	})
}

func (r *Remail) read(ctx context.Context, t *again, save func(email.Part, io.Reader) error) error {
	raw, err := r.Archive.Open(ctx, t.Object)
	if errors.Is(err, fs.ErrNotExist) {
		return notFound("mail", t.Object)
	}
	if err != nil {
		return err
	}
	defer raw.Close()
	t.mail, err = email.Parse(raw, "", r.Limits, save)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	if session.HasToken(t.mail.Subject) && t.keys == nil {
		t.keys, err = subjectKeys(ctx, r.Secrets, t.cat)
	}
	return err
}

// apply carries out what the comparison found.
func (r *Remail) apply(ctx context.Context, t *again) error {
	if t.known == nil {
		return r.process(ctx, t)
	}
	if t.stored == nil || len(t.changed) == 0 {
		return nil
	}
	if err := r.store(ctx, t); err != nil {
		return err
	}
	fault.Step(ctx, "replay.stored")
	return r.Docs.Update(ctx, func(ctx context.Context, tx Tx) error {
		m, err := get[Mail](ctx, tx, mailPath(t.id))
		if err != nil {
			return err
		}
		if m == nil || m.Session == "" || m.State != Stored || m.Retention == Purging || m.Retention == Purged {
			return conflict("its content was deleted meanwhile")
		}
		held, err := isHeld(ctx, tx, m.Session)
		if err != nil {
			return err
		}
		if held {
			return conflict("session %s is held, and stays as it is", m.Session)
		}
		tx.Patch(messagePath(m.Session, t.id), t.changed)
		return nil
	})
}

// process has a mail processed that never was, after which it is in quarantine
// no more.
func (r *Remail) process(ctx context.Context, t *again) error {
	e := t.Received
	e.Size = t.mail.Bytes
	if err := r.receive(ctx, e); err != nil {
		return err
	}
	if err := r.Docs.Write(ctx, func(tx Tx) { tx.Delete(quarantinePath(e.Key())) }); err != nil {
		return err
	}
	m, err := get[Mail](ctx, r.Docs, mailPath(t.id))
	if err == nil && m != nil {
		t.session = m.Session
	}
	return err
}

// store puts files with another content into the archive, under names of their
// own, because names are written once.
func (r *Remail) store(ctx context.Context, t *again) error {
	if len(t.fresh) == 0 {
		return nil
	}
	i := -1
	return r.read(ctx, t, func(p email.Part, content io.Reader) error {
		i++
		if !slices.Contains(t.fresh, i) {
			return nil
		}
		return r.Archive.Put(ctx, t.files[i].Object, p.Type, content)
	})
}
