package channel_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/crm"
)

// A comment that comes after the storage period says so, rather than nothing.
func TestTheTicketIsToldOfDeletedContent(t *testing.T) {
	d := newDesks(t)
	settings := doc[channel.Settings](d, "settings/channel")
	settings.CRM.Kind, settings.CRM.Seconds, settings.Record = "zendesk", 1, crm.Default()
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) { tx.Set("settings/channel", settings) }); err != nil {
		t.Fatal(err)
	}
	d.keepFor(channel.Days30)
	id := d.receives(cleo)
	d.pass(31 * day)
	late := cleo
	late.id, late.uid, late.inReplyTo, late.text = "2@customer.example", 2, cleo.id, "Any news?"
	if s := d.receives(late); s != id {
		t.Fatalf("session %s, not %s", s, id)
	}
	d.run(d.purge())
	now := d.clock()
	if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		tx.Set("records/"+id, channel.CRMRecord{Session: id, CRM: "zendesk", Ticket: "77"})
		tx.Set("crmops/op1", channel.Operation{ID: "op1", Record: id, Kind: crm.Comment, State: channel.OpPending, Due: now, At: now})
	}); err != nil {
		t.Fatal(err)
	}
	told := &ledger{}
	flush := channel.Flush{Docs: d.docs, Bus: d.bus, Config: d.fresh(), Now: d.clock, Connect: func(context.Context, channel.CRMSettings) (channel.CRM, error) { return told, nil }}
	d.pass(time.Minute)
	if err := flush.Handle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(told.changed) != 2 {
		t.Fatalf("told: %+v", told.changed)
	}
	for i, want := range []string{"[The content was deleted", "Any news?"} {
		if body := told.changed[i].Body; !strings.Contains(body, want) || !strings.Contains(body, "Subject: Broken lamp") {
			t.Errorf("comment %d: %q", i, body)
		}
	}
}

// A tick waits for operations that are there or fall due meanwhile, and then
// connects to the CRM; for nothing else.
func TestATickWithoutOperationsDoesNotWait(t *testing.T) {
	for name, c := range map[string]struct {
		due   time.Duration
		state channel.OpState
		waits bool
	}{
		"one is due":        {-time.Minute, channel.OpPending, true},
		"one falls due":     {500 * time.Millisecond, channel.OpPending, true},
		"one is due later":  {time.Minute, channel.OpPending, false},
		"one is parked":     {-time.Minute, channel.OpParked, false},
		"there is none yet": {},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesks(t)
			settings := doc[channel.Settings](d, "settings/channel")
			settings.CRM.Kind, settings.CRM.Seconds = "zendesk", 1
			now := d.clock()
			if err := d.docs.Write(t.Context(), func(tx channel.Tx) {
				tx.Set("settings/channel", settings)
				if c.state != "" {
					tx.Set("crmops/op1", channel.Operation{ID: "op1", Record: "s", Kind: crm.Comment, State: c.state, Due: now.Add(c.due), At: now})
				}
			}); err != nil {
				t.Fatal(err)
			}
			connected := false
			flush := channel.Flush{Docs: d.docs, Bus: d.bus, Config: d.fresh(), Now: d.clock, Connect: func(context.Context, channel.CRMSettings) (channel.CRM, error) {
				connected = true
				return &ledger{}, nil
			}}
			if err := flush.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			if connected != c.waits {
				t.Errorf("waited, and connected to the CRM: %t", connected)
			}
		})
	}
}
