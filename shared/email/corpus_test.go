package email

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }
