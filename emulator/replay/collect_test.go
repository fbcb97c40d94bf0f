package replay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The corpus says how many mails each of its folders has.
func TestCollectCorpus(t *testing.T) {
	const corpus = "../../../shared/corpus"
	if _, err := os.Stat(corpus); err != nil {
		t.Skip("no corpus beside the project:", err)
	}
	mails, err := Collect([]string{corpus})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, m := range mails {
		rel, _ := filepath.Rel(corpus, m.File)
		folder, _, _ := strings.Cut(rel, "/")
		got[folder]++
	}
	want := map[string]int{"enmime": 90, "james-mime4j": 80, "webklex-php-imap": 60, "cpython-email": 48, "dovecot-imaptest": 175, "sisimai-set-of-emails": 241, "rspamd": 211, "spamassassin": 142}
	for folder, n := range want {
		if got[folder] != n {
			t.Errorf("%s: %d mails, want %d", folder, got[folder], n)
		}
	}
	for folder, n := range got {
		if want[folder] == 0 {
			t.Errorf("%s: %d mails, want none", folder, n)
		}
	}
	if len(mails) != 1047 {
		t.Errorf("%d mails, want 1047", len(mails))
	}
}

func TestSplitMbox(t *testing.T) {
	raw := "From a@b Fri\nSubject: 1\n\nbody\nFrom here it goes on\n\nFrom c@d Fri\nSubject: 2\n\nbody\n"
	got := splitMbox([]byte(raw))
	if len(got) != 2 || !strings.HasPrefix(string(got[1]), "From c@d") {
		t.Fatalf("split %q", got)
	}
}
