package suite_test

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
)

// Accounts: what admins see and say of them, and what comes in by them.
func specAccounts(t *testing.T) {
	dir := t.TempDir()
	w := siteIn(t, dir, func(s *channel.Seed) { extra(s, "spare") })
	relay := newRelay(t)
	w.row("AC-1", accountList)
	w.row("AC-2", func(w *world) { accountForm(w, relay, dir) })
	w.row("AC-3", func(w *world) { accountLogin(w, relay) })
	w.row("AC-4", outboundOnly)
	w.row("AC-5", func(w *world) {
		w.refused(http.StatusConflict, "admin", "DELETE", "/v1/accounts/hilfe", nil, "queue hilfe (Hilfe)")
		w.refused(http.StatusConflict, "admin", "DELETE", "/v1/accounts/no-answer", nil, "auto-response of queue support (Support)", "auto-response of queue hilfe (Hilfe)")
		for _, q := range []string{"support", "hilfe"} {
			w.queue(q, func(m map[string]any) { delete(in(m, "response"), "account") })
		}
		w.done("admin", "DELETE", "/v1/accounts/no-answer", nil)
		w.refused(http.StatusNotFound, "admin", "GET", "/v1/accounts/no-answer", nil)
	})
	w.row("AC-6", incremental)
	w.row("AC-7", quarantine)
	w.row("ST-3 raw mail", rawArchive)
}

func account(w *world, id string) channel.Account {
	w.t.Helper()
	return look[channel.Account](w, "/v1/accounts/"+id)
}

func accountList(w *world) {
	all := list[channel.Account](w, "/v1/accounts")
	if len(all) != 5 {
		w.t.Fatalf("%d accounts", len(all))
	}
	for _, a := range all {
		w.check(a.User == a.Address && strings.HasSuffix(a.Address, "@example.com") && a.Service == "imap" && a.Status.Valid && !a.Status.LastSuccess.IsZero(), "%+v", a)
	}
	// A server that refuses shows: invalid, with what it says and the last success.
	before := account(w, "support")
	w.fault(`{"fail":"imap","op":"login"}`)
	w.elapse(20 * time.Minute)
	bad := account(w, "support")
	w.check(!bad.Status.Valid && strings.Contains(bad.Status.Error, "switched off by a fault"), "%+v", bad.Status)
	w.check(!bad.Status.LastSuccess.Before(before.Status.LastSuccess) && bad.Status.LastSuccess.Before(w.now().Add(-19*time.Minute)), "last success %s", bad.Status.LastSuccess)
	w.heal()
	w.advance(20 * time.Minute)
	good := account(w, "support")
	w.check(good.Status.Valid && good.Status.Error == "" && good.Status.LastSuccess.After(bad.Status.LastSuccess), "%+v", good.Status)
	// Edit and delete.
	w.done("admin", "PUT", "/v1/accounts/edit", w.form("edit", nil))
	w.done("admin", "PUT", "/v1/accounts/edit", w.form("edit", func(m map[string]any) { m["address"] = "edited@example.com"; delete(m, "password") }))
	w.check(account(w, "edit").Address == "edited@example.com" && account(w, "edit").Status.Valid, "%+v", account(w, "edit"))
	w.done("admin", "DELETE", "/v1/accounts/edit", nil)
	w.refused(http.StatusNotFound, "admin", "GET", "/v1/accounts/edit", nil)
}

// form is an account as an admin fills it in.
func (w *world) form(id string, change func(map[string]any)) map[string]any {
	m := map[string]any{"service": "imap", "user": id + "@example.com", "address": id + "@example.com", "password": "demo", "incoming": w.at(w.Addrs.IMAP), "outgoing": w.at(w.Addrs.SMTP)}
	if change != nil {
		change(m)
	}
	return m
}

