package channel_test

import (
	"testing"

	"pgregory.net/rapid"

	"emailchannel.dev/emailchannel/shared/channel"
)

// What is stored is what is read, also of passwords that look like JSON.
func TestCredentials(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`\{.*\}?`))
		c := channel.Credentials{Password: text.Draw(t, "password"), RefreshToken: text.Draw(t, "token"), ClientSecret: text.Draw(t, "client"), DKIMKey: text.Draw(t, "key")}
		if got := channel.ParseCredentials(c.Encode()); got != c {
			t.Fatalf("%q became %q", c, got)
		}
	})
}
