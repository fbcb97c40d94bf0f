package email

import (
	"strings"
	"testing"
)

func parseString(tb testing.TB, raw string) *Mail {
	tb.Helper()
	return parseBytes(tb, []byte(raw))
}

func TestClassify(t *testing.T) {
	tests := []struct {
		name, header, body string
		class              Class
		reason             string // a part of it
		suppress           bool
	}{
		{"a person", "From: a@example.com\nSubject: Hello", "text", ClassNormal, "", false},
		{"auto-submitted no", "From: a@example.com\nAuto-Submitted: no", "", ClassNormal, "", false},
		{"auto-replied", "From: a@example.com\nAuto-Submitted: auto-replied; owner-email=\"x\"", "", ClassAuto, "auto-replied", true},
		{"auto-generated", "From: a@example.com\nAUTO-SUBMITTED: Auto-Generated", "", ClassAuto, "auto-generated", true},
		{"x-autoreply", "From: a@example.com\nX-Autoreply: yes", "", ClassAuto, "x-autoreply", true},
		{"x-autorespond", "From: a@example.com\nX-Autorespond: anything", "", ClassAuto, "x-autorespond", true},
		{"precedence auto_reply", "From: a@example.com\nPrecedence: auto_reply", "", ClassAuto, "precedence", true},
		{"precedence bulk alone", "From: a@example.com\nPrecedence: bulk", "", ClassList, "precedence: bulk", true},
		{"precedence list", "From: a@example.com\nPrecedence: list", "", ClassList, "precedence: list", true},
		{"precedence junk", "From: a@example.com\nPrecedence: junk", "", ClassList, "precedence: junk", true},
		{"precedence normal", "From: a@example.com\nPrecedence: normal", "", ClassNormal, "", false},
		{"exchange wants no answer", "From: a@example.com\nX-Auto-Response-Suppress: All", "", ClassNormal, "", true},
		{"exchange asks the same of a reply", "From: a@example.com\nSubject: Re: Lamp\nX-Auto-Response-Suppress: DR, RN, NRN, OOF, AutoReply", "", ClassNormal, "", true},
		{"auto-submitted with a comment", "From: a@example.com\nAuto-Submitted: (RFC 3834) auto-replied", "", ClassAuto, "auto-submitted: auto-replied", true},
		{"auto-submitted no with a comment", "From: a@example.com\nAuto-Submitted: (by hand) no", "", ClassNormal, "", false},
		{"auto-submitted twice", "From: a@example.com\nAuto-Submitted: no\nAuto-Submitted: auto-replied", "", ClassAuto, "auto-replied", true},
		{"x-precedence", "From: a@example.com\nX-Precedence: auto_reply", "", ClassAuto, "x-precedence", true},
		{"preference", "From: a@example.com\nPreference: auto_reply", "", ClassAuto, "preference", true},
		{"x-auto-response", "From: a@example.com\nX-Auto-Response: yes", "", ClassAuto, "x-auto-response", true},
		{"x-autoresponse", "From: a@example.com\nX-AutoResponse-To: <b@example.com>", "", ClassAuto, "x-autoresponse-to", true},
		{"x-autoreply no", "From: a@example.com\nX-Autoreply: no", "", ClassNormal, "", false},
		{"Freemail's message class", "From: a@example.com\nX-POST-MessageClass: 9; Autoresponder", "", ClassAuto, "x-post-messageclass", true},
		{"an autoresponder's mailbox", "From: a@example.com\nDelivered-To: Autoresponder", "", ClassAuto, "delivered-to", true},
		{"noreply in German", "From: keine-antwort@example.de", "", ClassAuto, "sender", true},
		{"Domino", "From: a@example.com\nSubject: AUTO: Ann Doe is out of the office (returning 03/12/2026)", "", ClassAuto, "out of the office", true},
		{"Domino in German", "From: a@example.com\nSubject: AUTO: Ann Doe ist außer Haus (Rückkehr am 12.03.2026)", "", ClassAuto, "außer haus", true},
		{"a car", "From: a@example.com\nSubject: Auto: Reparatur", "", ClassNormal, "", false},
		{"answers one who is away", "From: a@example.com\nSubject: Re: Ann Doe is out of the office", "", ClassNormal, "", false},
		{"exchange wants no out-of-office", "From: a@example.com\nX-Auto-Response-Suppress: DR, OOF", "", ClassNormal, "", true},
		{"exchange wants nothing suppressed", "From: a@example.com\nX-Auto-Response-Suppress: None", "", ClassNormal, "", false},
		{"list-id", "From: a@example.com\nList-Id: <x.example.com>", "", ClassList, "list-id", true},
		{"newsletter from noreply", "From: noreply@example.com\nList-Unsubscribe: <mailto:x@example.com>", "", ClassList, "list-unsubscribe", true},
		{"auto reply through a list", "From: a@example.com\nList-Id: <x>\nAuto-Submitted: auto-replied", "", ClassAuto, "", true},
		{"noreply", "From: Shop <no-reply@example.com>\nSubject: Your order", "", ClassAuto, "sender: no-reply", true},
		{"noreply with a tag", "From: no.reply+17@example.com", "", ClassAuto, "sender", true},
		{"reply-to noreply", "From: a@example.com\nReply-To: donotreply@example.com", "", ClassNormal, "", true},
		{"reply-to without from", "Reply-To: a@example.com\nSender: b@example.com", "", ClassNormal, "", true},
		{"reply-to with a from that is no address", "From: Ann\nReply-To: a@example.com", "", ClassNormal, "", true},
		{"sender's name holds no reply", "From: Nora Reply <nora.reply@example.com>", "", ClassNormal, "", false},
		{"x-loop", "From: a@example.com\nX-Loop: support@example.net", "", ClassNormal, "", true},
		{"null path", "Return-Path: <>\nFrom: a@example.com\nSubject: hm", "", ClassAuto, "null return path", true},
		{"receipt", "From: a@example.com\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b", "", ClassAuto, "disposition-notification", true},
		{"out of office", "From: a@example.com\nSubject: Out of Office: Your question", "", ClassAuto, "out of office", true},
		{"automatic reply", "From: a@example.com\nSubject: Automatic reply: x", "", ClassAuto, "automatic reply", true},
		{"French", "From: a@example.com\nSubject: =?utf-8?q?R=C3=A9ponse_automatique_:_x?=", "", ClassAuto, "réponse automatique", true},
		{"Japanese", "From: a@example.com\nSubject: 自動応答: x", "", ClassAuto, "自動応答", true},
		{"Russian", "From: a@example.com\nSubject: Автоматический ответ: x", "", ClassAuto, "автоматический", true},
		{"answer to an automatic reply", "From: a@example.com\nSubject: Re: Automatic reply: x", "", ClassNormal, "", false},
		{"asks about the office", "From: a@example.com\nSubject: Out of office supplies again", "", ClassNormal, "", false},
		{"postmaster as a person", "From: postmaster@example.com\nSubject: Your question", "Dear Ann", ClassNormal, "", true},
		{"daemon with a subject", "From: MAILER-DAEMON@example.com\nSubject: Undeliverable: x", "", ClassBounce, "undeliverable", true},
		{"daemon without an address", "From: MAILER-DAEMON <>\nSubject: Mail delivery failed", "", ClassBounce, "", true},
		{"failed recipients", "From: a@example.com\nX-Failed-Recipients: b@example.com", "", ClassBounce, "x-failed-recipients", true},
		{"bounce text of a daemon", "From: System Administrator <admin@example.com>\nSubject: x", "Your message did not reach some or all of the intended recipients.", ClassBounce, "did not reach", true},
		{"bounce of a list mail", "From: MAILER-DAEMON@example.com\nSubject: failure notice\nList-Id: <x>", "", ClassBounce, "failure notice", true},
		{"asks about a bounce", "From: a@example.com\nSubject: Re: Undelivered mail", "it says user unknown", ClassNormal, "", false},
		{"forwards a bounce", "From: a@example.com\nSubject: WG: Unzustellbar: x", "user unknown", ClassNormal, "", false},
		{"asks about a parcel", "From: a@example.com\nSubject: Delivery problem with order 17", "My parcel was not delivered to me, DHL says it could not be delivered.", ClassNormal, "", false},
		{"asks about a refund", "From: a@example.com\nSubject: Message rejected by your form", "I paid 550 EUR.", ClassNormal, "", false},
		{"bounce text of a program", "From: no-reply@example.com\nSubject: Mail", "Your mail could not be delivered to b@example.net", ClassBounce, "could not be delivered", true},
		{"talks of a full mailbox", "From: a@example.com\nSubject: Help", "My mailbox is full and I get 550 errors", ClassNormal, "", false},
		{"feedback report", "From: a@example.com\nContent-Type: multipart/report; report-type=feedback-report; boundary=b", "", ClassFeedback, "feedback-report", true},
		{"no sender", "Subject: x", "text", ClassNormal, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parseString(t, tt.header+"\nMessage-ID: <x@example.com>\n\n"+tt.body)
			if m.Class != tt.class || !strings.Contains(m.ClassReason, tt.reason) {
				t.Errorf("%s (%s), want %s (%s)", m.Class, m.ClassReason, tt.class, tt.reason)
			}
			if why, suppress := m.Suppress(); suppress != tt.suppress || suppress == (why == "") {
				t.Errorf("Suppress %v (%s), want %v", suppress, why, tt.suppress)
			}
		})
	}
}

