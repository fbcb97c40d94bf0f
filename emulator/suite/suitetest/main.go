// Package suitetest runs the tests that look at suites from outside.
package suitetest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"testing"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
)

// Main is the TestMain of a package with many suites in its process. It is also
// the functions process of an isolated suite, which starts the program that it
// is part of once more. EMULATOR_TEST_LOG=1 shows what the suites log.
func Main(m *testing.M) {
	debug.SetGCPercent(400) // as suite.TuneMemory, but for many suites in one process
	debug.SetMemoryLimit(1 << 30)
	level := slog.LevelError + 4 // refusals are what these tests are about
	if os.Getenv("EMULATOR_TEST_LOG") != "" {
		level = slog.LevelInfo
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	if os.Getenv(suite.FunctionsProcess) == "" {
		os.Exit(m.Run())
	}
	if err := suite.RunFunctions(context.Background(), "127.0.0.1:0", os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// All gives each every document that the query finds in the suite's database.
func All[T any](t testing.TB, s *suite.Suite, q channel.Query, each func(id string, v T)) {
	t.Helper()
	err := s.Docs().Find(t.Context(), q, func(id string, decode func(any) error) error {
		var v T
		if err := decode(&v); err != nil {
			return err
		}
		each(id, v)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
