package suite_test

import (
	"testing"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/emulator/suite/suitetest"
	"emailchannel.dev/emailchannel/shared/channel"
)

func TestMain(m *testing.M) { suitetest.Main(m) }

// world is a running suite as a test sees it: from outside, and its database.
type world struct {
	*suite.Suite
	t testing.TB
}

func all[T any](w *world, q channel.Query, each func(id string, v T)) {
	w.t.Helper()
	err := w.Docs().Find(w.t.Context(), q, func(id string, decode func(any) error) error {
		var v T
		if err := decode(&v); err != nil {
			return err
		}
		each(id, v)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
