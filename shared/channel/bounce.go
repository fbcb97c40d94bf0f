package channel

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/email"
)

// bouncesFor is how long after a mail a report that names nothing but a
// recipient is taken to be about it: servers give up after five days.
const bouncesFor = 10 * 24 * time.Hour

// recallOriginal finds the mail of ours that a report is about: by the
// Message-ID that it quotes, by the return path that it came to, or else, for a
// bounce, as the last mail from this account to one of its recipients.
func (a *arrival) recallOriginal(ctx context.Context, tx Tx, k *known) error {
	r := a.mail.Report
	if !a.report() || r == nil {
		return nil
	}
	id := r.ReturnID
	if m := k.mails[r.OriginalMessageID]; m != nil { // which a reply may have named before we knew that it is ours
		id = cmp.Or(m.Outbound, id)
	}
	var err error
	if plainID(id) {
		k.about, err = get[Outbound](ctx, tx, outboundPath(id))
	}
	if err == nil && k.about == nil && r.OriginalMessageID == "" && a.mail.Class == email.ClassBounce {
		k.about, err = a.lastTo(ctx, tx, r.Recipients)
	}
	if err != nil || k.about == nil {
		return err
	}
	s, err := k.find(ctx, tx, k.about.Session)
	if s == nil {
		k.about = nil // with nothing left that it could be told in
	}
	return err
}

// lastTo is the account's last mail to one of the recipients.
func (a *arrival) lastTo(ctx context.Context, tx Tx, recipients []email.Recipient) (*Outbound, error) {
	for _, rcpt := range recipients[:min(len(recipients), 10)] {
		last, err := find[Outbound](ctx, tx, Query{Collection: "outbound", Limit: 1, Order: []Order{{Field: "created_at", Desc: true}},
			Where: []Where{{"account", "==", a.Account}, {"to", "array-contains", rcpt.Address}, {"created_at", ">", a.now.Add(-bouncesFor)}}})
		if err != nil {
			return nil, err
		}
		if len(last) > 0 {
			return &last[0], nil
		}
	}
	return nil, nil
}

// bounce notes at the mail of ours what a report says became of it. Whatever
// the report says, the server had the mail: it is not uncertain any more.
func (a *arrival) bounce(tx Tx, k known, session string, msg *Message) {
	o := k.about
	if o != nil && a.mail.Class == email.ClassFeedback {
		msg.Bounced = strings.TrimSuffix("complaint: "+a.mail.Report.FeedbackType, ": ")
	}
	if o == nil || a.mail.Class != email.ClassBounce {
		return
	}
	fields := map[string]any{}
	if o.State == Uncertain || o.State == Sending {
		fields["state"], fields["due"], fields["answer"] = Accepted, nil, "a report about it came back"
	}
	var failed []string
	for _, rcpt := range a.mail.Report.Recipients {
		if rcpt.Action != "failed" {
			continue
		}
		failed = append(failed, strings.Join(slices.DeleteFunc([]string{rcpt.Address, rcpt.Status, rcpt.DiagnosticCode}, func(s string) bool { return s == "" }), " "))
		if to, ok := o.recipient(rcpt.Address); ok {
			fields["results"] = o.bounced(to, rcpt)
		}
	}
	if len(failed) > 0 {
		msg.Bounced = fmt.Sprintf("not delivered: %s", strings.Join(failed, "; "))
		fields["bounced"], fields["bounced_at"] = msg.Bounced, a.now
		tx.Patch(messagePath(session, o.Message), map[string]any{"bounced": msg.Bounced})
	}
	if len(fields) > 0 {
		fields["updated_at"] = a.now
		tx.Patch(outboundPath(o.ID), fields)
	}
}

// recipient is the one that a report names, in whatever case servers on the way have put it.
func (o *Outbound) recipient(addr string) (string, bool) {
	for _, to := range o.To {
		if email.Normalize(to) == email.Normalize(addr) {
			return to, true
		}
	}
	return "", false
}

// bounced are the results with that of a recipient whose server gave up later.
func (o *Outbound) bounced(to string, r email.Recipient) map[string]Result {
	if o.Results == nil {
		o.Results = map[string]Result{}
	}
	o.Results[to] = Result{State: Rejected, Status: r.Status, Answer: r.DiagnosticCode}
	return o.Results
}
