package replay

import (
	"bytes"
	"fmt"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"emailchannel.dev/emailchannel/emulator/suite"
	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/session"
	"emailchannel.dev/emailchannel/shared/thread"
)

// Reasons for which sessions differ from RFC 5256's threads on purpose.
const (
	bySubject = "no subject decides which session a mail joins (SE-8)"
	sameID    = "one Message-ID of one sender, at no other date, is one mail, delivered again (SE-8)"
	loop      = "who names a mail belongs to its conversation; RFC 5256 drops links that close a loop"
	remember  = "a mail that has left the mailbox still holds its conversation together"
)

// differences are all that are expected, by script and state ("thread7/2" is
// the second THREAD response of script thread7). The sessions are ours, by the
// mails' places in the mbox.
var differences = map[string]struct{ sessions, why string }{
	"thread/1":                 {"(1 2 3)", loop},
	"thread2/1":                {"(1 2)", sameID},
	"thread3/1":                {"(1)(2)", bySubject},
	"thread4/1":                {"(1)(2)", bySubject},
	"thread5/2":                {"(3 4)", remember},
	"thread5/3":                {"(3 4 5)", remember},
	"thread-orderedsubject/1":  {"(1)(2)(3)(4)(5)(6)(7)(8)(9)(10)(11)(12)(13)(14)(15)", bySubject},
	"thread-orderedsubject2/1": {"(1)(2)(3)(4)(5)(6)(7)(8)", bySubject},
}

// state is what a script expects of the mails that it has in its mailbox then.
type state struct {
	mails  []int // places in the mbox, from 1
	groups [][]int
}

// TestThreadScripts compares our sessions with the threads that Dovecot's
// scripts of THREAD (RFC 5256) expect, and says where and why they differ.
func TestThreadScripts(t *testing.T) {
	needCorpus(t)
	s := quick(t)
	dir := corpus + "/dovecot-imaptest/tests/"
	names := []string{"thread", "thread2", "thread3", "thread4", "thread5", "thread6", "thread7", "thread8", "thread-orderedsubject", "thread-orderedsubject2"}
	fed := make([][]Result, len(names))
	scripts := make([][]Mail, len(names))
	for i, name := range names {
		scripts[i] = ownIDs(t, dir+name+".mbox", name)
		fed[i] = make([]Result, len(scripts[i]))
	}
	eachStep(t, s, scripts, fed)

	var table strings.Builder
	seen := map[string]bool{}
	for i, name := range names {
		sessions := make([]string, len(fed[i]))
		for n, x := range fed[i] {
			sessions[n] = sessionOf(t, s, x)
		}
		for n, st := range script(t, dir+name, len(fed[i])) {
			key := fmt.Sprintf("%s/%d", name, n+1)
			ours, theirs := groupBy(st.mails, sessions), canonical(st.groups)
			want, differs := differences[key]
			seen[key] = true
			switch {
			case !differs && ours != theirs:
				t.Errorf("%s: sessions %s, threads %s", key, ours, theirs)
			case differs && ours != want.sessions:
				t.Errorf("%s: sessions %s, want %s", key, ours, want.sessions)
			case differs && ours == theirs:
				t.Errorf("%s: listed as a difference, but is none: %s", key, ours)
			}
			fmt.Fprintf(&table, "\n%-26s %-62s %-46s %s", key, theirs, ours, want.why)
		}
	}
	for key := range differences {
		if !seen[key] {
			t.Errorf("%s: no such state", key)
		}
	}
	t.Logf("%-26s %-62s %-46s %s%s", "\nstate", "threads of the script", "our sessions", "why they differ", table.String())
}

// eachStep feeds the n-th mails of all conversations together, and the next
// ones only when these are done.
func eachStep(t *testing.T, s *suite.Suite, conversations [][]Mail, into [][]Result) {
	t.Helper()
	for n := 0; ; n++ {
		var step []Mail
		var to []*Result
		for i, c := range conversations {
			if n < len(c) {
				step, to = append(step, c[n]), append(to, &into[i][n])
			}
		}
		if len(step) == 0 {
			return
		}
		r, results := feed(t, s, Ingest, step)
		accounted(t, r, results)
		for i := range results {
			*to[i] = results[i]
		}
	}
}

var idDomain = regexp.MustCompile(`@b>`)

