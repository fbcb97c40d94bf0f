package reply

import (
	"testing"
	"time"
)

func TestCapsValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Caps)
		want   string
	}{
		"default":            {func(*Caps) {}, ""},
		"least":              {func(c *Caps) { *c = Caps{1, 0, time.Minute} }, ""},
		"most":               {func(c *Caps) { *c = Caps{1000, 1000, 168 * time.Hour} }, ""},
		"none to an address": {func(c *Caps) { c.PerAddress = 0 }, "per_address: 0 replies, must be 1 to 1000"},
		"too many":           {func(c *Caps) { c.PerAddress = 1001 }, "per_address: 1001 replies, must be 1 to 1000"},
		"less than none":     {func(c *Caps) { c.PerSession = -1 }, "per_session: -1 replies, must be 0 (no cap of its own) to 1000"},
		"too many in one":    {func(c *Caps) { c.PerSession = 1001 }, "per_session: 1001 replies, must be 0 (no cap of its own) to 1000"},
		"too short":          {func(c *Caps) { c.Window = time.Minute - 1 }, "window: 59.999999999s, must be 1m0s to 168h0m0s"},
		"too long":           {func(c *Caps) { c.Window = 168*time.Hour + 1 }, "window: 168h0m0.000000001s, must be 1m0s to 168h0m0s"},
	} {
		c := DefaultCaps()
		tt.change(&c)
		err := c.Validate()
		if got := ""; err != nil {
			if got = err.Error(); got != tt.want {
				t.Errorf("%s: %s, want %q", name, got, tt.want)
			}
		} else if tt.want != "" {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestCapsAllow(t *testing.T) {
	c := DefaultCaps()
	if !c.Allow(9) || c.Allow(10) || !c.AllowInSession(4) || c.AllowInSession(5) {
		t.Error("the default is not ten to an address and five in a session")
	}
	if c.PerSession = 0; !c.AllowInSession(1000) {
		t.Error("without a cap of its own a session has one")
	}
}
