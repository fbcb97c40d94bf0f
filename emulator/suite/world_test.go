package suite_test

import (
	"testing"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/emulator/suite/suitetest"
)

func TestMain(m *testing.M) { suitetest.Main(m) }

// world is a running suite as a test sees it: from outside, and its database.
type world struct {
	*suite.Suite
	t testing.TB
}

// restarted starts a suite over what an earlier one left in the directory.
func restarted(t testing.TB, dir string) *world {
	t.Helper()
	s, err := suite.Start(t.Context(), suite.Options{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	return &world{Suite: s, t: t}
}
