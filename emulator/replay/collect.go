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

// extensions of files that hold one mail; an mbox has its own.
var extensions = []string{".eml", ".msg", ".raw", ".mbox"}

// Collect reads the mails of files and folders. A single file is taken as it
// is; of folders and lists, as a shell's ** makes them, files by the extensions
// of mail, and others where their first lines are a mail's header. A text file
// among such also counts, the mail without a header, and a file of blanks
// without an extension, the empty mail.
func Collect(paths []string) ([]Mail, error) {
	var out []Mail
	seen := map[string]bool{}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			if err := add(&out, seen, p, len(paths) == 1); err != nil {
				return nil, err
			}
			continue
		}
		err = filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			return add(&out, seen, path, false)
		})
		if err != nil {
			return nil, err
		}
	}
	if out, err := headless(out, seen); err != nil || len(out) > 0 {
		return out, err
	}
	return nil, fmt.Errorf("no mail in %s", strings.Join(paths, " "))
}

// headless adds the text files that have no header but lie among mails.
func headless(out []Mail, seen map[string]bool) ([]Mail, error) {
	taken, texts := map[string]bool{}, map[string]int{}
	for _, m := range out {
		taken[filepath.Clean(m.File)] = true
		if filepath.Ext(m.File) == ".txt" {
			texts[filepath.Dir(m.File)]++
		}
	}
	rest := map[string][]string{}
	for path := range seen {
		if dir := filepath.Dir(path); filepath.Ext(path) == ".txt" && !taken[path] && !expected(path) {
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
				return nil, err
			}
			out = append(out, Mail{File: f, Raw: raw})
		}
	}
	return out, nil
}

func add(out *[]Mail, seen map[string]bool, path string, named bool) error {
	if clean := filepath.Clean(path); seen[clean] {
		return nil
	} else {
		seen[clean] = true
	}
	ext := filepath.Ext(path)
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !named && !slices.Contains(extensions, ext) && !looksLikeMail(path, raw) {
		return nil
	}
	if ext == ".mbox" || ext == "" && bytes.HasPrefix(raw, []byte("From ")) {
		for i, m := range splitMbox(raw) {
			*out = append(*out, Mail{File: fmt.Sprintf("%s#%d", path, i+1), Raw: m})
		}
		return nil
	}
	*out = append(*out, Mail{File: path, Raw: raw})
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

// splitMbox cuts at the lines that begin with "From " after an empty one
// (RFC 4155); each mail keeps its line, from which the parser takes the sender.
func splitMbox(raw []byte) [][]byte {
	var out [][]byte
	start := 0
	for i := 0; i < len(raw); {
		next := bytes.Index(raw[i:], []byte("\nFrom "))
		if next < 0 {
			break
		}
		at := i + next + 1
		before := bytes.TrimSuffix(raw[start:at-1], []byte("\r"))
		if len(before) == 0 || before[len(before)-1] == '\n' {
			out = append(out, raw[start:at])
			start = at
		}
		i = at
	}
	return append(out, raw[start:])
}
