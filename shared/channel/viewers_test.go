package channel_test

import (
	"errors"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
)

// Who has a session before him is seen by the others until he leaves or is not heard of (AG-2).
func TestViewers(t *testing.T) {
	d := newDesks(t)
	id := d.inbound("support")
	see := func(who channel.Actor, doing channel.Doing, want ...string) []channel.Viewer {
		t.Helper()
		got, err := d.desk.View(t.Context(), who, id, doing)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%s sees %+v, want %q", who.ID, got, want)
		}
		for i, v := range got {
			if v.Agent != want[i] {
				t.Errorf("%s sees %+v, want %q", who.ID, got, want)
			}
		}
		return got
	}
	see(ana, channel.Viewing)
	first := see(ben, channel.Replying, ana.ID)[0]
	if first.Name != "Ana Silva" || first.Doing != channel.Viewing {
		t.Errorf("ben sees %+v", first)
	}
	d.pass(50 * time.Second)
	if v := see(ana, channel.Replying, ben.ID); v[0].Doing != channel.Replying {
		t.Errorf("ana sees %+v", v)
	}
	d.pass(50 * time.Second) // ana was heard of, ben was not
	if v := see(sam, channel.Viewing, ana.ID); !v[0].Since.Equal(first.Since) {
		t.Errorf("ana is there since %s, not since %s", v[0].Since, first.Since)
	}
	if err := d.desk.Leave(t.Context(), ana, id); err != nil {
		t.Fatal(err)
	}
	see(ben, channel.Viewing, sam.ID)
	if _, err := d.desk.View(t.Context(), dora, id, channel.Viewing); !errors.Is(err, channel.ErrForbidden) {
		t.Errorf("dora does not serve the queue: %v", err)
	}
}