func TestEnvelopeSender(t *testing.T) {
	const raw = "From mbox@example.com Mon Mar  2 10:15:00 2026\nReturn-Path: <field@example.com>\nFrom: a@example.com\n\nx"
	tests := []struct {
		name, envelope, raw, want string
		null                      bool
	}{
		{"SMTP knows it", "smtp@example.com", raw, "smtp@example.com", false},
		{"SMTP says null", "<>", raw, "", true},
		{"the field", "", raw, "field@example.com", false},
		{"the mbox line", "", strings.Replace(raw, "Return-Path", "X-Path", 1), "mbox@example.com", false},
		{"a null field", "", "Return-Path: <>\nFrom: a@example.com\n\nx", "", true},
		{"unknown", "", "From: a@example.com\n\nx", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Parse(strings.NewReader(tt.raw), tt.envelope, Limits{}, nil)
			if err != nil || m.ReturnPath != tt.want || m.ReturnPathEmpty != tt.null {
				t.Errorf("%q %v %v, want %q %v", m.ReturnPath, m.ReturnPathEmpty, err, tt.want, tt.null)
			}
			if _, suppress := m.Suppress(); suppress != tt.null {
				t.Errorf("suppress %v with null %v", suppress, tt.null)
			}
		})
	}
}

func TestReplySubject(t *testing.T) {
	for in, want := range map[string]string{
		"Hello": "RE: Hello", "": "RE:", "  Hello ": "RE: Hello", "Re: x": "Re: x", "RE:x": "RE:x", "AW: x": "AW: x", "Antw: x": "Antw: x",
		"SV: x": "SV: x", "VS: x": "VS: x", "RV: x": "RV: x", "R: x": "R: x", "Odp: x": "Odp: x", "Ynt: x": "Ynt: x", "Re[2]: x": "Re[2]: x",
		"Re(3): x": "Re(3): x", "Re^2: x": "Re^2: x", "回复: x": "回复: x", "回复：x": "回复：x", "답장: x": "답장: x", "Re : x": "Re : x",
		"Fwd: x": "RE: Fwd: x", "Ref: 17": "RE: Ref: 17", "Return: x": "RE: Return: x", "Answer": "RE: Answer", "two\r\nlines": "RE: two  lines",
	} {
		if have := ReplySubject(in); have != want {
			t.Errorf("ReplySubject(%q) = %q, want %q", in, have, want)
		}
		if again := ReplySubject(ReplySubject(in)); again != ReplySubject(in) {
			t.Errorf("%q is doubled: %q", in, again)
		}
	}
}

