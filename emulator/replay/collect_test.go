package replay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// A folder may hold anything: what has no mail is left out, whatever it is.
func TestCollectFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	mail := "From: a@example.net\nSubject: x\n\nbody\n"
	box := "From a@b Mon Mar  2 08:00:00 2026\n" + mail + "\n"
	for name, text := range map[string]string{
		"in/one.EML": mail, "in/two.MBOX": box + box, "in/2024-May.txt": box + box, "in/paper.pdf": "%PDF", "in/none.mbox": "", "in/cut.txt": box, "elsewhere/three.eml": mail,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"in/again.eml": "one.EML", "in/nowhere.eml": "gone.eml", "in/round.eml": "round.eml", "in/loop": ".", "in/more": "../elsewhere", "link": "in"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Skip("no links here:", err)
		}
	}
	mails, err := Collect([]string{filepath.Join(dir, "link")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range mails {
		rel, _ := filepath.Rel(filepath.Join(dir, "link"), m.File)
		got = append(got, rel)
	}
	want := []string{"2024-May.txt#1", "2024-May.txt#2", "again.eml", "cut.txt", "more/three.eml", "two.MBOX#1", "two.MBOX#2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
