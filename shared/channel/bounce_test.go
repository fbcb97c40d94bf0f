package channel_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/event"
	"emailchannel.dev/emailchannel/shared/session"
)

// dsn is a delivery status notification (RFC 3464) about a mail.
func dsn(id, to, action, status, original string) string {
	return fmt.Sprintf("From: MAILER-DAEMON@relay.example\r\nTo: %s\r\nSubject: Undelivered Mail\r\nMessage-ID: <%s@relay.example>\r\nAuto-Submitted: auto-replied\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"+
		"Reporting-MTA: dns; relay.example\r\n\r\nFinal-Recipient: rfc822; cleo@customer.example\r\nAction: %s\r\nStatus: %s\r\nDiagnostic-Code: smtp; 550 no such user\r\n"+
		"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n%sSubject: RE: Broken lamp\r\n--b--\r\n", to, id, action, status, original)
}

// A report finds the mail of ours that it is about, however little it says, and
// makes no session of its own.
func TestReportFindsItsMail(t *testing.T) {
	for _, c := range []struct {
		name     string
		to       func(o channel.Outbound) string
		original func(o channel.Outbound) string
		action   string
		found    bool
		bounced  bool
	}{
		{"by the Message-ID", account, func(o channel.Outbound) string {
			return "Message-ID: <" + email.NewMessageID(o.ID, "example.com") + ">\r\n"
		}, "failed", true, true},
		{"by the return path", func(o channel.Outbound) string { return email.VERP(o.ID, "support@example.com") }, func(channel.Outbound) string { return "Message-ID: <other@elsewhere.example>\r\n" }, "failed", true, true},
		{"by our own header field", account, func(o channel.Outbound) string {
			return "Message-ID: <renamed@provider.example>\r\nX-Emailchannel-Id: " + o.ID + "\r\n"
		}, "failed", true, true},
		{"by the recipient", account, nothing, "failed", true, true},
		{"about another's mail", account, func(channel.Outbound) string { return "Message-ID: <other@elsewhere.example>\r\n" }, "failed", false, false},
		{"delayed", account, nothing, "delayed", true, false},
		{"delivered", account, nothing, "delivered", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesks(t)
			server := &relay{answers: list(fails(channel.ErrUncertain))}
			send, id := d.sending(server, &sentBox{}, func(a *channel.Account) { a.VERP = true })
			if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
				t.Fatal(err)
			}
			o := doc[channel.Outbound](d, "outbound/"+id)
			raw := dsn("r1", c.to(o), c.action, "5.1.1", c.original(o))
			for range 2 { // the second delivery changes nothing
				if err := d.receive(d.archive).Handle(t.Context(), d.mail("support", raw), 1); err != nil {
					t.Fatal(err)
				}
			}
			if p, err := d.read.Sessions(t.Context(), sam, channel.Filter{}, channel.PageRequest{}); err != nil || len(p.Items) != 1 {
				t.Fatalf("%d sessions, %v", len(p.Items), err)
			}
			m := doc[channel.Mail](d, "mails/"+email.Fingerprint("r1@relay.example"))
			if found := m.Session == o.Session; found != c.found {
				t.Fatalf("%+v", m)
			}
			after := doc[channel.Outbound](d, "outbound/"+id)
			if accepted := after.State == channel.Accepted; accepted != c.found {
				t.Errorf("state %s", after.State)
			}
			r := after.Results["cleo@customer.example"]
			if c.bounced != (after.Bounced != "" && r.State == channel.Rejected && r.Status == "5.1.1") {
				t.Errorf("bounced %q, result %+v", after.Bounced, r)
			}
			if told := slices.Contains(d.kinds(o.Session), session.KindBounced); told != c.bounced {
				t.Errorf("the agent is told: %t", told)
			}
			if sent := doc[channel.Message](d, "sessions/"+o.Session+"/messages/"+o.Message); (sent.Bounced != "") != c.bounced {
				t.Errorf("message says %q", sent.Bounced)
			}
		})
	}
}

