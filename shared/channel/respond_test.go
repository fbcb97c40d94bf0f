package channel_test

import (
	"context"
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/event"
)

// prompt is a bus that has every session's event handled before Publish
// returns, as a push that is faster than its publisher.
type prompt struct {
	respond *channel.Respond
	handled int
}

func (p *prompt) Publish(ctx context.Context, topic string, ms ...event.Message) error {
	if topic != event.TopicSession {
		return nil
	}
	for range ms {
		p.handled++
		if err := p.respond.Handle(ctx, event.Session{ID: "received-1", Session: "S", Queue: "support", Message: "m", Scenario: "first"}); err != nil {
			return err
		}
	}
	return nil
}

// TestKeptWhileOff shows CH-1: an answer that the channel owes when it goes OFF
// is still owed after many sweeps, and no event goes round meanwhile.
func TestKeptWhileOff(t *testing.T) {
	d := newDesks(t)
	turn := func(on bool) (*channel.Sweep, *prompt) {
		err := d.docs.Write(t.Context(), func(tx channel.Tx) { tx.Patch("settings/channel", map[string]any{"email": on}) })
		if err != nil {
			t.Fatal(err)
		}
		conf := channel.NewConfiguration(d.docs)
		bus := &prompt{respond: &channel.Respond{Docs: d.docs, Archive: d.archive, Secrets: d.secrets, Config: conf, Now: d.clock}}
		return &channel.Sweep{Docs: d.docs, Bus: bus, Config: conf, Now: d.clock}, bus
	}
	err := d.docs.Write(t.Context(), func(tx channel.Tx) {
		tx.Patch("queues/support", map[string]any{"response.on": true})
		tx.Set("sessions/S/history/received-1", channel.History{ID: "received-1", Session: "S", Queue: "support", Scenario: "first", Due: d.clock()})
	})
	if err != nil {
		t.Fatal(err)
	}
	sweep, bus := turn(false)
	for range 3 {
		if err := sweep.Handle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if bus.handled != 1 {
		t.Errorf("OFF, and its event went round %d times", bus.handled)
	}
	sweep, bus = turn(true)
	for range 3 {
		if err := sweep.Handle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if bus.handled != 1 {
		t.Errorf("ON again, and its event came %d times", bus.handled)
	}
}
