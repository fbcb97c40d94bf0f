// Remail has archived mail processed once more by today's code (ST-4), over the
// API of a running deployment or suite, and prints what comes out otherwise
// than what is stored:
//
//	go run ./scripts/remail --dry-run MAIL…
//
// MAIL is a message's ID or the name of a raw mail in the archive. Without
// --dry-run the messages are brought up to date. It exits with 1 when a mail
// could not be replayed.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"

	"emailchannel.dev/emailchannel/shared/channel"
)

func main() {
	api := flag.String("api", "http://127.0.0.1:8080", "base URL of the API")
	token := flag.String("token", "admin-token", "bearer token of an admin")
	dry := flag.Bool("dry-run", false, "write nothing")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "remail: no mail is named; give message IDs or raw objects")
		os.Exit(2)
	}
	failed := 0
	for _, mail := range flag.Args() {
		r, err := replay(*api, *token, mail, *dry)
		if err != nil {
			fmt.Fprintf(os.Stderr, "remail: %s: %v\n", mail, err)
			failed = 1
			continue
		}
		show(os.Stdout, r)
	}
	os.Exit(failed)
}

func replay(api, token, mail string, dry bool) (*channel.Replayed, error) {
	body, err := json.Marshal(map[string]any{"mail": mail, "dry_run": dry})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, api+"/v1/mails/replay", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, answer)
	}
	var r channel.Replayed
	return &r, json.Unmarshal(answer, &r)
}

func show(w io.Writer, r *channel.Replayed) {
	fmt.Fprintf(w, "%s: session %s, %d differences\n", r.Mail, r.Session, len(r.Differences))
	for _, d := range r.Differences {
		fmt.Fprintf(w, "  %s\n    stored: %q\n    today:  %q\n", d.Field, d.Stored, d.Today)
	}
}
