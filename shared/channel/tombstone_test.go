package channel_test

import (
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
)

// A mail whose content was deleted is known when it comes again, by another UID
// after a change of UIDVALIDITY or by the same one; what poll archives of it
// again goes at the next sweep.
func TestDeletedMailIsNotImportedAgain(t *testing.T) {
	for name, remove := range map[string]func(d *desks){
		"erased": func(d *desks) { d.erase(cleoAddress) },
		"purged": func(d *desks) {
			d.keepFor(channel.Days30)
			d.pass(40 * day)
			d.run(d.purge())
			d.keepFor(channel.Unlimited)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesks(t)
			id := d.receives(cleo)
			remove(d)
			other := cleo
			other.uid = 99
			for _, m := range []mail{cleo, other} {
				if s := d.receives(m); s != id {
					t.Errorf("UID %d came into session %s, was in %s", m.uid, s, id)
				}
			}
			if p, err := d.read.Sessions(t.Context(), sam, channel.Filter{}, channel.PageRequest{}); err != nil || len(p.Items) != 1 || p.Items[0].Messages != 1 {
				t.Errorf("sessions: %+v, %v", p, err)
			}
			d.run(d.purge())
			if m := d.message(id, cleo.fingerprint()); m.Text != "" || len(d.archive.names("")) != 0 {
				t.Errorf("back again: %+v, %q", m, d.archive.names(""))
			}
		})
	}
}

// Another mail under the Message-ID of an erased one is not swallowed.
func TestErasedMessageIDUsedAgain(t *testing.T) {
	d := newDesks(t)
	id := d.receives(cleo)
	d.erase(cleoAddress)
	raw := cleo
	raw.uid, raw.date = 3, "Tue, 3 Mar 2026 09:00:00 +0000"
	if err := d.receiver().Handle(t.Context(), d.archived(raw), 1); err != nil {
		t.Fatal(err)
	}
	if p, err := d.read.Sessions(t.Context(), sam, channel.Filter{}, channel.PageRequest{}); err != nil || len(p.Items) != 2 {
		t.Errorf("beside session %s: %+v, %v", id, p, err)
	}
}

// A hold goes with the messages when a merge moves them.
func TestMergeTakesTheHoldAlong(t *testing.T) {
	d := newDesks(t)
	first := d.receives(cleo)
	parent := cleo
	parent.id, parent.uid, parent.inReplyTo = "3@customer.example", 3, cleo.id
	early := cleo
	early.id, early.uid, early.inReplyTo = "4@customer.example", 4, parent.id
	second := d.receives(early)
	if second == first {
		t.Fatal("one session")
	}
	d.ok(d.desk.Hold(t.Context(), sam, second, "lawsuit"))
	d.receives(parent)
	if s := d.session(second); s.MergedInto != first || s.Hold != nil {
		t.Fatalf("the merged session: %+v", s)
	}
	if s := d.session(first); s.Hold == nil || s.State != session.Unopened {
		t.Errorf("the session that it went into: %+v", s)
	}
	d.keepFor(channel.Days30)
	d.pass(40 * day)
	d.run(d.purge())
	if d.message(first, early.fingerprint()).Text == "" {
		t.Error("purged in spite of the hold")
	}
}