// A complaint says what it is: the mail did arrive.
func TestComplaint(t *testing.T) {
	d := newDesks(t)
	send, id := d.sending(&relay{answers: list(took)}, &sentBox{}, func(*channel.Account) {})
	if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
		t.Fatal(err)
	}
	o := doc[channel.Outbound](d, "outbound/"+id)
	raw := "From: feedback@isp.example\r\nTo: support@example.com\r\nMessage-ID: <f1@isp.example>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: X/1\r\nVersion: 1\r\n\r\n" +
		"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <" + email.NewMessageID(o.ID, "example.com") + ">\r\n\r\nhi\r\n--b--\r\n"
	if err := d.receive(d.archive).Handle(t.Context(), d.mail("support", raw), 1); err != nil {
		t.Fatal(err)
	}
	h := doc[channel.History](d, "sessions/"+o.Session+"/history/received-"+email.Fingerprint("f1@isp.example"))
	if h.Kind != session.KindBounced || h.Note != "complaint: abuse" {
		t.Errorf("the agent is told: %s %q", h.Kind, h.Note)
	}
	if after := doc[channel.Outbound](d, "outbound/"+id); after.Bounced != "" || after.State != channel.Accepted {
		t.Errorf("state %s, bounced %q", after.State, after.Bounced)
	}
}

// A server on the way writes the recipient as it likes.
func TestReportInAnotherCase(t *testing.T) {
	d := newDesks(t)
	send, id := d.sending(&relay{answers: list(took)}, &sentBox{}, func(*channel.Account) {})
	if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
		t.Fatal(err)
	}
	o := doc[channel.Outbound](d, "outbound/"+id)
	raw := strings.Replace(dsn("r1", account(o), "failed", "5.1.1", "Message-ID: <"+email.NewMessageID(o.ID, "example.com")+">\r\n"), "cleo@customer.example", "Cleo@CUSTOMER.example", 1)
	if err := d.receive(d.archive).Handle(t.Context(), d.mail("support", raw), 1); err != nil {
		t.Fatal(err)
	}
	if r := doc[channel.Outbound](d, "outbound/"+id).Results; len(r) != 1 || r["cleo@customer.example"].State != channel.Rejected {
		t.Errorf("%+v", r)
	}
}

// Who is in To and in Cc gets the mail once.
func TestRecipientTwice(t *testing.T) {
	d := newDesks(t)
	sent, err := d.desk.Start(t.Context(), ana, "support", channel.Words{Key: "s", Text: "hello", Subject: "x",
		To: []email.Address{{Addr: "eva@customer.example"}}, Cc: []email.Address{{Addr: "Eva@Customer.example"}, {Addr: "cleo@customer.example"}}})
	if err != nil || !slices.Equal(sent.Outbound.To, []string{"eva@customer.example", "cleo@customer.example"}) || len(sent.Message.Cc) != 2 {
		t.Errorf("%+v, %v", sent, err)
	}
}

// A domain in another script goes to the server in ASCII, which each takes.
func TestRecipientInAnotherScript(t *testing.T) {
	d := newDesks(t)
	sent, err := d.desk.Start(t.Context(), ana, "support", channel.Words{Key: "s", Text: "hello", Subject: "x", To: []email.Address{{Addr: "Eva@Bücher.example"}}})
	if err != nil || !slices.Equal(sent.Outbound.To, []string{"Eva@xn--bcher-kva.example"}) {
		t.Errorf("%+v, %v", sent, err)
	}
}

// A report about a mail whose session is not there any more has nobody to tell,
// and makes no session of its own.
func TestReportWithoutASession(t *testing.T) {
	d := newDesks(t)
	send, id := d.sending(&relay{answers: list(took)}, &sentBox{}, func(*channel.Account) {})
	if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
		t.Fatal(err)
	}
	o := doc[channel.Outbound](d, "outbound/"+id)
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) { tx.Delete("sessions/" + o.Session) }); err != nil {
		t.Fatal(err)
	}
	if err := d.receive(d.archive).Handle(t.Context(), d.mail("support", dsn("r1", "support@example.com", "failed", "5.1.1", "")), 1); err != nil {
		t.Fatal(err)
	}
	if m := doc[channel.Mail](d, "mails/"+email.Fingerprint("r1@relay.example")); m.State != channel.Suppressed || m.Session != "" {
		t.Errorf("%+v", m)
	}
}

