package replay

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"emailchannel.dev/emailchannel/emulator/firestore"
	"emailchannel.dev/emailchannel/emulator/suite"
)

// Bounds on the billed operations of one new mail (OP-7).
const (
	maxIngestWrites, maxIngestReads = 6, 8
	maxWrites, maxReads             = 20, 20
)

// billed are the operations of all functions, without the suite's own.
func billed(t *testing.T, s *suite.Suite) map[string]firestore.Ops {
	t.Helper()
	ops, ok := s.Stats().Firestore.(map[string]firestore.Ops)
	if !ok {
		t.Fatalf("the suite counts %T", s.Stats().Firestore)
	}
	ops = maps.Clone(ops)
	delete(ops, "suite")
	return ops
}

func since(before, after map[string]firestore.Ops) map[string]firestore.Ops {
	out := map[string]firestore.Ops{}
	for name, a := range after {
		b := before[name]
		out[name] = firestore.Ops{Reads: a.Reads - b.Reads, Writes: a.Writes - b.Writes, Deletes: a.Deletes - b.Deletes}
	}
	return out
}

// people are mails of different people who write for the first time.
func people(name string, n int) []Mail {
	out := make([]Mail, n)
	for i := range out {
		id := fmt.Sprintf("%s%d", name, i)
		out[i] = letter{id: id + "@people.example.net", from: "Grace <" + id + "@people.example.net>", subject: "Where is my order " + id + "?", body: "Hello,\r\nwhere is it?"}.mail(id)
	}
	return out
}

// A new mail costs a bounded number of billed operations on its whole way:
// polling, ingest, assignment, automatic answer, sending and the CRM.
func TestOperations(t *testing.T) {
	s := start(t, t.TempDir())
	feed(t, s, IMAP, people("warm", 3)) // settings are read, clients are made
	const n = 50
	before := billed(t, s)
	r, results := feed(t, s, IMAP, people("p", n))
	accounted(t, r, results)
	if r.Sessions != n || r.AutoReplies != n || r.Tickets != n {
		t.Fatalf("not every mail went the whole way: %+v", r)
	}
	ops := since(before, billed(t, s))
	total := table(t, "50 mails at once, per mail", ops, n)
	if in := ops["ingest"]; in.Writes > maxIngestWrites*n || in.Reads > maxIngestReads*n {
		t.Errorf("ingest: %d writes and %d reads of %d mails, want at most %d and %d a mail", in.Writes, in.Reads, n, maxIngestWrites, maxIngestReads)
	}
	if total.Writes > maxWrites*n || total.Reads > maxReads*n {
		t.Errorf("%d writes and %d reads of %d mails, want at most %d and %d a mail", total.Writes, total.Reads, n, maxWrites, maxReads)
	}
}

// The same one by one, where nothing is shared with other mails: ingest's
// bounds hold for every single mail; polls and flushes are not shared here, so
// the sum is told, but bounded above only.
func TestOperationsOfSingleMails(t *testing.T) {
	s := start(t, t.TempDir())
	feed(t, s, IMAP, people("warm", 2))
	const n = 5
	start := billed(t, s)
	for _, m := range people("single", n) {
		before := billed(t, s)
		r, results := feed(t, s, IMAP, []Mail{m})
		accounted(t, r, results)
		if in := since(before, billed(t, s))["ingest"]; in.Writes > maxIngestWrites || in.Reads > maxIngestReads || in.Writes == 0 {
			t.Errorf("%s: ingest wrote %d and read %d documents, want at most %d and %d", m.File, in.Writes, in.Reads, maxIngestWrites, maxIngestReads)
		}
	}
	table(t, "5 mails one by one, per mail", since(start, billed(t, s)), n)
}

// table logs operations by function and returns their sum.
func table(t *testing.T, title string, ops map[string]firestore.Ops, mails int) firestore.Ops {
	t.Helper()
	var b strings.Builder
	var total firestore.Ops
	row := func(name string, o firestore.Ops) {
		per := func(n int64) float64 { return float64(n) / float64(mails) }
		fmt.Fprintf(&b, "\n%-12s %8.2f %8.2f %8.2f", name, per(o.Reads), per(o.Writes), per(o.Deletes))
	}
	fmt.Fprintf(&b, "%s\n%-12s %8s %8s %8s", title, "function", "reads", "writes", "deletes")
	for _, name := range slices.Sorted(maps.Keys(ops)) {
		o := ops[name]
		row(name, o)
		total.Reads, total.Writes, total.Deletes = total.Reads+o.Reads, total.Writes+o.Writes, total.Deletes+o.Deletes
	}
	row("sum", total)
	t.Log(b.String())
	return total
}
