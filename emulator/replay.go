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
	f.register(fs)
	f.PortBase = 0
	via := fs.String("via", "imap", "way in: smtp, imap (put into the mailbox as it is) or ingest (straight into the archive)")
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
	s, err := f.start(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	report, results, err := replay.Run(ctx, s, replay.Via(*via), mails)
	if err != nil {
		return err
	}
	if err := printReport(os.Stdout, report, *oneLine); err != nil {
		return err
	}
	if *out != "" {
		if err := writeResults(*out, results); err != nil {
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

func writeResults(file string, results []replay.Result) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, r := range results {
		if err := enc.Encode(r); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(w.Flush(), f.Close())
}
