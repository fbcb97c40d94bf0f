package suite_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/suite/suitetest"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
)

// How mail comes in and goes out beyond the first rows of accounts.
func specMail(t *testing.T) {
	w := site(t, nil)
	w.row("AC-8", reconciled)
	w.row("AC-9", pushed)
	w.row("CH-2 CH-4 CH-5", subjectTokens)
	w.row("AG-3 DKIM", signed)
}

// push posts a mail to the hook as a provider does.
func (w *world) push(account, key string, at time.Time, raw []byte) int {
	w.t.Helper()
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), raw)
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", "http://"+w.Addrs.HTTP+"/hook/mail/"+account, bytes.NewReader(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Emailchannel-Time", fmt.Sprint(at.Unix()))
	req.Header.Set("Emailchannel-Signature", "v1="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func pushed(w *world) {
	const key = "a push key of enough bytes"
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/accounts/billing", w.form("billing", func(m map[string]any) { m["push_key"] = "short" }), "push_key")
	a := w.done("admin", "PUT", "/v1/accounts/billing", w.form("billing", func(m map[string]any) { m["push_key"] = key }))
	w.check(!bytes.Contains(a.body, []byte(key)), "the answer tells the key: %s", a.body)
	w.inForce()
	raw := []byte("From: <pushed@customer.example>\r\nTo: billing@example.com\r\nSubject: Pushed\r\nMessage-ID: <pushed@customer.example>\r\n\r\nHello.\r\n")
	for want, try := range map[int]func() int{
		http.StatusUnauthorized: func() int { return w.push("billing", "another key, long enough", w.now(), raw) },
		http.StatusNotFound:     func() int { return w.push("nobody", key, w.now(), raw) },
	} {
		w.check(try() == want, "not refused with %d", want)
	}
	w.check(w.push("billing", key, w.now().Add(-time.Hour), raw) == http.StatusUnauthorized, "an old request was taken")
	w.idle()
	w.check(len(w.sessions("pushed@customer.example")) == 0, "a refused mail made a session")
	at := w.now()
	for range 2 { // the second is the provider's retry after a lost answer
		w.check(w.push("billing", key, at, raw) == http.StatusAccepted, "not taken")
	}
	w.smtp("pushed@customer.example", []string{"billing@example.com"}, raw) // and by IMAP as well
	w.idle()
	s := w.one("pushed@customer.example")
	w.check(s.Queue == "billing" && s.Messages == 1 && len(w.autos("pushed@customer.example")) == 1, "%+v, %d answers", s, len(w.autos("pushed@customer.example")))
}

func subjectTokens(w *world) {
	w.settings(func(m map[string]any) { m["subject_token"] = true })
	m := look[map[string]any](w, "/v1/settings")
	m["subject_edit"] = true
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/settings", m, "subject_token and subject_edit exclude each other")

	s, _ := w.begin("token@customer.example", support)
	first, second := w.reply(s.ID, "Which one?"), w.reply(s.ID, "And when?")
	i := strings.Index(first.Message.Subject, "[#"+s.ID+"-")
	w.check(i > 0 && !strings.Contains(second.Message.Subject, "[#"), "subjects %q, %q", first.Message.Subject, second.Message.Subject)
	token := first.Message.Subject[i:]

	// A program that drops References and In-Reply-To: the token alone threads.
	w.write(post{from: "token@customer.example", to: support, subject: "Re: " + token})
	w.check(w.one("token@customer.example").Messages == 4, "%+v", w.one("token@customer.example"))
	// Who takes no part, and what came in on another queue's account, does not join.
	w.write(post{from: "thief@customer.example", to: support, subject: "Re: " + token})
	w.check(w.one("thief@customer.example").ID != s.ID, "a stranger joined")
	w.write(post{from: "token@customer.example", to: "hilfe@example.com", subject: "Re: " + token})
	w.check(len(w.sessions("token@customer.example")) == 2, "another queue's account let it join")
	w.settings(func(m map[string]any) { m["subject_token"] = false })
	// What is under way still finds its session.
	w.write(post{from: "token@customer.example", to: support, subject: "Re: Re: " + token})
	w.check(w.session(s.ID).Messages == 5, "%+v", w.session(s.ID))
}

func signed(w *world) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		w.t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		w.t.Fatal(err)
	}
	form := func(domain, key string) map[string]any {
		return w.form("support", func(m map[string]any) {
			m["dkim"], m["dkim_key"] = map[string]any{"domain": domain, "selector": "s1"}, key
		})
	}
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/accounts/support", form("elsewhere.example", private), "dkim.domain")
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/accounts/support", form("example.com", "no key"), "dkim_key")
	w.done("admin", "PUT", "/v1/accounts/support", form("example.com", private))
	w.inForce()
	s, _ := w.begin("signed@customer.example", support)
	w.reply(s.ID, "Grüße, and a line of its own.")
	got := w.box("signed@customer.example")
	w.check(len(got) == 2, "%d mails", len(got))
	for _, m := range got {
		list, err := email.VerifyDKIM(bytes.NewReader(m.raw), func(name string) ([]string, error) {
			w.check(name == "s1._domainkey.example.com", "asked for %s", name)
			return []string{"v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)}, nil
		})
		w.check(err == nil && len(list) == 1 && list[0].Result == email.AuthPass && list[0].Domain == "example.com", "%+v, %v", list, err)
	}
}

func reconciled(w *world) {
	const path = "/v1/accounts/support/reconciliations"
	for i := range 3 {
		w.write(post{from: fmt.Sprintf("rec%d@customer.example", i), to: support})
	}
	w.do("admin", "POST", "/v1/accounts/support/reconcile", nil)
	all := list[channel.Reconciliation](w, path)
	if len(all) != 1 {
		w.t.Fatalf("%+v", all)
	}
	r := all[0]
	w.check(r.Folder == "INBOX" && r.OnServer == len(w.box(support)) && r.OnServer == r.Before+r.Known+r.Quarantined && r.Repaired == 0, "%+v", r)
	w.refused(http.StatusNotFound, "admin", "POST", "/v1/accounts/nobody/reconcile", nil)
}

// An account on IDLE has its mail taken while the poll waits: the suite's own
// poll on delivery cannot have the account meanwhile.
func specIdle(t *testing.T) {
	w := site(t, nil)
	w.done("admin", "PUT", "/v1/accounts/support", w.form("support", func(m map[string]any) { m["idle"] = true }))
	w.inForce()
	w.done("admin", "POST", "/v1/accounts/support/reconcile", nil) // a poll, for which the clock does not wait
	waits := func() (holder string) {
		suitetest.All(w.t, w.Suite, channel.Query{Collection: "leases"}, func(id string, l channel.Lease) {
			if id == "poll-support" {
				holder = l.Holder
			}
		})
		return holder
	}
	w.eventually("a poll that waits", func() bool {
		holder := waits()
		time.Sleep(time.Second) // others are done in a moment
		return holder != "" && waits() == holder
	})
	for i := range 3 {
		from := fmt.Sprintf("idle%d@customer.example", i)
		w.mail(post{from: from, to: support})
		w.eventually("a session", func() bool { return len(w.sessions(from)) == 1 })
	}
}
