package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"emailchannel.dev/emailchannel/emulator/atomicfile"
	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
)

// suiteFlags are the flags that up and replay share.
type suiteFlags struct {
	suite.Options
	addrFile, config string
}

func (f *suiteFlags) register(fs *flag.FlagSet, portBase int) {
	fs.StringVar(&f.Data, "data", "", "keep everything in this directory; default: a temporary one")
	fs.IntVar(&f.PortBase, "port-base", portBase, "port of the HTTP part, the others follow; 0: free ports")
	fs.BoolVar(&f.Isolate, "isolate", false, "run the functions in a process of their own")
	fs.StringVar(&f.addrFile, "addr-file", "", "write the addresses to this file, as JSON, once everything is ready")
	fs.StringVar(&f.config, "config", "", "start with this configuration in place of the demo's: a file of /v1/settings:export")
}

// start starts the suite and writes the address file.
func (f *suiteFlags) start(ctx context.Context) (*suite.Suite, error) {
	f.Indexes = readFirst("terraform/firestore.indexes.json")
	if dir := "../shared/specs"; exists(dir) {
		f.Specs = dir
	}
	if f.config != "" {
		setup, err := readSetup(f.config)
		if err != nil {
			return nil, err
		}
		f.Setup = setup
	}
	s, err := suite.Start(ctx, f.Options)
	if err != nil {
		return nil, err
	}
	if f.addrFile != "" {
		if err := writeAddrs(f.addrFile, s.Addrs); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func readSetup(file string) (*channel.Setup, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	setup, err := channel.ParseSetup(b)
	if err != nil {
		return nil, fmt.Errorf("--config %s: %w", file, err)
	}
	return setup, nil
}

func readFirst(file string) []byte {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return b
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// writeAddrs writes the file in one step, so that who waits for it reads it whole.
func writeAddrs(file string, addrs suite.Addrs) error {
	b, err := json.MarshalIndent(addrs, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(file, append(b, '\n'), 0o644)
}

func up(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("up", flag.ContinueOnError)
	var f suiteFlags
	f.register(fs, suite.DefaultPort)
	fs.BoolVar(&f.Google, "google", false, "use Google's own Firestore and Pub/Sub emulators, where they are installed; keeps nothing")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("up takes no arguments, got %q", fs.Args())
	}
	s, err := f.start(ctx)
	if err != nil {
		return err
	}
	printAddrs(os.Stdout, s.Addrs)
	for _, limit := range s.Limits() {
		fmt.Println("note:", limit)
	}
	fmt.Println("ready: mail to support@example.com, billing@example.com or hilfe@example.com by SMTP; scripts/demo shows the way of three")
	<-ctx.Done()
	return s.Close()
}

// printAddrs prints a line per part.
func printAddrs(w io.Writer, addrs suite.Addrs) {
	v := reflect.ValueOf(addrs)
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("json")
		addr := v.Field(i).String()
		switch name {
		case "http", "zendesk", "storage", "s3":
			addr = "http://" + addr
		}
		fmt.Fprintf(w, "%-10s %s\n", strings.ToLower(name), addr)
	}
}

func functionsCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("functions", flag.ContinueOnError)
	listen := fs.String("listen", "127.0.0.1:8090", "address to serve the functions on")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("functions takes no arguments, got %q", fs.Args())
	}
	return suite.RunFunctions(ctx, *listen, os.Stdout)
}
