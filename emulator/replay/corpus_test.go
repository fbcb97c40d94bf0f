package replay

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"emailchannel.dev/emailchannel/emulator/clock"
	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/email"
)

const corpus = "../../../shared/corpus"

// needCorpus skips a test where the third-party mail is not beside the project.
func needCorpus(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("no corpus beside the project:", err)
	}
}

// start brings up a suite on free ports that enforces the project's indexes.
func start(t *testing.T, data string) *suite.Suite {
	t.Helper()
	return startWith(t, suite.Options{Data: data})
}

// quick is a suite without a CRM, whose batching would make every step last a second.
func quick(t *testing.T) *suite.Suite {
	t.Helper()
	local := "127.0.0.1:1" // the suite puts its own addresses in place of these
	seed := (&suite.Suite{Clock: clock.New(), Addrs: suite.Addrs{SMTP: local, IMAP: local}}).Demo()
	seed.Settings.CRM.Kind = "none"
	return startWith(t, suite.Options{Data: t.TempDir(), Config: &seed})
}

func startWith(t *testing.T, opt suite.Options) *suite.Suite {
	t.Helper()
	var err error
	if opt.Indexes, err = os.ReadFile("../../terraform/firestore.indexes.json"); err != nil {
		t.Fatal(err)
	}
	opt.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := suite.Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// feed runs mails through the suite and fails the test when that fails.
func feed(t *testing.T, s *suite.Suite, via Via, mails []Mail) (Report, []Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, results, err := Run(ctx, s, via, mails)
	if err != nil {
		t.Fatal(err)
	}
	return r, results
}

// accounted fails the test unless every mail became exactly one thing, with a
// reason where it became nothing.
func accounted(t *testing.T, r Report, results []Result) {
	t.Helper()
	if r.Lost != 0 || r.Sessions+r.Threaded+r.Duplicates+r.Suppressed+r.Quarantined != r.Mails || len(results) != r.Mails {
		t.Errorf("%d mails, not all of which are accounted for: %+v", r.Mails, r)
	}
	for _, x := range results {
		if x.Outcome == "lost" {
			t.Errorf("%s: lost", x.File)
		}
		if (x.Outcome == "quarantined" || x.Outcome == "suppressed") && x.Reason == "" {
			t.Errorf("%s: %s without a reason", x.File, x.Outcome)
		}
	}
}

// Every mail of the corpus ends as something, a second delivery of all changes
// nothing, and neither ends the program.
func TestCorpus(t *testing.T) {
	needCorpus(t)
	mails, err := Collect([]string{corpus})
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	s := start(t, data)
	r, results := feed(t, s, IMAP, mails)
	t.Logf("first: %+v", r)
	accounted(t, r, results)
	if r.Mails != 1047 {
		t.Errorf("%d mails, want 1047", r.Mails)
	}
	if r.Quarantined >= 5 {
		t.Errorf("%d mails quarantined, want fewer than 5", r.Quarantined)
	}
	for _, x := range results {
		if x.Outcome == "quarantined" {
			t.Logf("quarantined: %s: %s", x.File, x.Reason)
		}
	}
	unanswered(t, s, results)
	sessions := countAll(t, s, "sessions")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = start(t, data)
	again, results := feed(t, s, IMAP, mails)
	t.Logf("again: %+v", again)
	accounted(t, again, results)
	for _, x := range results {
		if x.Outcome != "duplicate" && x.Outcome != "quarantined" {
			t.Errorf("%s: %s at its second delivery", x.File, x.Outcome)
		}
	}
	if again.Quarantined > r.Quarantined || again.AutoReplies != 0 || again.Tickets != 0 {
		t.Errorf("the second delivery had effects: %+v", again)
	}
	if n := countAll(t, s, "sessions"); n != sessions {
		t.Errorf("%d sessions after the second delivery, %d before", n, sessions)
	}
}

func countAll(t *testing.T, s *suite.Suite, collection string) int {
	t.Helper()
	n, err := s.Docs().Count(t.Context(), channel.Query{Collection: collection}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// unanswered fails the test for each machine's mail that was answered by ours.
func unanswered(t *testing.T, s *suite.Suite, results []Result) {
	t.Helper()
	for _, x := range results {
		if x.AutoReply && x.Class != email.ClassNormal {
			t.Errorf("%s: of class %s and answered", x.File, x.Class)
		}
	}
}

// Each way in leads to the same conversations.
func TestWaysIn(t *testing.T) {
	own := Generate(40, 7, []string{"support@example.com", "billing@example.com", "hilfe@example.com"})
	own = append(own, own[:5]...) // delivered twice
	// Of Thunderbird's mbox, with LF and without a Message-ID; and without any header.
	own = append(own, Mail{File: "Inbox#1", Raw: []byte("From - Mon Mar  2 08:00:00 2026\nFrom: Lin <lin@example.net>\nTo: support@example.com\nSubject: LF\n\nHello\n")},
		Mail{File: "note.txt", Raw: []byte("Dear support,\nhelp.\n")})
	var first [][]string
	for _, via := range []Via{IMAP, SMTP, Ingest} {
		t.Run(string(via), func(t *testing.T) {
			s := start(t, t.TempDir())
			r, results := feed(t, s, via, own)
			accounted(t, r, results)
			if r.Mails != 47 || r.Duplicates != 5 || r.Messages != 42 || r.Quarantined+r.Suppressed != 0 {
				t.Errorf("%+v", r)
			}
			got := conversations(t, s, results)
			if first == nil {
				first = got
			}
			if diff := cmp.Diff(first, got); diff != "" {
				t.Errorf("other conversations than by %s (-/+):\n%s", IMAP, diff)
			}
		})
	}
}

// conversations are the files of each session, as they are at the end.
func conversations(t *testing.T, s *suite.Suite, results []Result) [][]string {
	t.Helper()
	files := map[string][]string{}
	for _, x := range results {
		id := sessionOf(t, s, x)
		if !slices.Contains(files[id], x.File) {
			files[id] = append(files[id], x.File)
		}
	}
	out := slices.Collect(maps.Values(files))
	for _, f := range out {
		slices.Sort(f)
	}
	slices.SortFunc(out, slices.Compare[[]string])
	return out
}

// sessionOf is where a mail belongs now: a merge may have moved it since.
func sessionOf(t *testing.T, s *suite.Suite, x Result) string {
	t.Helper()
	doc, err := s.MailDoc(t.Context(), x.Fingerprint)
	if err != nil || doc == nil {
		t.Fatalf("%s: mail %q: %v, %v", x.File, x.Fingerprint, doc, err)
	}
	return doc.Session
}

// machines are mails that no machine may answer (AR-6), beyond the corpus's.
var machines = map[string]string{
	"Auto-Submitted":            "Auto-Submitted: auto-generated",
	"an answer to us":           "Auto-Submitted: auto-replied",
	"Exchange's suppression":    "X-Auto-Response-Suppress: All",
	"an out-of-office's header": "X-Autoreply: yes",
	"List-Id":                   "List-Id: News <news.example.net>",
	"List-Unsubscribe":          "List-Unsubscribe: <mailto:leave@lists.example.net>",
	"Precedence list":           "Precedence: list\r\nList-Post: <mailto:all@lists.example.net>",
	"null return path":          "Return-Path: <>",
}

// No bounce, feedback report, automatic answer or list mail is answered by a
// machine: neither by what the database says nor by what lies in mailboxes.
func TestNoAnswerToMachines(t *testing.T) {
	needCorpus(t)
	mails := sisimai(t)
	reports := len(mails)
	for name, field := range machines {
		addr := strings.NewReplacer(" ", ".", "'", "").Replace(strings.ToLower(name)) + "@machine.example.net"
		mails = append(mails, Mail{File: name, Raw: fmt.Appendf(nil, "%s\r\nFrom: %s\r\nTo: support@example.com\r\nSubject: %s\r\nMessage-ID: <%d@machine.example.net>\r\nDate: Mon, 02 Mar 2026 08:00:00 +0000\r\n\r\nbody\r\n", field, addr, name, len(mails))})
	}
	lists, err := Collect([]string{corpus + "/spamassassin"})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range lists {
		if p, err := parse(m.Raw); err == nil && p.Class == email.ClassList {
			mails = append(mails, m)
			n++
		}
	}
	if reports < 230 || n < 10 {
		t.Fatalf("%d reports and %d list mails are too few to tell anything", reports, n)
	}
	s := start(t, t.TempDir())
	r, results := feed(t, s, IMAP, mails)
	accounted(t, r, results)
	t.Logf("%d reports, %d list mails, %d made ones: %+v", reports, n, len(machines), r)
	if r.AutoReplies != 0 {
		t.Errorf("%d automatic answers", r.AutoReplies)
	}
	for _, x := range results {
		if x.AutoReply {
			t.Errorf("%s (%s): answered", x.File, x.Class)
		}
	}
	onlyAccounts(t, s)

	// The same suite does answer a person.
	person := Mail{File: "person", Raw: []byte("From: Grace <grace@example.net>\r\nTo: support@example.com\r\nSubject: Hello\r\nMessage-ID: <1@example.net>\r\nDate: Mon, 02 Mar 2026 08:00:00 +0000\r\n\r\nHelp!\r\n")}
	if r, results := feed(t, s, IMAP, []Mail{person}); r.AutoReplies != 1 || !results[0].AutoReply || len(s.Mail.Mailbox("grace@example.net")) != 1 {
		t.Errorf("a person's mail: %+v, mailbox %v", r, s.Mail.Mailbox("grace@example.net"))
	}
}

// onlyAccounts fails the test when anybody but the channel itself has mail.
func onlyAccounts(t *testing.T, s *suite.Suite) {
	t.Helper()
	own := s.Inboxes()
	for _, addr := range s.Mail.Addresses() {
		if got := s.Mail.Mailbox(addr); own[addr] == "" && len(got) > 0 {
			t.Errorf("%s got %d mails", addr, len(got))
		}
	}
}

// sisimai are the mails for which the corpus states what they report.
func sisimai(t *testing.T) []Mail {
	t.Helper()
	dir := corpus + "/sisimai-set-of-emails"
	f, err := os.Open(dir + "/expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = '\t', -1, true
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, row := range rows[1:] {
		if !slices.Contains(names, row[0]) {
			names = append(names, row[0])
		}
	}
	all, err := Collect([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	var out []Mail
	for _, m := range all {
		if slices.Contains(names, filepath.Base(m.File)) {
			out = append(out, m)
		}
	}
	if len(out) != len(names) {
		t.Fatalf("%d mails of %d that are expected", len(out), len(names))
	}
	return out
}
