package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"emailchannel.dev/emailchannel/emulator/replay"
)

// replayCommand feeds mails through a suite of its own and reports.
func replayCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("replay", flag.ContinueOnError)
	var f suiteFlags
	f.register(fs, 0)
	via := fs.String("via", "imap", "way in: smtp, imap (put into the mailbox, with its line ends) or ingest (straight into the archive)")
	out := fs.String("out", "", "write a JSON line per mail to this file")
	oneLine := fs.Bool("json", false, "print the report on one line")
	wait := fs.Duration("timeout", 30*time.Minute, "how long to wait for the pipeline")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return errors.New("replay: name files (.eml, mbox) or folders")
	}
	mails, err := replay.Collect(fs.Args())
	if err != nil {
		return err
	}
	var results *os.File
	if *out != "" { // refused now, not after the mails
		if results, err = os.Create(*out); err != nil {
			return err
		}
		defer results.Close()
	}
	s, err := f.start(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	report, list, err := replay.Run(ctx, s, replay.Via(*via), mails)
	if err != nil {
		return err
	}
	if err := printReport(os.Stdout, report, *oneLine); err != nil {
		return err
	}
	if results != nil {
		if err := writeResults(results, list); err != nil {
			return err
		}
	}
	if report.Lost > 0 {
		return fmt.Errorf("%d mails are not accounted for", report.Lost)
	}
	return nil
}

func printReport(w io.Writer, r replay.Report, oneLine bool) error {
	enc := json.NewEncoder(w)
	if !oneLine {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(r)
}

func writeResults(f *os.File, results []replay.Result) error {
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, r := range results {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return errors.Join(w.Flush(), f.Close())
}
