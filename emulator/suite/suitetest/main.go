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