// ownIDs reads an mbox with Message-IDs and envelope senders of its own, so
// that the scripts, which all use the same, do not mix.
func ownIDs(t *testing.T, file, name string) []Mail {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []Mail
	for i, m := range splitMbox(raw) {
		m = idDomain.ReplaceAll(m, []byte("@"+name+".b>"))
		m = bytes.ReplaceAll(m, []byte("From user@domain"), []byte("From user@"+name+".domain"))
		m = append(bytes.TrimRight(m, "\r\n"), " of "+name+"\n"...) // else mails without an ID would be the same in several scripts
		out = append(out, Mail{File: fmt.Sprintf("%s#%d", name, i+1), Raw: m})
	}
	return out
}

// script runs what a script does to its mailbox and returns every state in
// which it asks for the threads.
func script(t *testing.T, file string, mails int) []state {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var box, deleted []int // mails in the mailbox, in order; places in the mailbox
	next := 1
	if bytes.Contains(raw, []byte("messages: all")) {
		for ; next <= mails; next++ {
			box = append(box, next)
		}
	}
	var out []state
	for line := range strings.Lines(string(raw)) {
		line = strings.ToLower(textproto.TrimString(line))
		switch {
		case line == "ok append":
			box = append(box, next)
			next++
		case strings.HasPrefix(line, "ok store "):
			deleted = numbers(line)
		case line == "ok expunge":
			var left []int
			for i, m := range box {
				if !slices.Contains(deleted, i+1) {
					left = append(left, m)
				}
			}
			box = left
		case strings.HasPrefix(line, "* thread "):
			st := state{mails: slices.Clone(box)}
			for _, g := range topLevel(strings.TrimPrefix(line, "* thread ")) {
				var group []int
				for _, place := range numbers(g) {
					group = append(group, box[place-1])
				}
				st.groups = append(st.groups, group)
			}
			out = append(out, st)
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s expects no threads", file)
	}
	return out
}

// topLevel cuts "(1 (2)(3))(4)" into its threads.
func topLevel(s string) []string {
	var out []string
	depth, begin := 0, 0
	for i, c := range s {
		switch c {
		case '(':
			if depth == 0 {
				begin = i
			}
			depth++
		case ')':
			if depth--; depth == 0 {
				out = append(out, s[begin:i+1])
			}
		}
	}
	return out
}

var number = regexp.MustCompile(`\d+`)

func numbers(s string) []int {
	var out []int
	for _, d := range number.FindAllString(s, -1) {
		n, _ := strconv.Atoi(d)
		out = append(out, n)
	}
	return out
}

// groupBy groups mails by their sessions.
func groupBy(mails []int, session []string) string {
	by := map[string][]int{}
	for _, m := range mails {
		by[session[m-1]] = append(by[session[m-1]], m)
	}
	var groups [][]int
	for _, g := range by {
		groups = append(groups, g)
	}
	return canonical(groups)
}

// canonical writes groups in one order: of a thread only its mails count here.
func canonical(groups [][]int) string {
	for _, g := range groups {
		slices.Sort(g)
	}
	slices.SortFunc(groups, slices.Compare[[]int])
	var b strings.Builder
	for _, g := range groups {
		b.WriteString(strings.Replace(fmt.Sprint(g), "[", "(", 1))
	}
	return strings.ReplaceAll(b.String(), "]", ")")
}

// letter is a mail that a test writes.
type letter struct {
	id, from, to, subject, date string
	inReplyTo, references       []string
	body                        string
}

func (l letter) mail(file string) Mail {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	ids := func(l []string) string {
		if len(l) == 0 {
			return ""
		}
		return "<" + strings.Join(l, ">\r\n <") + ">"
	}
	or := func(v, otherwise string) string {
		if v == "" {
			return otherwise
		}
		return v
	}
	field("From", l.from)
	field("To", or(l.to, "support@example.com"))
	field("Subject", or(l.subject, "Order"))
	field("Date", or(l.date, "Mon, 02 Mar 2026 08:00:00 +0000"))
	field("Message-ID", ids([]string{l.id}))
	field("In-Reply-To", ids(l.inReplyTo))
	field("References", ids(l.references))
	b.WriteString("\r\n" + or(l.body, file) + "\r\n")
	return Mail{File: file, Raw: []byte(b.String())}
}

// permutations of 0 … n-1.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			out = append(out, slices.Insert(slices.Clone(p), at, n-1))
		}
	}
	return out
}