func accountForm(w *world, relay *relay, dir string) {
	const path = "/v1/accounts/form"
	for field, change := range map[string]func(map[string]any){
		"service":           func(m map[string]any) { m["service"] = "pop3" },
		"user":              func(m map[string]any) { m["user"] = "" },
		"address":           func(m map[string]any) { m["address"] = "no address" },
		"password":          func(m map[string]any) { m["password"] = "" },
		"incoming.host":     func(m map[string]any) { in(m, "incoming")["host"] = "" },
		"incoming.port":     func(m map[string]any) { in(m, "incoming")["port"] = 70000 },
		"outgoing.security": func(m map[string]any) { in(m, "outgoing")["security"] = "odd" },
	} {
		w.refused(http.StatusUnprocessableEntity, "admin", "PUT", path, w.form("form", change), `"`+field+`"`)
	}
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", path, w.form("form", func(m map[string]any) { m["address"] = "support@example.com" }), "support has it already")
	w.refused(http.StatusForbidden, "supervisor", "PUT", path, w.form("form", nil))
	w.refused(http.StatusForbidden, "agent", "GET", path, nil)

	// The protection is demanded: the suite's certificate is nobody's that is trusted.
	for _, security := range []string{"starttls", "tls"} {
		a := decoded[channel.Account](w, w.done("admin", "PUT", path, w.form("form", func(m map[string]any) { in(m, "incoming")["security"] = security })))
		w.check(!a.Status.Valid && a.Status.Error != "", "%s: %+v", security, a.Status)
	}

	// The password is in Secret Manager and nowhere else.
	const password = "correct-horse-battery-staple"
	a := w.done("admin", "PUT", path, w.form("form", func(m map[string]any) {
		m["password"], m["outgoing"], m["outbound_only"] = password, w.at(relay.addr), true
	}))
	w.check(decoded[channel.Account](w, a).Status.Valid, "%s", a.body)
	for _, path := range []string{path, "/v1/accounts"} {
		a := w.ask("admin", "GET", path, nil)
		w.check(!bytes.Contains(a.body, []byte(password)) && !bytes.Contains(a.body, []byte("secret")), "GET %s tells a secret: %s", path, a.body)
	}
	found := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(raw, []byte(password)) && !bytes.Contains(raw, []byte(base64.StdEncoding.EncodeToString([]byte(password)))) {
			return err
		}
		info, err := d.Info()
		found = true
		if rel, _ := filepath.Rel(dir, path); !strings.HasPrefix(rel, "secrets") || err == nil && info.Mode().Perm() != 0o600 {
			w.t.Errorf("the password is in %s, %s", rel, info.Mode())
		}
		return err
	})
	w.check(err == nil && found, "the password is not among the secrets: %v", err)
}

func accountLogin(w *world, relay *relay) {
	const path = "/v1/accounts/login"
	status := func(change func(map[string]any)) channel.AccountStatus {
		w.t.Helper()
		return decoded[channel.Account](w, w.done("admin", "PUT", path, w.form("login", change))).Status
	}
	st := status(func(m map[string]any) { m["password"] = "wrong" })
	w.check(!st.Valid && strings.Contains(st.Error, "NO [AUTHENTICATIONFAILED]") && strings.Contains(st.Error, "AUTH: 535"), "both servers refuse: %+v", st)
	relay.refuse("auth", 535, smtp.EnhancedCode{5, 7, 8}, "Locked since Monday, call 4711")
	st = status(func(m map[string]any) { m["password"], m["outgoing"] = "demo", w.at(relay.addr) })
	w.check(!st.Valid && strings.Contains(st.Error, "535 5.7.8 Locked since Monday, call 4711"), "the sender server's answer: %+v", st)
	relay.set(nil)
	st = decoded[channel.Account](w, w.done("admin", "POST", path+"/verify", nil)).Status
	w.check(st.Valid && st.Error == "", "%+v", st)

	// The schedule repeats it, for the sender server of an account without a queue as well.
	relay.refuse("auth", 535, smtp.EnhancedCode{5, 7, 8}, "Password expired")
	w.advance(25 * time.Hour)
	st = account(w, "login").Status
	w.check(!st.Valid && strings.Contains(st.Error, "535 5.7.8 Password expired"), "a day later: %+v", st)
	// Others go on.
	w.begin("others@customer.example", "support@example.com")
	w.check(account(w, "support").Status.Valid, "%+v", account(w, "support").Status)
	relay.set(nil)
	w.advance(25 * time.Hour)
	st = account(w, "login").Status
	w.check(st.Valid, "healed: %+v", st)
	w.done("admin", "DELETE", path, nil)
}

func outboundOnly(w *world) {
	p := w.write(post{from: "robot-fan@customer.example", to: "robot@example.com"})
	w.advance(10 * time.Minute)
	w.untouched("robot@example.com", 1)
	w.check(len(w.sessions("robot-fan@customer.example")) == 0, "mail %s came in", p.id)
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/queues/q", map[string]any{"name": "Q", "language": "en", "on": true, "accounts": []string{"no-answer"}, "hours": map[string]any{"zone": "UTC"}}, "outbound only")
	w.refused(http.StatusUnprocessableEntity, "admin", "PUT", "/v1/accounts/support", w.form("support", func(m map[string]any) { m["outbound_only"] = true }), "queue support (Support)")
	for _, q := range []string{"support", "hilfe"} {
		w.queue(q, func(m map[string]any) { in(m, "response")["account"] = "no-answer" })
	}
	for _, to := range []string{"support@example.com", "hilfe@example.com"} {
		from := "ac4-" + to[:4] + "@customer.example"
		w.begin(from, to)
		autos := w.autos(from)
		w.check(len(autos) == 1 && strings.Contains(autos[0].head.Get("From"), "<robot@example.com>"), "%s got %v", from, autos)
	}
}

