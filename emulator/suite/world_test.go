package suite_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"testing"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
)

// TestMain is also the functions process of an isolated suite, which starts
// the program that it is part of once more.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // as suite.TuneMemory, but for many suites in one process
	debug.SetMemoryLimit(1 << 30)
	level := slog.LevelError + 4 // refusals are what these tests are about
	if os.Getenv("EMULATOR_TEST_LOG") != "" {
		level = slog.LevelInfo
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	if os.Getenv(suite.FunctionsProcess) != "" {
		if err := suite.RunFunctions(context.Background(), "127.0.0.1:0", os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

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
