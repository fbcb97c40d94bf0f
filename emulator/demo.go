package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"emailchannel.dev/emailchannel/emulator/demo"
	"emailchannel.dev/emailchannel/emulator/suite"
)

// demoCommand walks three mails through a suite that runs in another terminal.
func demoCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	addrFile := fs.String("addr-file", "", "the suite's address file; default: the default ports")
	corpus := fs.String("corpus", "../shared/corpus", "folder to take the mails from; the demo has its own when it is not there")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("demo takes no arguments, got %q", fs.Args())
	}
	addrs := suite.DefaultAddrs()
	if *addrFile != "" {
		b, err := os.ReadFile(*addrFile)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &addrs); err != nil {
			return fmt.Errorf("--addr-file %s: %w", *addrFile, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err := demo.Run(ctx, os.Stdout, addrs, *corpus)
	if errors.Is(err, demo.ErrNoSuite) {
		return fmt.Errorf("%w: start it with go run ./emulator in another terminal", err)
	}
	return err
}
