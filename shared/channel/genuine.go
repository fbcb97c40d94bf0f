package channel

import (
	"context"
	"fmt"

	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/fault"
)

// authenticate finds out how far the author's domain is proven: by what the
// account's own servers wrote, or else by the mail's signatures, which takes a
// second look at the raw mail.
func (r *Receive) authenticate(ctx context.Context, e event.Received, m *email.Mail, a Account) (email.Authentication, error) {
	auth := m.Authentication(a.AuthServers)
	if auth.Source != "" || !m.Signed || r.LookupTXT == nil {
		return auth, nil
	}
	raw, err := r.Archive.Open(ctx, e.Object)
	if err != nil {
		return auth, fmt.Errorf("open %s: %w", e.Object, err)
	}
	defer raw.Close()
	list, err := email.VerifyDKIM(raw, func(domain string) ([]string, error) { return r.LookupTXT(ctx, domain) })
	if err != nil {
		return auth, fmt.Errorf("verify the signatures of %s: %w", e.Object, err)
	}
	return email.AuthenticationFromDKIM(list, m.AuthorDomain()), nil
}

// forged tells whether the results speak against the author: DMARC failed, or
// nobody asked for that and SPF failed without a signature that holds.
func forged(a email.Authentication) bool {
	switch a.DMARC {
	case email.AuthFail:
		return true
	case "", email.AuthNone:
		return a.SPF == email.AuthFail && a.DKIM != email.AuthPass
	}
	return false
}

// held is the error that sends a forged mail into quarantine, where the queue
// wants that and nobody has let it pass.
func (a *arrival) held() error {
	q, ok := a.cat.QueueOf(a.Account)
	if !ok || q.Forged != ForgedQuarantine || !a.forged || a.Passed {
		return nil
	}
	return fault.Permanentf("the sender's address failed authentication: %s", proof(a.auth))
}

// proof is the result in a line.
func proof(a email.Authentication) string {
	return fmt.Sprintf("SPF %s, DKIM %s, DMARC %s by %s", stated(a.SPF), stated(a.DKIM), stated(a.DMARC), a.Source)
}

func stated(r email.AuthResult) email.AuthResult {
	if r == "" {
		return "not stated"
	}
	return r
}