// Mail that only reads like a report and is about no mail of ours may be a person's: it is shown, and not answered.
func TestPostmasterAsks(t *testing.T) {
	d := newDesks(t)
	for i, raw := range []string{
		"From: Pia <postmaster@shop.example>\r\nTo: support@example.com\r\nSubject: Delivery problem with order 17\r\nMessage-ID: <q@shop.example>\r\n\r\nIt could not be delivered.\r\n",
		"From: Pia <postmaster@shop.example>\r\nTo: support@example.com\r\nSubject: Delivery problem with order 17\r\nMessage-ID: <q2@shop.example>\r\nIn-Reply-To: <q@shop.example>\r\n\r\nAny news?\r\n",
	} {
		if err := d.receive(d.archive).Handle(t.Context(), d.mail("support", raw), 1); err != nil {
			t.Fatal(err)
		}
		p, err := d.read.Sessions(t.Context(), sam, channel.Filter{}, channel.PageRequest{})
		if err != nil || len(p.Items) != 1 || p.Items[0].Messages != i+1 {
			t.Fatalf("mail %d: %+v, %v", i+1, p.Items, err)
		}
		id := email.Fingerprint([]string{"q@shop.example", "q2@shop.example"}[i])
		if m := doc[channel.Message](d, "sessions/"+p.Items[0].ID+"/messages/"+id); i == 0 && m.NoAnswer == "" || m.Bounced != "" {
			t.Errorf("%+v", m)
		}
	}
}

func account(channel.Outbound) string { return "support@example.com" }
func nothing(channel.Outbound) string { return "" }

// What a queue does with mail whose author failed authentication, and only
// where a server that we trust says so.
func TestForgedMail(t *testing.T) {
	const fail = "Authentication-Results: mx.example.com; spf=fail smtp.mailfrom=evil.example; dmarc=fail header.from=customer.example\r\n"
	const pass = "Authentication-Results: mx.example.com; dkim=pass header.d=customer.example; dmarc=pass header.from=customer.example\r\n"
	const other = "Authentication-Results: mx.elsewhere.example; dmarc=fail header.from=customer.example\r\n"
	for _, c := range []struct {
		name, field string
		rule        channel.Forged
		quarantined bool
		noAnswer    bool
		dmarc       email.AuthResult
	}{
		{"accept", fail, channel.ForgedAccept, false, false, email.AuthFail},
		{"mark", fail, channel.ForgedMark, false, true, email.AuthFail},
		{"quarantine", fail, channel.ForgedQuarantine, true, false, email.AuthFail},
		{"proven", pass, channel.ForgedQuarantine, false, false, email.AuthPass},
		{"said by a stranger", other, channel.ForgedQuarantine, false, false, ""},
		{"nothing said", "", channel.ForgedQuarantine, false, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesks(t)
			if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
				tx.Patch("queues/support", map[string]any{"forged": c.rule})
				tx.Patch("accounts/support", map[string]any{"auth_servers": []string{"mx.example.com"}})
				tx.Patch("settings/channel", map[string]any{"version": channel.Inc(1)})
			}); err != nil {
				t.Fatal(err)
			}
			d.desk.Config = channel.NewConfiguration(d.docs)
			e := d.mail("support", c.field+"From: Cleo <cleo@customer.example>\r\nTo: support@example.com\r\nSubject: Lamp\r\nMessage-ID: <f@customer.example>\r\n\r\nIt broke.\r\n")
			if err := d.receive(d.archive).Handle(t.Context(), e, 1); err != nil {
				t.Fatal(err)
			}
			q := d.quarantine()
			if (len(q) == 1) != c.quarantined {
				t.Fatalf("quarantine %+v", q)
			}
			if c.quarantined {
				if !strings.Contains(q[0].Reason, "DMARC fail by mx.example.com") {
					t.Errorf("reason %q", q[0].Reason)
				}
				if err := d.admin.RetryQuarantined(t.Context(), q[0].ID); err != nil {
					t.Fatal(err)
				}
				var again event.Received
				read(t, d.bus.sent[event.TopicReceived][0], &again)
				if err := d.receive(d.archive).Handle(t.Context(), again, 1); err != nil || len(d.quarantine()) != 0 {
					t.Fatalf("does not pass: %v", err)
				}
			}
			m := doc[channel.Mail](d, "mails/"+email.Fingerprint("f@customer.example"))
			msg := doc[channel.Message](d, "sessions/"+m.Session+"/messages/"+email.Fingerprint("f@customer.example"))
			var dmarc email.AuthResult
			if msg.Authentication != nil {
				dmarc = msg.Authentication.DMARC
			}
			if dmarc != c.dmarc || (msg.NoAnswer != "") != c.noAnswer {
				t.Errorf("DMARC %q, no answer because %q", dmarc, msg.NoAnswer)
			}
		})
	}
}