func TestSplitReply(t *testing.T) {
	tests := []struct{ name, text, fresh string }{
		{"nothing quoted", "Hello\nthere\n", ""},
		{"quote below", "Yes.\n\nOn Mon, Ann <a@example.com> wrote:\n> really?\n", "Yes."},
		{"wrapped attribution", "Yes.\n\nOn Mon, 2 Mar 2026 at 09:00, A Very Long Name\n<a@example.com> wrote:\n\n> really?\n", "Yes."},
		{"answers between the lines", "On Mon, 2 Mar 2026, Ann <a@example.com> wrote:\n> one?\n\nYes.\n\n> two?\n\nNo.\n", ""},
		{"introduction and answers between", "Hi!\n\nOn Mon, 2 Mar 2026, Ann <a@example.com> wrote:\n> one?\n\nYes.\n\n> two?\n\nNo.\n", ""},
		{"only a quote", "> really?\n> yes\n", ""},
		{"quote without attribution", "Yes.\n\n> really?\n> wrapped\nrest\n", "Yes."},
		{"quote and list footer", "Yes.\n\n> really?\n\n_______\nlist mailing list\nlist@example.com\n", "Yes."},
		{"Outlook", "Ja.\n\nVon: Ann <a@example.com>\nGesendet: Montag\nAn: b@example.com\nBetreff: x\n\nWirklich?\n", "Ja."},
		{"Outlook in bold", "Yes.\n\n*From:* Ann <a@example.com>\n*Sent:* Monday\n*To:* b\n*Subject:* x\n\nReally?\n", "Yes."},
		{"from in a sentence", "From: Ann\nis what it says.\nBye\n", ""},
		{"separator", "Oui.\n\n----- Message d'origine -----\nVraiment ?\n", "Oui."},
		{"phone", "Yes.\n\nSent from my iPhone\n\nOn 2 Mar 2026, at 09:00, Ann <a@example.com> wrote:\n\n> really?\n", "Yes."},
		{"Chinese header", "好\n\n发件人: Ann <a@example.com>\n发送时间: 2026年3月2日\n收件人: b\n主题: x\n\n真的吗?\n", "好"},
		{"Gmail in Russian", "Да\n\nпн, 2 мар. 2026 г. в 09:00, Ann <a@example.com>:\n\n> правда?\n", "Да"},
		{"Gmail in Japanese", "はい\n\n2026年3月2日(月) 9:00 Ann <a@example.com>:\n\n> 本当?\n", "はい"},
		{"talks of what someone wrote", "As Ann wrote:\nthis is fine.\n", ""},
		{"a time and an address", "Call me at 12:30, or write to a@example.com:\nI am there.\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fresh, quoted := SplitReply(tt.text)
			if fresh+quoted != tt.text {
				t.Fatalf("text was lost: %q + %q", fresh, quoted)
			}
			want := tt.fresh
			if want == "" {
				want = strings.TrimSpace(tt.text)
			}
			if strings.TrimSpace(fresh) != want {
				t.Errorf("fresh %q, want %q", fresh, want)
			}
		})
	}
}
