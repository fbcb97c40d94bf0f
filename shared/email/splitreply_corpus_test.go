package email

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCorpusReplies(t *testing.T) {
	dir := needCorpus(t, "crisp-email-reply-parser")
	file, err := os.Open(filepath.Join(dir, "expected.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	good, n := 0, 0
	for sc := bufio.NewScanner(file); sc.Scan(); n++ {
		var want struct{ File, Kind, Text string }
		if err := json.Unmarshal(sc.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, want.File))
		if err != nil {
			t.Fatal(err)
		}
		text := unixLines(string(raw)) // as Mail.Text has it
		fresh, quoted := SplitReply(text)
		if fresh+quoted != text {
			t.Errorf("%s: text was lost", want.File)
		}
		if strings.TrimSpace(fresh) == strings.TrimSpace(want.Text) {
			good++
		} else {
			t.Logf("%s (%s):\n--- have\n%.600s\n--- want\n%.600s", want.File, want.Kind, tail(strings.TrimSpace(fresh)), tail(strings.TrimSpace(want.Text)))
		}
	}
	t.Logf("%d of %d", good, n)
	if good < 40 {
		t.Errorf("%d of %d replies as expected, want 40", good, n)
	}
}

func tail(s string) string {
	if len(s) > 500 {
		return "..." + s[len(s)-500:]
	}
	return s
}
