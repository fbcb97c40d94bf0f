// Command emulator runs the whole e-mail channel on this machine: the local
// cloud of package suite and the functions on top.
//
//	go run ./emulator [up]            the suite and the functions, with a demo configuration
//	go run ./emulator replay PATH…    feed mails through the pipeline and report what became of them
//	go run ./emulator simulate …      play recorded arrivals against a changed policy (package sim)
//	go run ./emulator functions       the functions alone, against what *_EMULATOR_HOST name
//	go run ./emulator demo            three mails, their answers and tickets, against a suite in another terminal
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"emailchannel.dev/emailchannel/emulator/suite"
)

func main() {
	suite.TuneMemory()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	args := os.Args[1:]
	name := "up"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	commands := map[string]func(context.Context, []string) error{"up": up, "replay": replayCommand, "functions": functionsCommand, "demo": demoCommand, "simulate": simulateCommand}
	run, ok := commands[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "emulator: there is no command %q; try up, replay, simulate, functions or demo\n", name)
		os.Exit(2)
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	switch err := run(ctx, args); {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "emulator:", err)
		os.Exit(1)
	}
}
