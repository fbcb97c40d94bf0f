// Package replay feeds files of mail through a running suite and tells what
// became of each: a session of its own, a part of one, a duplicate, suppressed,
// quarantined, or, which must never be, lost.
package replay

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Mail is one raw mail of a file.
type Mail struct {
	File string // with "#n" for the n-th mail of an mbox
	Raw  []byte
}

// extensions of files that hold one mail, whatever it begins with.
var extensions = []string{".eml", ".msg", ".raw"}

// mboxes are extensions of files that hold many.
var mboxes = []string{".mbox", ".mbx"}

// Collect reads the mails of files and folders. A single file is taken as it
// is; of folders and lists, as a shell's ** makes them, files by the extensions
// of mail, and others where their first lines are a mail's header. A text file
// among such also counts, the mail without a header, and a file of blanks
// without an extension, the empty mail. Links are followed, and what several
// lead to is taken once.
func Collect(paths []string) ([]Mail, error) {
	c := collection{seen: map[string]string{}, taken: map[string]bool{}}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if err := c.visit(p, info, len(paths) == 1); err != nil {
			return nil, err
		}
	}
	if err := c.headless(); err != nil {
		return nil, err
	}
	if len(c.mails) == 0 {
		return nil, fmt.Errorf("no mail in %s", strings.Join(paths, " "))
	}
	return c.mails, nil
}

// collection is what was found so far.
type collection struct {
	mails []Mail
	seen  map[string]string // path by the path without links
	taken map[string]bool   // paths of files that have mails
}

// visit takes a file, or what is in a folder.
func (c *collection) visit(path string, info fs.FileInfo, named bool) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if real, err = filepath.Abs(real); err != nil || c.seen[real] != "" {
		return err
	}
	c.seen[real] = path
	if !info.IsDir() {
		return c.add(path, named)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := filepath.Join(path, e.Name())
		info, err := os.Stat(at)
		switch {
		case err != nil && e.Type()&fs.ModeSymlink != 0: // a link to nothing, or to itself
			continue
		case err != nil:
			return err
		case !info.IsDir() && !info.Mode().IsRegular(): // a pipe or a socket, which has no end
			continue
		}
		if err := c.visit(at, info, false); err != nil {
			return err
		}
	}
	return nil
}

// headless adds the text files that have no header but lie among mails.
func (c *collection) headless() error {
	texts := map[string]int{}
	for path := range c.taken {
		if filepath.Ext(path) == ".txt" {
			texts[filepath.Dir(path)]++
		}
	}
	rest := map[string][]string{}
	for _, path := range c.seen {
		if dir := filepath.Dir(path); filepath.Ext(path) == ".txt" && !c.taken[path] && !expected(path) {
			rest[dir] = append(rest[dir], path)
		}
	}
	for dir, files := range rest {
		if texts[dir] <= len(files) {
			continue
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			c.mails = append(c.mails, Mail{File: f, Raw: raw})
		}
	}
	return nil
}

func (c *collection) add(path string, named bool) error {
	ext := strings.ToLower(filepath.Ext(path))
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	many := slices.Contains(mboxes, ext)
	if !named && !many && !slices.Contains(extensions, ext) && !looksLikeMail(path, raw) {
		return nil
	}
	c.taken[path] = true
	if !many && (slices.Contains(extensions, ext) || !bytes.HasPrefix(raw, []byte("From "))) {
		c.mails = append(c.mails, Mail{File: path, Raw: raw})
		return nil
	}
	mails := splitMbox(raw)
	if !many && ext != "" && len(mails) == 1 { // one mail that was cut out of an mbox
		c.mails = append(c.mails, Mail{File: path, Raw: raw})
		return nil
	}
	for i, m := range mails {
		c.mails = append(c.mails, Mail{File: fmt.Sprintf("%s#%d", path, i+1), Raw: m})
	}
	return nil
}

// notMail are extensions of what lies beside mail: descriptions and expected results.
var notMail = []string{".md", ".tsv", ".jsonl", ".json", ".xml", ".html", ".out", ".bin", ".go", ".yaml"}

var field = regexp.MustCompile(`^([!-9;-~]+)[ \t]*:`)

// batch is the beginning of batched SMTP (RFC 2442).
var batch = regexp.MustCompile(`^(HELO|EHLO) \S+\r?\nMAIL FROM:`)

// telling are header fields of which a mail has at least one.
var telling = []string{"from", "to", "subject", "date", "received", "message-id", "mime-version", "content-type", "return-path", "delivered-to"}

// looksLikeMail tells whether a file begins with a header (RFC 5322 2.2).
func looksLikeMail(path string, raw []byte) bool {
	if slices.Contains(notMail, filepath.Ext(path)) || strings.HasPrefix(filepath.Base(path), ".") || expected(path) {
		return false
	}
	if batch.Match(bytes.TrimLeft(raw, "\r\n")) || filepath.Ext(path) == "" && len(raw) > 0 && len(bytes.TrimSpace(raw)) == 0 {
		return true
	}
	head, _, _ := bytes.Cut(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	fields, known := 0, 0
	for i, line := range strings.Split(string(head), "\n") {
		m := field.FindStringSubmatch(line)
		switch {
		case m != nil:
			fields++
			if slices.Contains(telling, strings.ToLower(m[1])) {
				known++
			}
		case i == 0 && strings.HasPrefix(line, "From "), line != "" && (line[0] == ' ' || line[0] == '\t'):
		case i == 0:
			return false
		}
	}
	return fields >= 1 && known >= 1
}

// expected tells whether the file holds the expected result for a mail beside
// it: X_decoded.txt beside X.msg.
func expected(path string) bool {
	stem, _, ok := strings.Cut(filepath.Base(path), "_decoded")
	if !ok {
		return false
	}
	_, err := os.Stat(filepath.Join(filepath.Dir(path), stem+".msg"))
	return err == nil
}
