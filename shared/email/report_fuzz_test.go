package email

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzReport(f *testing.F) {
	for _, s := range [][2]string{
		{"<a@example.com>: host said: 550 5.1.1 no such user", "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1"},
		{"  a@example.com\n    host: 550 <a@example.com>:\n    User unknown", "Original-Recipient: rfc822;a+2Bb@c\nFinal-Recipient: x;|/bin/y"},
		{`{"notificationType":"Bounce","bounce":{"bouncedRecipients":[{"emailAddress":"a@b"}]}}`, "Status: 2.0.0\n\n\nAction: delayed"},
		{"Recipient address: a@b.example\n> Message-ID: <x@y>\n--- Below this line is a copy", ":\n;\nFinal-Recipient:;<>"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, text, status string) {
		for _, raw := range []string{statusMail(text, status), bounceHead + "\n" + text, "From: x@sns.amazonaws.com\nX-Amz-Sns-Message-Id: 1\nSubject: failure notice\n\n" + text} {
			m := parseString(t, raw)
			checkMail(t, "", m)
			if m.Class != ClassBounce {
				continue
			}
			checkReport(t, m.Report)
		}
	})
}

// checkReport holds for every bounce.
func checkReport(t *testing.T, r *Report) {
	t.Helper()
	if n := len(r.Recipients); n == 0 || n > maxRecipients {
		t.Fatalf("%d recipients", n)
	}
	chosen := false
	for _, c := range r.Recipients {
		for _, s := range []string{c.Address, c.Final, c.Action, c.Status, c.DiagnosticCode} {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00") {
				t.Fatalf("%q in %+v", s, c)
			}
		}
		if c.Hard && (c.Action == "delayed" || strings.HasPrefix(c.Status, "4.") || strings.HasPrefix(c.Status, "2.")) {
			t.Fatalf("hard although it is not: %+v", c)
		}
		chosen = chosen || c.Address == r.Recipient && c.Status == r.Status && c.Hard == r.Hard
	}
	if !chosen {
		t.Fatalf("%+v is none of its recipients", r)
	}
}