// A mail, its answer, and two answers to that one are one session with four
// messages in whatever order they arrive: also when the middle, by which alone
// the others know of each other, comes last.
func TestAnyOrder(t *testing.T) {
	parents := []int{-1, 0, 1, 1}
	var mails [][]Mail
	var names []string
	for _, way := range []string{"references", "in-reply-to"} {
		for _, p := range permutations(4) {
			name := fmt.Sprintf("%s-%d%d%d%d", way, p[0], p[1], p[2], p[3])
			var c []Mail
			for _, n := range p {
				l := letter{id: fmt.Sprintf("%d@%s", n, name), from: "grace@" + name + ".example.net"}
				for up := parents[n]; up >= 0; up = parents[up] {
					l.references = append([]string{fmt.Sprintf("%d@%s", up, name)}, l.references...)
				}
				if parents[n] >= 0 {
					l.inReplyTo = []string{fmt.Sprintf("%d@%s", parents[n], name)}
				}
				if way == "in-reply-to" {
					l.references = nil
				}
				c = append(c, l.mail(fmt.Sprintf("%s#%d", name, n)))
			}
			mails, names = append(mails, c), append(names, name)
		}
	}
	s := quick(t)
	results := make([][]Result, len(mails))
	for i := range results {
		results[i] = make([]Result, 4)
	}
	eachStep(t, s, mails, results)
	merged := 0
	for i, name := range names {
		merged += oneSession(t, s, name, results[i])
	}
	if merged == 0 {
		t.Error("no order of arrival made a merge necessary")
	}
	t.Logf("%d orders, %d merges; every order ends as one session of four messages", len(names), merged)
}

// oneSession fails the test unless all mails are messages of one session, and
// returns how many sessions were merged into it.
func oneSession(t *testing.T, s *suite.Suite, name string, mails []Result) (merged int) {
	t.Helper()
	id := sessionOf(t, s, mails[0])
	for _, x := range mails[1:] {
		if got := sessionOf(t, s, x); got != id {
			t.Errorf("%s: %s is in session %s, %s in %s", name, x.File, got, mails[0].File, id)
			return 0
		}
	}
	main := read[channel.Session](t, s, "sessions/"+id)
	stored, answers := 0, 0
	for _, m := range all[channel.Message](t, s, "sessions/"+id+"/messages") {
		if m.Session != id {
			t.Errorf("%s: message %s says that it is in session %s, not %s", name, m.ID, m.Session, id)
		}
		if stored++; m.Auto {
			answers++
		}
	}
	if main.MergedInto != "" || stored-answers != len(mails) || main.Messages != len(mails) {
		t.Errorf("%s: session %s says %d messages, merged into %q, and has %d, %d of them answers of ours", name, id, main.Messages, main.MergedInto, stored, answers)
	}
	others := map[string]bool{}
	for _, x := range mails {
		if x.SessionID != id {
			others[x.SessionID] = true
		}
	}
	for other := range others {
		if o := read[channel.Session](t, s, "sessions/"+other); o.MergedInto != id || o.Waiting || o.Messages != 0 {
			t.Errorf("%s: session %s was emptied into %s but says merged into %q, waiting %v, %d messages", name, other, id, o.MergedInto, o.Waiting, o.Messages)
		}
		if n := countAll(t, s, "sessions/"+other+"/messages"); n != 0 {
			t.Errorf("%s: %d messages left in the merged session %s", name, n, other)
		}
	}
	return len(others)
}

func read[T any](t *testing.T, s *suite.Suite, path string) T {
	t.Helper()
	var v T
	ref := channel.Ref{Path: path, Into: &v}
	if err := s.Docs().Get(t.Context(), &ref); err != nil || !ref.Found {
		t.Fatalf("%s: found %v, %v", path, ref.Found, err)
	}
	return v
}

