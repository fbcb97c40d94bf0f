package channel_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
	"emailchannel.dev/emailchannel/shared/session"
	"emailchannel.dev/emailchannel/shared/thread"
)

// CH-2 and CH-5: the first reply carries a token; whoever brings it back joins
// by it alone only with our signature, on an account of the queue, and as one
// who takes part.
func TestSubjectToken(t *testing.T) {
	d := newDesks(t)
	keys := [][]byte{[]byte("the key that signs today!"), []byte("the one of last year....")}
	d.secrets.values["subject-key"] = base64.StdEncoding.EncodeToString(keys[0]) + "\n" + base64.StdEncoding.EncodeToString(keys[1])
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		tx.Patch("settings/channel", map[string]any{"subject_token": true, "subject_key": "subject-key", "version": channel.Inc(1)})
	}); err != nil {
		t.Fatal(err)
	}
	d.desk.Config = channel.NewConfiguration(d.docs)
	id := d.inbound("support")
	first, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "1", Text: "Which lamp?"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "RE: Broken lamp " + session.Token(id, keys[0]); first.Message.Subject != want {
		t.Errorf("first reply %q, want %q", first.Message.Subject, want)
	}
	second, err := d.desk.Reply(t.Context(), ana, id, channel.Words{Key: "2", Text: "And when?"})
	if err != nil || second.Message.Subject != "RE: Broken lamp" {
		t.Fatalf("second reply %q, %v", second.Message.Subject, err)
	}
	token, old := session.Token(id, keys[0]), session.Token(id, keys[1])
	forged := strings.Replace(token, token[len(token)-3:], "00]", 1)
	for i, c := range []struct {
		name, account, from, subject string
		rule                         thread.Rule
		joins                        bool
		refused                      string
	}{
		{"participant", "support", "cleo@customer.example", "Re: Broken lamp " + token, thread.RuleToken, true, ""},
		{"folded and upper case", "support", "cleo@customer.example", "AW: Broken lamp [# " + strings.ToLower(token[2:]), thread.RuleToken, true, ""},
		{"key before the last", "support", "cleo@customer.example", "Re: " + old, thread.RuleToken, true, ""},
		{"stranger", "support", "eve@elsewhere.example", "Re: Broken lamp " + token, thread.RuleTokenRefused, false, "takes no part"},
		{"other queue's account", "billing", "cleo@customer.example", "Re: Broken lamp " + token, thread.RuleTokenRefused, false, "not served by this account"},
		{"forged signature", "support", "cleo@customer.example", "Re: Broken lamp " + forged, thread.RuleTokenRefused, false, "signature that is not ours"},
		{"no token", "support", "cleo@customer.example", "Re: Broken lamp [#4711]", thread.RuleNew, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			mid := fmt.Sprintf("t%d@customer.example", i)
			e := d.mail(c.account, fmt.Sprintf("From: <%s>\r\nTo: %s@example.com\r\nSubject: %s\r\nMessage-ID: <%s>\r\n\r\nHello.\r\n", c.from, c.account, c.subject, mid))
			if err := d.receive(d.archive).Handle(t.Context(), e, 1); err != nil {
				t.Fatal(err)
			}
			m := doc[channel.Mail](d, "mails/"+email.Fingerprint(mid))
			if m.Rule != string(c.rule) || (m.Session == id) != c.joins {
				t.Errorf("rule %s, joins %t; want %s, %t", m.Rule, m.Session == id, c.rule, c.joins)
			}
			h := doc[channel.History](d, "sessions/"+m.Session+"/history/"+m.Event)
			told := slices.ContainsFunc(h.Inputs, func(in string) bool {
				return strings.HasPrefix(in, "token:") && strings.Contains(in, c.refused)
			})
			if told != (c.refused != "") {
				t.Errorf("inputs %q, want %q", h.Inputs, c.refused)
			}
		})
	}
}
