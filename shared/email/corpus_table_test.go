package email

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/jhillyerd/enmime/v2"
)

// folderCount is a line of the table that TestCorpusTable prints.
type folderCount struct {
	mails, failed, empty, degraded int
	enmimeFails, differ            int
}

// TestCorpusTable parses every mail of the corpus and prints what became of it, by folder. No mail may fail.
func TestCorpusTable(t *testing.T) {
	table := map[string]*folderCount{}
	corpusMails(t, func(name string, raw []byte) {
		folder, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		c := table[folder]
		if c == nil {
			c = &folderCount{}
			table[folder] = c
		}
		c.count(t, name, raw)
	})
	folders := make([]string, 0, len(table))
	for f := range table {
		folders = append(folders, f)
	}
	sort.Strings(folders)
	var sum folderCount
	t.Logf("%-24s %6s %6s %6s %9s %14s %7s", "folder", "mails", "failed", "empty", "degraded", "enmime fails", "differ")
	for _, f := range folders {
		c := table[f]
		t.Logf("%-24s %6d %6d %6d %9d %14d %7d", f, c.mails, c.failed, c.empty, c.degraded, c.enmimeFails, c.differ)
		sum = folderCount{sum.mails + c.mails, sum.failed + c.failed, sum.empty + c.empty, sum.degraded + c.degraded,
			sum.enmimeFails + c.enmimeFails, sum.differ + c.differ}
	}
	t.Logf("%-24s %6d %6d %6d %9d %14d %7d", "all", sum.mails, sum.failed, sum.empty, sum.degraded, sum.enmimeFails, sum.differ)
	if sum.mails != 1047 || sum.empty > 1 { // one file of the corpus is a single line end
		t.Errorf("%d mails, %d of them empty", sum.mails, sum.empty)
	}
}

func (c *folderCount) count(t *testing.T, name string, raw []byte) {
	t.Helper()
	c.mails++
	begin := time.Now()
	m, err := Parse(bytes.NewReader(raw), "", Limits{}, func(_ Part, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if errors.Is(err, ErrEmpty) && len(bytes.TrimSpace(raw)) == 0 {
		c.empty++
		return
	}
	if err != nil {
		c.failed++
		t.Errorf("%s: %v", name, err)
		return
	}
	// Far above what any mail of the corpus takes: this catches work that is not linear, not a slow machine.
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("%s took %v", name, took)
	}
	checkMail(t, name, m)
	if len(m.Degraded) > 0 {
		c.degraded++
	}
	theirs, err := enmime.ReadEnvelope(bytes.NewReader(raw))
	if err != nil {
		c.enmimeFails++
		return
	}
	if ours, err := readAll(raw); err == nil && len(ours.missing(enmimeLeaves(theirs))) > 0 {
		c.differ++
	}
}
