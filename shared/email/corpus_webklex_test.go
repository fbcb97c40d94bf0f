package email

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestCorpusWebklex(t *testing.T) {
	dir := needCorpus(t, "webklex-php-imap")
	rows, good := readTSV(t, filepath.Join(dir, "expected.tsv")), 0
	for _, row := range rows {
		if why := webklexDiffers(t, row, parseBytes(t, findFile(t, dir, row["file"]))); why != "" {
			t.Errorf("%s: %s", row["file"], why)
			continue
		}
		good++
	}
	t.Logf("%d of %d mails as expected", good, len(rows))
	if len(rows) != 48 {
		t.Errorf("%d rows, want 48", len(rows))
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
	return namesDiffer(m, names)
}

// inventedName is what webklex calls a part without a name: the beginning of a hash of its own.
var inventedName = regexp.MustCompile(`^[0-9a-f]{8}$`)

// namesDiffer: each name is one of the two that a part may have; each invented one stands for a part without a name.
func namesDiffer(m *Mail, names []string) string {
	var have []string
	nameless := 0
	for _, p := range m.Parts {
		if have = append(have, p.Name, p.OtherName); p.Name == "" {
			nameless++
		}
	}
	for _, n := range names {
		if inventedName.MatchString(n) {
			nameless--
		} else if !slices.Contains(have, n) {
			return "no part " + n + " in " + strings.Join(have, "|")
		}
	}
	if nameless < 0 {
		return "too few parts without a name"
	}
	return ""
}
