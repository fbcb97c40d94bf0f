// Command bench measures the pipeline: it generates mails (a third of them
// answers, 15 % HTML, 10 % with a file of 100 KB, many scripts), feeds them to
// a suite that keeps everything on disk, and prints the emulator's report with
// the operations per mail.
//
//	go run ./scripts/bench [-n 2000] [-seed 1] [-cpuprofile FILE]
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"

	"emailchannel.dev/emailchannel/emulator/replay"
	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
)

func main() {
	n := flag.Int("n", 2000, "mails")
	seed := flag.Uint64("seed", 1, "of the generator")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	via := flag.String("via", "imap", "way in: imap, smtp or ingest")
	flag.Parse()
	suite.TuneMemory()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err := run(*n, *seed, replay.Via(*via), *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(n int, seed uint64, via replay.Via, profile string) error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	indexes, err := os.ReadFile("terraform/firestore.indexes.json")
	if err != nil {
		return fmt.Errorf("run it from the project's root: %w", err)
	}
	s, err := suite.Start(ctx, suite.Options{Data: dir, Indexes: indexes})
	if err != nil {
		return err
	}
	defer s.Close()
	// The product's own batching period: the demo's is shorter, to be watched.
	if err := s.Docs().Write(ctx, func(tx channel.Tx) {
		tx.Patch("settings/channel", map[string]any{"crm.flush_seconds": 10, "version": channel.Inc(1)})
	}); err != nil {
		return err
	}
	mails := replay.Generate(n, seed, []string{"support@example.com", "billing@example.com", "hilfe@example.com"})
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	r, _, err := replay.Run(ctx, s, via, mails)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return err
	}
	per := func(v int64) float64 { return float64(v) / float64(n) }
	fmt.Printf("per mail: %.1f document reads, %.1f writes, %.1f deletes, %.1f Pub/Sub messages, %.1f objects\n",
		per(r.FirestoreReads), per(r.FirestoreWrites), per(r.FirestoreDelete), per(r.PubSubMessages), per(r.StorageWrites))
	fmt.Println("by function:")
	return enc.Encode(s.Stats().Firestore)
}
