package channel_test

import (
	"testing"

	"emailchannel.dev/emailchannel/shared/channel"
)

// TestOnHoldsAtOnce shows CH-1: with the channel ON again what waited is taken
// up at once, so whoever is asked to must not go by an OFF of a moment ago.
func TestOnHoldsAtOnce(t *testing.T) {
	d := newDesks(t)
	s := doc[channel.Settings](d, "settings/channel")
	conf := channel.NewConfiguration(d.docs)
	for _, s.Email = range []bool{false, true} {
		if _, err := d.admin.PutSettings(t.Context(), s, ""); err != nil {
			t.Fatal(err)
		}
		if cat, err := conf.Load(t.Context()); err != nil || cat.Email != s.Email {
			t.Errorf("set to %t, and it is %t, %v", s.Email, cat.Email, err)
		}
	}
}
