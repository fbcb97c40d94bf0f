package mailbox

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
)

// hide takes the secrets out of an error at logging in. Some servers repeat the command that they refuse, and their answer is
// stored, shown and logged.
func (l Login) hide(s Server, err error) error {
	if err == nil {
		return nil
	}
	forms := l.spoken(s)
	var imap *Refusal
	if errors.As(err, &imap) {
		imap.Answer = without(forms, imap.Answer)
	}
	var smtp *ServerError
	if errors.As(err, &smtp) {
		smtp.Message = without(forms, smtp.Message)
	}
	// What is left is the reason of a challenge, or an answer that could not be read.
	if text := without(forms, err.Error()); text != err.Error() {
		return &hidden{text, err}
	}
	return err
}

// hidden is an error with a text that has no secrets.
type hidden struct {
	text string
	err  error
}

func (h *hidden) Error() string { return h.text }
func (h *hidden) Unwrap() error { return h.err }

// spoken has the secrets in all forms in which a server can hear them, the longest first: one may be within another.
func (l Login) spoken(s Server) []string {
	var forms []string
	for _, secret := range []string{l.Password, l.Token} {
		if secret == "" {
			continue
		}
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(secret) // RFC 9051 §4.3
		forms = append(forms, secret, quoted)
		choices, _ := mechanisms(l, s)
		for _, m := range choices {
			for _, answer := range m.answers {
				if bytes.Contains(answer, []byte(secret)) {
					forms = append(forms, base64.RawStdEncoding.EncodeToString(answer))
				}
			}
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return forms
}

func without(forms []string, text string) string {
	for _, form := range forms {
		text = strings.ReplaceAll(text, form, "…")
	}
	return text
}