func all[T any](t *testing.T, s *suite.Suite, collection string) []T {
	t.Helper()
	var out []T
	err := s.Docs().Find(t.Context(), channel.Query{Collection: collection}, func(_ string, decode func(any) error) error {
		var v T
		err := decode(&v)
		out = append(out, v)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Replies that arrive at the same moment as what they answer end in the same
// session, whoever is stored first.
func TestAtOnce(t *testing.T) {
	s := quick(t)
	var mails []Mail
	const threads = 12
	for i := range threads {
		id := func(n int) string { return fmt.Sprintf("%d@once%d", n, i) }
		from := fmt.Sprintf("grace@once%d.example.net", i)
		for n, parent := range []int{-1, 0, 1, 1} {
			l := letter{id: id(n), from: from}
			if parent >= 0 {
				l.inReplyTo = []string{id(parent)}
			}
			mails = append(mails, l.mail(id(n)))
		}
	}
	r, results := feed(t, s, Ingest, mails)
	accounted(t, r, results)
	for i := range threads {
		oneSession(t, s, fmt.Sprint("thread ", i), results[4*i:4*i+4])
	}
}

// A session that is merged takes all along that belongs to it: notes, which
// are no mails, and what becomes of its outbound mail.
func TestMergeTakesAll(t *testing.T) {
	s := quick(t)
	from := "grace@example.net"
	_, first := feed(t, s, Ingest, []Mail{letter{id: "a", from: from}.mail("a")})
	_, late := feed(t, s, Ingest, []Mail{letter{id: "c", from: from, inReplyTo: []string{"b"}}.mail("c")})
	into, merged := first[0].SessionID, late[0].SessionID
	note := channel.Message{ID: "note-1", Session: merged, Direction: channel.Note, Agent: "ana@example.com", Text: "calls back", At: s.Clock.Now()}
	err := s.Docs().Write(t.Context(), func(tx channel.Tx) {
		tx.Create("sessions/"+merged+"/messages/note-1", note)
		tx.Patch("sessions/"+merged, map[string]any{"messages": channel.Inc(1)})
	})
	if err != nil {
		t.Fatal(err)
	}
	_, middle := feed(t, s, Ingest, []Mail{letter{id: "b", from: from, inReplyTo: []string{"a"}}.mail("b")})
	if middle[0].SessionID != into {
		t.Fatalf("the middle is %s in session %s, want threaded in %s", middle[0].Outcome, middle[0].SessionID, into)
	}
	if got := read[channel.Session](t, s, "sessions/"+into); got.Messages != 4 {
		t.Errorf("the session counts %d messages, want 3 mails and a note", got.Messages)
	}
	if got := read[channel.Message](t, s, "sessions/"+into+"/messages/note-1"); got.Session != into || got.Text != note.Text {
		t.Errorf("the note: %+v", got)
	}
	if n := countAll(t, s, "sessions/"+merged+"/messages"); n != 0 {
		t.Errorf("%d messages left behind", n)
	}
	out := all[channel.Outbound](t, s, "outbound")
	for _, o := range out {
		if o.Session != into {
			t.Errorf("outbound %s tells session %s what becomes of it, want %s", o.ID, o.Session, into)
		}
	}
	if len(out) != 2 {
		t.Errorf("%d automatic answers, want one for each session of then", len(out))
	}
}

// The late middle of a thread whose beginning is closed for good joins the
// session that its replies began, not a third one.
func TestMiddleOfExpired(t *testing.T) {
	s := quick(t)
	from := "grace@example.net"
	_, first := feed(t, s, Ingest, []Mail{letter{id: "a", from: from}.mail("a")})
	_, late := feed(t, s, Ingest, []Mail{letter{id: "c", from: from, inReplyTo: []string{"b"}}.mail("c")})
	long := s.Clock.Now().Add(-400 * 24 * time.Hour)
	err := s.Docs().Write(t.Context(), func(tx channel.Tx) {
		tx.Patch("sessions/"+first[0].SessionID, map[string]any{"state": session.Closed, "entered_at": long, "last_activity": long})
	})
	if err != nil {
		t.Fatal(err)
	}
	_, middle := feed(t, s, Ingest, []Mail{letter{id: "b", from: from, inReplyTo: []string{"a"}}.mail("b")})
	if middle[0].SessionID != late[0].SessionID || middle[0].Reason != string(thread.RuleAnnounced) {
		t.Errorf("the middle is in %s by %s, want %s by %s", middle[0].SessionID, middle[0].Reason, late[0].SessionID, thread.RuleAnnounced)
	}
	for id, want := range map[string]int{first[0].SessionID: 1, late[0].SessionID: 2} {
		if got := read[channel.Session](t, s, "sessions/"+id); got.Messages != want || got.MergedInto != "" {
			t.Errorf("session %s counts %d messages, want %d, merged into %q", id, got.Messages, want, got.MergedInto)
		}
	}
	// What goes on the closed thread begins a session that points to it.
	_, next := feed(t, s, Ingest, []Mail{letter{id: "e", from: from, inReplyTo: []string{"a"}}.mail("e")})
	if got := read[channel.Session](t, s, "sessions/"+next[0].SessionID); next[0].Reason != string(thread.RuleExpired) || got.Linked != first[0].SessionID {
		t.Errorf("an answer to the closed thread: %s, linked to %q", next[0].Reason, got.Linked)
	}
}

// A stranger who names a mail of a conversation does not get into it.
func TestStranger(t *testing.T) {
	s := quick(t)
	_, first := feed(t, s, Ingest, []Mail{letter{id: "1@thread", from: "grace@example.net"}.mail("first")})
	_, second := feed(t, s, Ingest, []Mail{letter{id: "2@thread", from: "mallory@example.org", inReplyTo: []string{"1@thread"}, references: []string{"1@thread"}}.mail("stranger")})
	if second[0].Outcome != "session" || second[0].Reason != string(thread.RuleNotParticipant) || second[0].SessionID == first[0].SessionID {
		t.Fatalf("the stranger's mail: %+v", second[0])
	}
	got := read[channel.Session](t, s, "sessions/"+second[0].SessionID)
	if got.Linked != first[0].SessionID || got.LinkedBy != thread.RuleNotParticipant {
		t.Errorf("the stranger's session is linked to %q by %q, want %q by %q", got.Linked, got.LinkedBy, first[0].SessionID, thread.RuleNotParticipant)
	}
	if old := read[channel.Session](t, s, "sessions/"+first[0].SessionID); slices.Contains(old.Participants, "mallory@example.org") {
		t.Error("the stranger has become a participant of the first session")
	}
	// An answer to the stranger by one who is in neither conversation but the first stays in the first.
	_, third := feed(t, s, Ingest, []Mail{letter{id: "3@thread", from: "grace@example.net", inReplyTo: []string{"2@thread"}, references: []string{"1@thread", "2@thread"}}.mail("back")})
	if third[0].SessionID != first[0].SessionID {
		t.Errorf("the participant's answer went to %s, want %s", third[0].SessionID, first[0].SessionID)
	}
}

// A Message-ID alone does not make two mails one.
func TestReusedMessageID(t *testing.T) {
	original := letter{id: "same@id", from: "grace@example.net", body: "original"}
	for name, c := range map[string]struct {
		second letter
		want   string
	}{
		"another sender":           {letter{id: "same@id", from: "eve@example.org", body: "other"}, "session"},
		"another date":             {letter{id: "same@id", from: "grace@example.net", date: "Mon, 02 Mar 2026 08:00:01 +0000", body: "other"}, "session"},
		"the same by another way":  {letter{id: "same@id", from: "Grace H. <GRACE@example.net>", subject: "[list] Order", body: "original\r\n-- \r\nfooter of the list"}, "duplicate"},
		"the date in another zone": {letter{id: "same@id", from: "grace@example.net", date: "Mon, 02 Mar 2026 09:00:00 +0100", body: "original"}, "duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			s := quick(t)
			_, first := feed(t, s, Ingest, []Mail{original.mail("first")})
			for range 2 { // the second time it is known under its content
				r, second := feed(t, s, Ingest, []Mail{c.second.mail("second")})
				accounted(t, r, second)
				if second[0].Outcome != c.want {
					t.Errorf("%s, want %s: %+v", second[0].Outcome, c.want, second[0])
				}
				if different := second[0].Fingerprint != first[0].Fingerprint; different != (c.second.body == "other") {
					t.Errorf("fingerprints %s and %s", first[0].Fingerprint, second[0].Fingerprint)
				}
				if c.want == "session" {
					c.want = "duplicate"
				}
			}
		})
	}
}

// One mail to two accounts is one message of one session.
func TestTwoAccounts(t *testing.T) {
	s := start(t, t.TempDir())
	l := letter{id: "both@id", from: "grace@example.net", to: "support@example.com, billing@example.com"}.mail("both")
	if err := s.Mail.Deliver("grace@example.net", []string{"support@example.com", "billing@example.com"}, bytes.NewReader(l.Raw)); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	sessions := all[channel.Session](t, s, "sessions")
	if len(sessions) != 1 {
		t.Fatalf("%d sessions, want 1", len(sessions))
	}
	in := 0
	for _, m := range all[channel.Message](t, s, "sessions/"+sessions[0].ID+"/messages") {
		if m.Direction == channel.In {
			in++
		}
	}
	var sources int
	for _, m := range all[channel.Mail](t, s, "mails") {
		if m.Direction == channel.In {
			sources += len(m.Sources)
		}
	}
	if answers := len(s.Mail.Mailbox("grace@example.net")); in != 1 || sources != 2 || answers != 1 {
		t.Errorf("%d messages of %d deliveries with %d answers, want 1 of 2 with 1", in, sources, answers)
	}
}
