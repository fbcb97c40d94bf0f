package channel

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/session"
	"emailchannel.dev/emailchannel/shared/thread"
)

// The secret of the subject tokens (CH-2) is a line of base64 per key, the one
// that signs first. A key that was replaced stays for as long as mail with its
// tokens may come back.
const subjectKeyName = "subject-token-key"

// newSubjectKey makes the content of the secret.
func newSubjectKey() string {
	var key [32]byte
	rand.Read(key[:]) // never fails: https://pkg.go.dev/crypto/rand#Read
	return base64.StdEncoding.EncodeToString(key[:])
}

// subjectKeys reads the keys; there are none while CH-2 has never been on.
func subjectKeys(ctx context.Context, secrets Secrets, cat *Catalog) ([][]byte, error) {
	if cat.SubjectKey == "" {
		return nil, nil
	}
	lines, err := secrets.Get(ctx, cat.SubjectKey)
	if err != nil {
		return nil, fmt.Errorf("keys of the subject tokens: %w", err)
	}
	var keys [][]byte
	for i, line := range strings.Fields(lines) {
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(key) < 16 {
			return nil, fmt.Errorf("secret %s: line %d is not the base64 of a key of at least 16 bytes", cat.SubjectKey, i+1)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// mark puts the session's token behind the subject of an agent's first reply.
func (d *Desk) mark(ctx context.Context, cat *Catalog, s *Session, subject string) (string, error) {
	if !cat.SubjectToken || !s.AnsweredAt.IsZero() {
		return subject, nil
	}
	keys, err := subjectKeys(ctx, d.Secrets, cat)
	if err != nil || len(keys) == 0 { // no key: the toggle was not switched on by an admin, who would have one
		return subject, err
	}
	return subject + " " + session.Token(s.ID, keys[0]), nil
}

// byToken decides for a mail without known ancestors by the token in its
// subject. One that may not be used is refused: the mail begins a session of
// its own, and the attempt is logged and part of its history (CH-5).
func (a *arrival) byToken(ctx context.Context, tx Tx, k *known, d thread.Decision) (thread.Decision, error) {
	id, ok, tampered := session.FindToken(a.mail.Subject, a.keys)
	if !ok {
		if tampered {
			a.refused = "a signature that is not ours"
		}
		return a.withRefusal(d), nil
	}
	s, err := k.find(ctx, tx, id)
	if err != nil {
		return d, err
	}
	if s == nil {
		a.refused = "a session that does not exist any more"
		return a.withRefusal(d), nil
	}
	part := thread.Session{ID: s.ID, Participants: s.Participants}
	served := slices.Contains(a.cat.ByQueue[s.Queue].Accounts, a.Account)
	if a.refused = thread.RefuseToken(thread.Mail{Sender: a.sender()}, part, served, a.forged); a.refused != "" {
		return a.withRefusal(d), nil
	}
	return thread.Decision{Rule: thread.RuleToken, Join: s.ID, By: "token"}, nil
}

func (a *arrival) withRefusal(d thread.Decision) thread.Decision {
	if a.refused != "" && d.Rule == thread.RuleNew {
		d.Rule, d.By = thread.RuleTokenRefused, "token"
	}
	return d
}

// logRefusal tells of a token that was refused, after the commit.
func (a *arrival) logRefusal(ctx context.Context) {
	if a.refused != "" {
		slog.WarnContext(ctx, "subject token refused", "account", a.Account, "mail", email.Fingerprint(a.mail.MessageID), "reason", a.refused)
	}
}