// incremental: only the UID under its UIDVALIDITY tells what is new.
func incremental(w *world) {
	const box = "spare@example.com"
	seen := w.write(post{from: "seen@customer.example", to: box})
	gone := w.write(post{from: "gone@customer.example", to: box})
	old := post{from: "old@customer.example", to: box, subject: "Old", id: "old@customer.example", text: "Old."}
	w.put(box, "INBOX", old.raw(w.now()), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}, Time: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)})
	w.imap(box, func(c *imapclient.Client) error {
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			return err
		}
		if err := c.Store(imap.UIDSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(); err != nil {
			return err
		}
		if err := c.Store(imap.UIDSetNum(2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
			return err
		}
		return c.Expunge().Close() // shifts the sequence numbers
	})
	w.done("admin", "PUT", "/v1/queues/spare", map[string]any{"name": "Spare", "language": "en", "on": true, "accounts": []string{"spare"}, "hours": map[string]any{"zone": "UTC"}})
	w.inForce()
	w.advance(2 * time.Minute)
	s := w.one("seen@customer.example")
	w.one("old@customer.example")
	w.check(len(w.sessions(gone.from)) == 0, "an expunged mail came in")

	// Archived before anything parses it.
	w.freeze(true)
	w.fault(`{"deliver":"mail-received.ingest","delay":"1h","times":1}`)
	raw := w.mail(post{from: "raw@customer.example", to: box})
	var held []object
	w.eventually("an object of the archive", func() bool { held = w.objects("raw/spare-"); return len(held) == 3 })
	w.check(bytes.Contains(w.content(held[2].Name), []byte("Message-ID: <"+raw.id+">")), "%s is another mail", held[2].Name)
	w.check(len(w.sessions(raw.from)) == 0, "parsed already")
	w.freeze(false)
	w.advance(time.Hour)
	w.one(raw.from)

	// The server makes all UIDs void: everything comes again, and nothing of it counts.
	if err := w.Mail.BumpUIDValidity(box, "INBOX"); err != nil {
		w.t.Fatal(err)
	}
	next := w.write(post{from: "seen@customer.example", to: box, re: []string{seen.id}})
	w.advance(2 * time.Minute)
	w.check(len(w.objects("raw/spare-")) == 7, "%d objects: no rescan", len(w.objects("raw/spare-")))
	for addr, n := range map[string]int{"seen@customer.example": 2, "old@customer.example": 1, "raw@customer.example": 1} {
		s := w.one(addr)
		w.check(s.Messages == n, "%s has %d messages, not %d", addr, s.Messages, n)
	}
	w.check(w.messages(s.ID)[len(w.messages(s.ID))-1].MessageID == next.id, "the new mail is not there")
	w.check(len(w.autos("raw@customer.example")) == 0, "answered: the queue has no auto-response") // nor by the rescan
	w.check(w.rejected() == 0, "there are mails in quarantine")
}

func (w *world) rejected() int {
	w.t.Helper()
	return len(list[channel.Quarantined](w, "/v1/quarantine"))
}

