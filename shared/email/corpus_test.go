package email

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// corpusDir holds third-party mail that is no part of the repository; its README names sources and licences.
const corpusDir = "../../../shared/corpus"

func needCorpus(tb testing.TB, sub string) string {
	tb.Helper()
	dir := filepath.Join(corpusDir, sub)
	if _, err := os.Stat(dir); err != nil {
		tb.Skipf("the mail corpus is not here: %v", err)
	}
	return dir
}

// corpusMails calls f for every message of the corpus; mbox files are split.
func corpusMails(tb testing.TB, f func(name string, raw []byte)) {
	tb.Helper()
	root := needCorpus(tb, "")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || !isCorpusMail(rel) {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !strings.HasSuffix(rel, ".mbox") {
			f(rel, raw)
			return nil
		}
		for _, m := range splitMbox(raw) {
			f(rel, m)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func isCorpusMail(rel string) bool {
	top, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	switch top {
	case "enmime":
		return strings.HasSuffix(rel, ".raw")
	case "james-mime4j":
		return strings.HasSuffix(rel, ".msg")
	case "cpython-email":
		return strings.HasPrefix(filepath.Base(rel), "msg_")
	case "dovecot-imaptest":
		return strings.HasSuffix(rel, ".mbox")
	case "spamassassin":
		return !strings.Contains(strings.ToUpper(rel), "LICENSE")
	case "webklex-php-imap", "sisimai-set-of-emails", "rspamd":
		return strings.HasSuffix(rel, ".eml")
	}
	return false
}

var mboxSeparator = regexp.MustCompile(`(?m)^From `)

func splitMbox(raw []byte) [][]byte {
	var out [][]byte
	at := mboxSeparator.FindAllIndex(raw, -1)
	for i, loc := range at {
		end := len(raw)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		out = append(out, raw[loc[0]:end])
	}
	return out
}

func parseBytes(tb testing.TB, raw []byte) *Mail {
	tb.Helper()
	m, err := Parse(bytes.NewReader(raw), "", Limits{}, nil)
	if err != nil {
		tb.Fatalf("Parse: %v", err)
	}
	return m
}

func TestCorpusParses(t *testing.T) {
	n, degraded := 0, 0
	corpusMails(t, func(name string, raw []byte) {
		n++
		begin := time.Now()
		m, err := Parse(bytes.NewReader(raw), "", Limits{}, func(_ Part, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if errors.Is(err, ErrEmpty) && len(bytes.TrimSpace(raw)) == 0 {
			return // one file of the corpus is a single line end
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		// Far above what any mail of the corpus takes: this catches work that is not linear, not a slow machine.
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		checkMail(t, name, m)
		if len(m.Degraded) > 0 {
			degraded++
		}
		if m.Text == "" && m.HTML == "" && len(m.Parts) == 0 && len(m.From) == 0 && m.Subject == "" {
			t.Logf("%s: nothing was read: %q", name, m.Degraded)
		}
	})
	if n < 1000 {
		t.Errorf("only %d mails found", n)
	}
	t.Logf("%d mails, %d with a repair or a bound", n, degraded)
}

// checkMail holds for every Mail that Parse returns.
func checkMail(tb testing.TB, name string, m *Mail) {
	tb.Helper()
	texts := []string{m.Subject, m.Text, m.HTML, m.MessageID, m.ReturnPath}
	for _, list := range [][]Address{m.From, m.Sender, m.ReplyTo, m.To, m.Cc} {
		for _, a := range list {
			texts = append(texts, a.Name, a.Addr)
		}
	}
	for _, p := range m.Parts {
		texts = append(texts, p.Name, p.Type, p.ContentID)
	}
	if r := m.Report; r != nil {
		texts = append(texts, r.Recipient, r.Action, r.Status, r.DiagnosticCode, r.OriginalMessageID, r.FeedbackType)
	}
	for _, s := range append(texts, append(m.References, m.InReplyTo...)...) {
		if !utf8.ValidString(s) {
			tb.Errorf("%s: not UTF-8: %.60q", name, s)
		}
	}
	if m.Fingerprint == "" || m.ContentFingerprint == "" || m.Class == "" {
		tb.Errorf("%s: incomplete: %+v", name, m)
	}
	if strings.Contains(m.Text, "\r") {
		tb.Errorf("%s: CR in the text", name)
	}
	if (m.Class == ClassBounce || m.Class == ClassFeedback) != (m.Report != nil) {
		tb.Errorf("%s: class %s, report %v", name, m.Class, m.Report)
	}
	fresh, quoted := SplitReply(m.Text)
	if fresh+quoted != m.Text {
		tb.Errorf("%s: SplitReply lost text", name)
	}
}

// readTSV reads a tab-separated file with a heading; `\N` means that upstream states nothing.
func readTSV(t *testing.T, path string) []map[string]string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	names := strings.Split(lines[0], "\t")
	var rows []map[string]string
	for _, l := range lines[1:] {
		row := map[string]string{}
		for i, v := range strings.Split(l, "\t") {
			row[names[i]] = v
		}
		rows = append(rows, row)
	}
	return rows
}

func findFile(t *testing.T, root, base string) []byte {
	t.Helper()
	var raw []byte
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == base {
			raw, err = os.ReadFile(path)
		}
		return err
	})
	if err != nil || raw == nil {
		t.Fatalf("%s: %v", base, err)
	}
	return raw
}

func TestCorpusWebklex(t *testing.T) {
	dir := needCorpus(t, "webklex-php-imap")
	rows := readTSV(t, filepath.Join(dir, "expected.tsv"))
	good := 0
	for _, row := range rows {
		if why := webklexDiffers(t, row, parseBytes(t, findFile(t, dir, row["file"]))); why != "" {
			t.Logf("%s: %s", row["file"], why)
			continue
		}
		good++
	}
	t.Logf("%d of %d", good, len(rows))
	if good < 46 {
		t.Errorf("%d of %d mails as expected, want 46", good, len(rows))
	}
}

func webklexDiffers(t *testing.T, row map[string]string, m *Mail) string {
	t.Helper()
	if want := row["subject"]; want != `\N` && want != m.Subject {
		return "subject " + m.Subject + ", want " + want
	}
	if want := row["from_email"]; want != `\N` && (len(m.From) == 0 || m.From[0].Addr != want) {
		return "from is not " + want
	}
	if want := row["attachment_count"]; want != `\N` && want != itoa(len(m.Parts)) {
		return "attachments: " + itoa(len(m.Parts))
	}
	if row["some_attachment_names"] == `\N` {
		return ""
	}
	var names []string
	quoted := strings.ReplaceAll(strings.Trim(row["some_attachment_names"], `"`), `""`, `"`)
	if err := json.Unmarshal([]byte(quoted), &names); err != nil {
		t.Fatalf("%s: %v", row["file"], err)
	}
	have := ""
	for _, p := range m.Parts {
		have += "|" + p.Name
	}
	for _, n := range names {
		if !strings.Contains(have+"|", "|"+n+"|") {
			return "no part " + n + " in " + have
		}
	}
	return ""
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }
