package email

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// keepsSignature: what was written now includes how it was signed.
const keepsSignature = "upstream cuts the signature off as well; here it is part of the reply and stays"

var crispExplained = map[string]string{
	"fixtures/email_7.txt":            keepsSignature,
	"fixtures/email_with_regards.txt": keepsSignature,
}

func TestCorpusReplies(t *testing.T) {
	dir := needCorpus(t, "crisp-email-reply-parser")
	file, err := os.Open(filepath.Join(dir, "expected.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	found := map[string]string{}
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
			found[want.File] = want.Kind + ": " + tail(strings.TrimSpace(fresh))
		}
	}
	t.Logf("%d/%d", good, n)
	if good < 44 || n != 48 {
		t.Errorf("%d of %d replies as expected, want 44 of 48", good, n)
	}
	differences(t, crispExplained, found)
}

// TestCorpusReplyBodies: nothing is lost from any body, whole or as HTML, and the 767 KB one takes no time to speak of.
func TestCorpusReplyBodies(t *testing.T) {
	root := needCorpus(t, "")
	n, folded := 0, 0
	for _, pattern := range []string{"github-email_reply_parser/emails/*.txt", "crisp-email-reply-parser/fixtures/*.txt"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := unixLines(string(raw))
			begin := time.Now()
			fresh, quoted := SplitReply(text)
			html := "<pre>" + strings.NewReplacer("<", "&lt;", "&", "&amp;").Replace(text) + "</pre>"
			freshHTML, quotedHTML := SplitReplyHTML(html)
			// Far above what it takes: this catches work that is not linear, not a slow machine.
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s took %v", file, took)
			}
			checkSplit(t, html, freshHTML, quotedHTML)
			if fresh+quoted != text {
				t.Errorf("%s: text was lost", file)
			}
			if (quoted == "") != (quotedHTML == "") {
				t.Errorf("%s: text %d, HTML %d bytes fresh", filepath.Base(file), len(fresh), len(freshHTML))
			}
			if n++; quoted != "" {
				folded++
			}
		}
	}
	t.Logf("%d bodies, %d folded", n, folded)
}

func tail(s string) string {
	if len(s) > 500 {
		return "..." + s[len(s)-500:]
	}
	return s
}

func FuzzSplitReply(f *testing.F) {
	for _, s := range []string{"Yes.\n\nOn Mon, 2 Mar 2026, Ann <a@example.com> wrote:\n> really?\n", "a\n> b\nc\n-- \nd", "From: a\nSent: b\nTo: c\n", "> \n\n--\n", "\r\n>\r\n", "On\nOn\nOn\n:\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fresh, quoted := SplitReply(text)
		if fresh+quoted != text {
			t.Fatalf("lost text: %q + %q", fresh, quoted)
		}
		if quoted != "" && strings.TrimSpace(fresh) == "" {
			t.Fatalf("everything is folded: %q", quoted)
		}
		html := "<pre>" + strings.NewReplacer("<", "&lt;", "&", "&amp;").Replace(text) + "</pre>"
		freshHTML, quotedHTML := SplitReplyHTML(html)
		checkSplit(t, html, freshHTML, quotedHTML)
	})
}

func FuzzSplitReplyHTML(f *testing.F) {
	for _, s := range []string{`<div>Yes.</div><div class="gmail_quote"><blockquote>No?</blockquote></div>`, `<p>x<div id=divRplyFwdMsg><b>From:</b>`, `<table><tr><td>a<blockquote>b`,
		`<style>x</style><pre>a` + "\n> b\n" + `</pre>`, `<div name=quote>`, `a<a@b>c`, `<!--`, `<hr id=zwchr>`, `</p></div>`, `x<br>On 2 Mar 2026, Ann &lt;a@b.c&gt; wrote:<blockquote>y</blockquote>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, html string) {
		fresh, quoted := SplitReplyHTML(html)
		checkSplit(t, html, fresh, quoted)
		if quoted != "" && strings.TrimSpace(fresh) == "" {
			t.Fatalf("everything is folded: %q", quoted)
		}
		if len(fresh)+len(quoted) > 3*len(html)+100 {
			t.Fatalf("%d bytes of %d", len(fresh)+len(quoted), len(html))
		}
	})
}