// quarantine: one bad mail blocks no mailbox.
func quarantine(w *world) {
	const box = "support@example.com"
	only := func(reason string) channel.Quarantined {
		w.t.Helper()
		all := list[channel.Quarantined](w, "/v1/quarantine")
		if len(all) != 1 || !strings.Contains(all[0].Reason, reason) {
			w.t.Fatalf("in quarantine, not one with %q: %+v", reason, all)
		}
		return all[0]
	}
	// Bad for good: it stays one, however often it is retried.
	before := w.write(post{from: "before@customer.example", to: box})
	w.put(box, "INBOX", []byte("\r\n\r\n"), nil)
	after := w.write(post{from: "after@customer.example", to: box})
	w.advance(2 * time.Minute)
	w.one(before.from)
	w.one(after.from)
	q := only("empty mail")
	w.check(slices.ContainsFunc(w.objects("raw/support-"), func(o object) bool { return o.Name == q.Event.Object }), "%s is not in the archive", q.Event.Object)
	w.do("admin", "POST", "/v1/quarantine/"+q.ID+"/retry", nil)
	only("empty mail")
	w.refused(http.StatusForbidden, "supervisor", "POST", "/v1/quarantine/"+q.ID+"/retry", nil)
	w.refused(http.StatusForbidden, "agent", "GET", "/v1/quarantine", nil)

	// Bad for a while: after a bounded number of tries it waits for somebody.
	w.fault(`{"deliver":"mail-received.ingest","delay":"30m","times":1}`)
	had := len(w.objects("raw/hilfe-"))
	late := w.mail(post{from: "late@customer.example", to: "hilfe@example.com"})
	w.eventually("an object of the archive", func() bool { return len(w.objects("raw/hilfe-")) == had+1 })
	lost := w.objects("raw/hilfe-")[had].Name
	raw := w.content(lost)
	w.storage("DELETE", "/storage/v1/b/"+suite.Bucket+"/o/"+url.PathEscape(lost), nil)
	w.elapse(40 * time.Minute)
	w.advance(40 * time.Minute)
	all := list[channel.Quarantined](w, "/v1/quarantine")
	i := slices.IndexFunc(all, func(q channel.Quarantined) bool { return q.Event.Account == "hilfe" })
	if i < 0 {
		w.t.Fatalf("in quarantine: %+v", all)
	}
	w.check(all[i].Tries <= 10 && strings.Contains(all[i].Reason, lost), "%+v", all[i])
	w.storage("POST", "/upload/storage/v1/b/"+suite.Bucket+"/o?uploadType=media&name="+url.QueryEscape(lost), raw)
	w.do("admin", "POST", "/v1/quarantine/"+all[i].ID+"/retry", nil)
	w.one(late.from)
	w.check(len(w.autos(late.from)) == 1, "%d auto-responses", len(w.autos(late.from)))
	only("empty mail")

	// Not to be had from the server: the cursor passes it in the end, and a
	// retry fetches it again.
	w.fault(`{"fail":"imap","op":"literal","drop":true}`)
	torn := w.mail(post{from: "torn@customer.example", to: "billing@example.com", text: strings.Repeat("Torn. ", 2000)})
	w.eventually("a mail in quarantine", func() bool {
		w.elapse(time.Minute)
		return w.rejected() == 2
	})
	w.heal()
	w.advance(31 * time.Minute) // failed polls come less often
	next := w.write(post{from: "next@customer.example", to: "billing@example.com"})
	w.one(next.from)
	w.check(len(w.sessions(torn.from)) == 0, "the cursor did not pass it")
	all = list[channel.Quarantined](w, "/v1/quarantine")
	i = slices.IndexFunc(all, func(q channel.Quarantined) bool { return q.Event.Account == "billing" })
	w.check(i >= 0 && strings.Contains(all[i].Reason, "cannot be fetched"), "%+v", all)
	w.do("admin", "POST", "/v1/quarantine/"+all[i].ID+"/retry", nil)
	w.advance(2 * time.Minute)
	w.one(torn.from)
	only("empty mail")
}

// rawArchive: the mail as it came, written once.
func rawArchive(w *world) {
	prefix := "raw/support-"
	have := len(w.objects(prefix))
	w.fault(`{"kill":"poll.published","times":2}`) // before the cursor: it is fetched again
	p := w.mail(post{from: "archive@customer.example", to: "support@example.com", text: "Grüße, 你好.\r\n.\r\nEnd"})
	w.eventually("an object of the archive", func() bool { return len(w.objects(prefix)) > have })
	w.elapse(5 * time.Minute) // the lease of the poll that ended
	w.elapse(5 * time.Minute)
	w.idle()
	w.heal()
	s := w.one(p.from)
	objects := w.objects(prefix)
	if len(objects) != have+1 {
		w.t.Fatalf("%d objects more, not 1", len(objects)-have)
	}
	box := w.box("support@example.com")
	o := objects[slices.IndexFunc(objects, func(o object) bool { return bytes.Contains(w.content(o.Name), []byte(p.id)) })]
	w.check(bytes.Equal(w.content(o.Name), box[len(box)-1].raw), "%s is not what is on the server", o.Name)
	w.check(o.ContentType == "message/rfc822" && o.Metageneration == "1", "%+v", o)
	m := w.first(s.ID)
	w.check(m.Raw == o.Name, "the message points to %s, not %s", m.Raw, o.Name)
	raw := w.ask("agent", "GET", "/v1/sessions/"+s.ID+"/messages/"+m.ID+"/raw", nil)
	w.check(bytes.Equal(raw.body, box[len(box)-1].raw), "the API gives another mail")

	// Whoever fetches it once more writes nothing.
	before := w.objects(prefix)
	w.fault(`{"deliver":"*","duplicate":2,"times":20}`)
	w.write(post{from: p.from, to: p.to, re: []string{p.id}})
	w.heal()
	after := w.objects(prefix)
	w.check(len(after) == len(before)+1, "%d objects more, not 1", len(after)-len(before))
	for _, o := range before {
		w.check(slices.Contains(after, o), "%s was written again", o.Name)
	}
}
