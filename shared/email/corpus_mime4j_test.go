package email

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mime4jLeaves counts the leaves of the mails that Apache James Mime4j ships with its own results.
// Three more files, all empty, are named by none of its results.
const mime4jLeaves = 161

// mime4jDiffers explains every mail whose leaves are not those of Mime4j.
func mime4jDiffers() map[string]string {
	const (
		more    = "Mime4j puts this text into no leaf: it counts as preamble, header or nothing. We show it; nothing that was sent is hidden"
		lastTwo = "the base64 ends within a group of four; Mime4j drops the group, we keep its two whole bytes (DESIGN 6)"
	)
	return map[string]string{
		"badbound":                              more + " (the boundary is folded over two lines and never matches)",
		"hdr-fakeout":                           more + " (the empty line after the header holds a blank)",
		"basic-plain-with-bad-header-separator": more + " (the empty line after the header holds a blank)",
		"malformedHeader-noheader":              more + " (no header at all)",
		"malformedHeaderStartsBody-noheader":    more + " (no header at all)",
		"missing-boundary":                      more + " (the declared boundary never comes)",
		"missing-inner-boundary":                more + " (the declared boundary never comes)",
		"frag":                                  lastTwo,
		"multi-frag":                            lastTwo,
		"malformedHeaderStartsBody-nocrlfcrlf": "a line without a colon between two fields is a fold that lost its indent here and the first line of the body there; " +
			"in real mail the fold is common and the other is not seen",
	}
}

func TestCorpusMime4j(t *testing.T) {
	root := needCorpus(t, "james-mime4j")
	known, leaves, bad := mime4jDiffers(), 0, 0
	mails, err := filepath.Glob(filepath.Join(root, "*", "*.msg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range mails {
		want := mime4jLeavesOf(t, file)
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		leaves += len(want)
		missing, why := leavesDiffer(readLeaves(t, raw), want)
		bad += missing
		base := strings.TrimSuffix(filepath.Base(file), ".msg")
		compareKnown(t, known, base, strings.Join(why, "; "))
	}
	failOnStale(t, known)
	t.Logf("%d mails, %d of %d leaves equal (%.1f %%)", len(mails), leaves-bad, leaves, 100*float64(leaves-bad)/float64(leaves))
	if leaves != mime4jLeaves {
		t.Errorf("%d leaves, want %d", leaves, mime4jLeaves)
	}
}

// compareKnown holds one result against a table of explained differences and takes a met entry out of it.
func compareKnown(t *testing.T, known map[string]string, name, why string) {
	t.Helper()
	reason, listed := known[name]
	delete(known, name)
	switch {
	case why != "" && !listed:
		t.Errorf("%s: %s", name, why)
	case why != "":
		t.Logf("%s: %s\n\tbecause %s", name, why, reason)
	case listed:
		t.Errorf("%s is as expected now; it is listed because %s", name, reason)
	}
}

func failOnStale(t *testing.T, known map[string]string) {
	t.Helper()
	for name, reason := range known {
		t.Errorf("%s was not met; it is listed because %s", name, reason)
	}
}

// leaf4j is one leaf of Mime4j: its name there and its content after the transfer decoding.
type leaf4j struct {
	name    string
	charset string
	content string
}

// mime4jLeavesOf reads X_decoded.xml, which names the files that hold the leaves.
func mime4jLeavesOf(t *testing.T, mail string) []leaf4j {
	t.Helper()
	base := strings.TrimSuffix(mail, ".msg")
	raw, err := os.ReadFile(base + "_decoded.xml")
	if err != nil {
		t.Fatal(err)
	}
	var leaves []leaf4j
	d := xml.NewDecoder(bytes.NewReader(raw))
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	charset := ""
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return leaves
		}
		if err != nil {
			t.Fatalf("%s: %v", filepath.Base(mail), err)
		}
		if f, ok := tok.(xml.CharData); ok && nameLength(bytes.TrimSpace(f)) > 0 {
			if f := cutField(bytes.TrimSpace(f), nameLength(bytes.TrimSpace(f))); f.key == "content-type" {
				_, ps := parseParams(unixLines(f.value), "")
				charset = ps["charset"]
			}
		}
		e, ok := tok.(xml.StartElement)
		if !ok || e.Name.Local != "text-body" && e.Name.Local != "binary-body" || len(e.Attr) == 0 {
			continue
		}
		name := e.Attr[0].Value
		content, err := os.ReadFile(filepath.Join(filepath.Dir(mail), name))
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leaf4j{strings.TrimPrefix(name, filepath.Base(base)+"_decoded_"), charset, string(content)})
	}
}

// ourLeaves is what Parse gives, enclosed mails opened like Mime4j opens them.
type ourLeaves struct {
	text, html string
	files      []string
}

func readLeaves(t *testing.T, raw []byte) ourLeaves {
	t.Helper()
	var o ourLeaves
	m, err := Parse(bytes.NewReader(raw), "", Limits{}, func(p Part, r io.Reader) error {
		b, err := io.ReadAll(r)
		if p.Type != "message/rfc822" {
			o.files = append(o.files, string(b))
			return err
		}
		if len(bytes.TrimSpace(b)) == 0 {
			return err // an enclosed mail without a byte
		}
		in := readLeaves(t, b)
		o.text, o.html, o.files = o.text+in.text+"\n", o.html+in.html, append(o.files, in.files...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	o.text, o.html = m.Text+"\n"+o.text, m.HTML+"\n"+o.html
	return o
}

// leavesDiffer takes each expected leaf out of what we have and tells what is missing and what is left over.
func leavesDiffer(have ourLeaves, want []leaf4j) (missing int, why []string) {
	for _, w := range want {
		if !have.take(w) {
			missing++
			why = append(why, fmt.Sprintf("no %s %.40q (%d bytes)", w.name, w.content, len(w.content)))
		}
	}
	if rest := strings.TrimSpace(have.text); rest != "" && have.html == "\n" {
		why = append(why, fmt.Sprintf("text beyond: %.60q", rest))
	}
	for _, f := range have.files {
		if strings.TrimSpace(f) != "" {
			why = append(why, fmt.Sprintf("a file beyond: %.60q", f))
		}
	}
	return missing, why
}

func (o *ourLeaves) take(leaf leaf4j) bool {
	for i, f := range o.files {
		if f == leaf.content || sameText(f, leaf.content) {
			o.files = append(o.files[:i:i], o.files[i+1:]...)
			return true
		}
	}
	text, _ := toUTF8([]byte(leaf.content), leaf.charset)
	text = strings.TrimSpace(unixLines(text))
	if text == "" {
		return true
	}
	for _, s := range []*string{&o.text, &o.html} {
		if before, after, ok := strings.Cut(*s, text); ok {
			*s = before + after
			return true
		}
	}
	return false
}

func sameText(a, b string) bool {
	return strings.TrimSpace(unixLines(a)) == strings.TrimSpace(unixLines(b))
}
