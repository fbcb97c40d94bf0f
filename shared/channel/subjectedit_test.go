package channel_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
)

// CH-3: where the subject may be edited, the mail goes out with the new one, the session keeps its ID, and the answer threads.
func TestEditedSubject(t *testing.T) {
	d := newDesks(t)
	id := d.receives(cleo)
	w := channel.Words{Key: "k", Text: "Which lamp?", Subject: "Your order 17"}
	var bad *channel.Invalid
	if _, err := d.desk.Reply(t.Context(), ana, id, w); !errors.As(err, &bad) || bad.Fields[0].Name != "subject" {
		t.Fatalf("OFF: %v", err)
	}
	d.set("settings/channel", map[string]any{"subject_edit": true, "version": channel.Inc(1)})
	d.desk.Config = d.fresh()
	d.pass(time.Minute)
	sent, err := d.desk.Reply(t.Context(), ana, id, w)
	if err != nil || sent.Session.ID != id || sent.Message.Subject != "Your order 17" {
		t.Fatalf("ON: %+v, %v", sent, err)
	}
	if m, err := email.Parse(strings.NewReader(d.content(sent.Outbound.Object)), "", email.DefaultLimits(), nil); err != nil || m.Subject != "Your order 17" {
		t.Errorf("on its way: %v", err)
	}
	answer := cleo
	answer.id, answer.uid, answer.subject, answer.inReplyTo = "2@customer.example", 2, "Re: Your order 17", sent.Message.MessageID
	if got := d.receives(answer); got != id {
		t.Errorf("the answer is in %s, not %s", got, id)
	}
}
