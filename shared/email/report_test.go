package email

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const bounceHead = "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.org\nTo: support@example.net\nSubject: failure notice\n"

// statusMail is a delivery status notification with these per-recipient blocks and this text.
func statusMail(text string, blocks ...string) string {
	return bounceHead + "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\n" + text +
		"\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\n" + strings.Join(blocks, "\n") +
		"\n--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <ours@example.net>\n\n--b--\n"
}

func TestBounceRecipients(t *testing.T) {
	const noUser = "550 5.1.1 no such user"
	tests := []struct {
		name, raw string
		want      []Recipient
	}{
		{"two recipients", statusMail("", "Final-Recipient: rfc822; a@example.com\nAction: delayed\nStatus: 4.4.1\n",
			"Final-Recipient: rfc822; b@example.com\nAction: Failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; "+noUser+"\n"),
			[]Recipient{{Address: "a@example.com", Action: "delayed", Status: "4.4.1"},
				{Address: "b@example.com", Action: "failed", Status: "5.1.1", DiagnosticCode: noUser, Hard: true}}},
		{"forwarded", statusMail("", "Original-Recipient: rfc822; ann+2Btag@example.com\nFinal-Recipient: rfc822; <ann@other.example>\nAction: failed\nStatus: 5.2.2\n"),
			[]Recipient{{Address: "ann+tag@example.com", Final: "ann@other.example", Action: "failed", Status: "5.2.2"}}},
		{"the same one twice", statusMail("", "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n", "Final-Recipient: rfc822; A@Example.com\nAction: delayed\n"),
			[]Recipient{{Address: "a@example.com", Action: "failed", Status: "5.1.1", Hard: true}}},
		{"words beside the status", statusMail("<a@example.com>: host mx said: 552 5.2.2 mailbox full\n\n<b@example.com>: host mx said: "+noUser+"\n",
			"Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.0.0\n", "Final-Recipient: rfc822; b@example.com\nAction: failed\nStatus: 5.0.0\n"),
			[]Recipient{{Address: "a@example.com", Action: "failed", Status: "5.2.2", DiagnosticCode: "<a@example.com>: host mx said: 552 5.2.2 mailbox full"},
				{Address: "b@example.com", Action: "failed", Status: "5.1.1", DiagnosticCode: "<b@example.com>: host mx said: " + noUser, Hard: true}}},
		{"a pipe", strings.Replace(statusMail("", "Final-Recipient: rfc822;|/bin/x a@example.com\nAction: failed\nStatus: 5.0.0\n"), "Subject", "X-Failed-Recipients: a@example.com\nSubject", 1),
			[]Recipient{{Address: "a@example.com", Action: "failed", Status: "5.0.0"}}},
		{"Google", bounceHead + "X-Failed-Recipients: a@example.com, b@example.com\n\nDelivery to the following recipients failed permanently",
			[]Recipient{{Address: "a@example.com", Action: "failed"}, {Address: "b@example.com", Action: "failed"}}},
		{"qmail", bounceHead + "\nHi. This is the qmail-send program at example.org.\n\n<a@example.com>:\n192.0.2.1 does not like recipient.\nRemote host said: " + noUser +
			"\n\n<b@example.com>:\nRemote host said: 452 4.2.2 over quota\n\n--- Below this line is a copy of the message.\n\nTo: <c@example.com>\n<d@example.com>:\n",
			[]Recipient{{Address: "a@example.com", Action: "failed", Status: "5.1.1", DiagnosticCode: "Remote host said: " + noUser, Hard: true},
				{Address: "b@example.com", Action: "failed", Status: "4.2.2", DiagnosticCode: "Remote host said: 452 4.2.2 over quota"}}},
		{"Exim", bounceHead + "\nA message that you sent could not be delivered\n\n  a@example.com\n    SMTP error after RCPT TO:<a@example.com>:\n    host mx [192.0.2.1]: 550 <a@example.com>:\n    User unknown\n",
			[]Recipient{{Address: "a@example.com", Action: "failed", DiagnosticCode: "host mx [192.0.2.1]: 550 <a@example.com>: User unknown", Hard: true}}},
		{"our own address is nobody's failure", bounceHead + "\nYour message to support@example.net\nwas not delivered.\nsupport@example.net\n\ncontact postmaster@example.org or a@example.com\n",
			[]Recipient{{Address: "a@example.com", Action: "failed"}}},
		{"no address", bounceHead + "\nSorry.\n", []Recipient{{Action: "failed"}}},
		{"delivered by SES", "From: SES <no-reply@sns.amazonaws.com>\nSubject: AWS Notification Message\n\n" + `{"notificationType":"Delivery","mail":{"headers":[{"name":"Message-ID","value":"<ours@exa!` +
			"\n " + `mple.net>"}]},"delivery":{"recipients":["a@example.com"],"smtpResponse":"250 2.6.0 ok"}}`,
			[]Recipient{{Address: "a@example.com", Action: "delivered", Status: "2.6.0", DiagnosticCode: "250 2.6.0 ok"}}},
		{"the sender's address is refused", statusMail("", "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.8\nDiagnostic-Code: smtp; 550 5.1.8 sender domain does not exist\n"),
			[]Recipient{{Address: "a@example.com", Action: "failed", Status: "5.1.8", DiagnosticCode: "550 5.1.8 sender domain does not exist"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parseString(t, tt.raw)
			if m.Class != ClassBounce {
				t.Fatalf("class %s (%s)", m.Class, m.ClassReason)
			}
			if diff := cmp.Diff(tt.want, m.Report.Recipients); diff != "" {
				t.Errorf("-want +have:\n%s", diff)
			}
			if strings.Contains(tt.raw, "<ours@exa") && m.Report.OriginalMessageID != "ours@example.net" {
				t.Errorf("original %q", m.Report.OriginalMessageID)
			}
		})
	}
}

func TestBounceIsOfTheFirstThatFailed(t *testing.T) {
	r := parseString(t, statusMail("", "Final-Recipient: rfc822; a@example.com\nAction: relayed\nStatus: 2.1.9\n",
		"Final-Recipient: rfc822; b@example.com\nAction: failed\nStatus: 5.1.1\n", "Final-Recipient: rfc822; c@example.com\nAction: failed\nStatus: 5.2.2\n")).Report
	if r.Recipient != "b@example.com" || r.Status != "5.1.1" || !r.Hard || len(r.Recipients) != 3 {
		t.Errorf("%+v", r)
	}
}

func TestBounceIsBounded(t *testing.T) {
	var blocks, text strings.Builder
	for i := range 1000 {
		blocks.WriteString("Final-Recipient: rfc822; a" + itoa(i) + "@example.com\nAction: failed\n\n")
		text.WriteString("<a" + itoa(i) + "@example.com>:\n")
	}
	for _, raw := range []string{statusMail("", blocks.String()), bounceHead + "\nThis is the qmail-send program\n" + text.String()} {
		if n := len(parseString(t, raw).Report.Recipients); n != maxRecipients {
			t.Errorf("%d recipients", n)
		}
	}
}

func TestVERP(t *testing.T) {
	for _, tt := range []struct{ id, account, want string }{
		{"01jq7", "help@example.net", "help+bounce.01jq7@example.net"},
		{"a-b.c", "help@Example.NET.", "help+bounce.a-b.c@example.net"},
		{"x", "help+de@bücher.example", "help+de+bounce.x@xn--bcher-kva.example"},
		{"", "help@example.net", ""}, {"x", "", ""}, {"x", "example.net", ""}, {"x", "@example.net", ""}, {"x", "a@b@c", ""}, {"x", "a@\r\nb", ""},
		{"UPPER", "help@example.net", ""}, {"a b", "help@example.net", ""}, {"a@b", "help@example.net", ""}, {".a", "help@example.net", ""}, {"a..b", "help@example.net", ""},
		{strings.Repeat("x", 52), "help@example.net", "help+bounce." + strings.Repeat("x", 52) + "@example.net"},
		{strings.Repeat("x", 53), "help@example.net", ""},
	} {
		have := VERP(tt.id, tt.account)
		if have != tt.want {
			t.Errorf("VERP(%q, %q) = %q, want %q", tt.id, tt.account, have, tt.want)
		}
		if have == "" {
			continue
		}
		id, account, ok := ParseVERP("<" + strings.ToUpper(have) + ">")
		if !ok || id != tt.id || VERP(id, account) != have {
			t.Errorf("ParseVERP(%q) = %q %q %v", have, id, account, ok)
		}
	}
	for _, s := range []string{"", "bounce@example.net", "+bounce.x@example.net", "help+bounce.@example.net", "help+bounce.x", "help+bounce.x@", "help+x@example.net", "help+bounce.x@a@b", "help+bounce.a=b@example.net"} {
		if id, account, ok := ParseVERP(s); ok {
			t.Errorf("ParseVERP(%q) = %q %q", s, id, account)
		}
	}
}

func TestReturnID(t *testing.T) {
	for _, key := range []string{"To", "Delivered-To", "X-Original-To", "Envelope-To"} {
		m := parseString(t, key+": <help+bounce.01jq7@example.net>\nFrom: MAILER-DAEMON@example.org\nSubject: failure notice\n\nx")
		if m.Report == nil || m.Report.ReturnID != "01jq7" {
			t.Errorf("%s: %+v", key, m.Report)
		}
	}
}