// A reply may name the Message-ID that the provider put in place of ours before
// a report does: it is still the return path that knows our mail.
func TestReportAfterAReplyNamedTheID(t *testing.T) {
	d := newDesks(t)
	send, id := d.sending(&relay{answers: list(took)}, &sentBox{has: map[string]string{}}, func(a *channel.Account) { a.VERP = true })
	if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
		t.Fatal(err)
	}
	first := doc[channel.Mail](d, "mails/"+d.session(doc[channel.Outbound](d, "outbound/"+id).Session).FirstMessage)
	for _, raw := range []string{
		"From: Cleo Customer <cleo@customer.example>\r\nTo: support@example.com\r\nSubject: RE: Broken lamp\r\nMessage-ID: <r@customer.example>\r\nIn-Reply-To: <renamed@provider.example>\r\nReferences: <" + first.MessageID + "> <renamed@provider.example>\r\n\r\nThanks\r\n",
		dsn("r1", email.VERP(id, "support@example.com"), "failed", "5.1.1", "Message-ID: <renamed@provider.example>\r\n"),
	} {
		if err := d.receive(d.archive).Handle(t.Context(), d.mail("support", raw), 1); err != nil {
			t.Fatal(err)
		}
	}
	if o := doc[channel.Outbound](d, "outbound/"+id); o.Bounced == "" {
		t.Errorf("%+v", o)
	}
}

// A report that comes before the sender's own outcome says that the server had
// the mail, and neither Sweep nor the sender takes that back.
func TestReportWhileSending(t *testing.T) {
	for _, dies := range []bool{true, false} {
		d := newDesks(t)
		var report func()
		server := &relay{answers: list(func([]string) (channel.Receipt, error) { report(); return channel.Receipt{}, channel.ErrUncertain })}
		send, id := d.sending(server, &sentBox{has: map[string]string{}}, func(*channel.Account) {})
		report = func() {
			raw := dsn("r1", "support@example.com", "failed", "5.1.1", "Message-ID: <"+email.NewMessageID(id, "example.com")+">\r\n")
			if err := d.receive(d.archive).Handle(t.Context(), d.mail("support", raw), 1); err != nil {
				t.Fatal(err)
			}
		}
		if dies {
			d.set("outbound/"+id, map[string]any{"state": channel.Sending, "due": d.clock().Add(10 * time.Minute)})
			report()
		} else if err := send.Handle(t.Context(), event.Outbound{ID: id}); err != nil {
			t.Fatal(err)
		}
		for range 6 {
			d.swept(send, 25*time.Hour)
		}
		if o := doc[channel.Outbound](d, "outbound/"+id); o.State != channel.Accepted || o.Bounced == "" || o.Results["cleo@customer.example"].State != channel.Rejected {
			t.Errorf("dies %t: %+v", dies, o)
		}
	}
}

// What a participant of the session writes is an answer, whatever it reads like.
func TestParticipantTellsOfADelivery(t *testing.T) {
	d := newDesks(t)
	mail := func(id, answers, body string) {
		t.Helper()
		raw := "From: System Administrator <it@customer.example>\r\nTo: support@example.com\r\nSubject: Broken lamp\r\nMessage-ID: <" + id + "@customer.example>\r\n" + answers + "\r\n" + body + "\r\n"
		if err := d.receive(d.archive).Handle(t.Context(), d.mail("support", raw), 1); err != nil {
			t.Fatal(err)
		}
	}
	mail("q", "", "It broke.")
	id := doc[channel.Mail](d, "mails/"+email.Fingerprint("q@customer.example")).Session
	got, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "k", Text: "A new one is on its way."})
	if err != nil {
		t.Fatal(err)
	}
	d.set("sessions/"+id, map[string]any{"state": session.Resolved})
	mail("q2", "In-Reply-To: <"+got.Message.MessageID+">\r\n", "The parcel could not be delivered to our address. Please send it again.")
	m := doc[channel.Message](d, "sessions/"+id+"/messages/"+email.Fingerprint("q2@customer.example"))
	if s := d.session(id); s.State != session.Reopened || m.Class != email.ClassBounce || m.Bounced != "" {
		t.Errorf("session %s, message %+v", s.State, m)
	}
}
