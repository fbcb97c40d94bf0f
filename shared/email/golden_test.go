package email

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files from what Parse returns now")

// golden is what a fixture is expected to give.
type golden struct {
	Mail     *Mail
	Content  []string `json:",omitempty"` // of each part: "index: content"
	Suppress string   `json:",omitempty"`
	Fresh    string   `json:",omitempty"` // where SplitReply folds
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".eml"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			have := readGolden(t, raw)
			compareGolden(t, strings.TrimSuffix(file, ".eml")+".json", have)
		})
	}
}

func readGolden(t *testing.T, raw []byte) golden {
	t.Helper()
	var g golden
	var err error
	g.Mail, err = Parse(bytes.NewReader(raw), "", Limits{}, func(p Part, r io.Reader) error {
		b, err := io.ReadAll(r)
		g.Content = append(g.Content, fmt.Sprintf("%s: %q", p.Index, b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	checkMail(t, "", g.Mail)
	g.Suppress, _ = g.Mail.Suppress()
	if fresh, quoted := SplitReply(g.Mail.Text); quoted != "" {
		g.Fresh = fresh
	}
	return g
}

func compareGolden(t *testing.T, file string, have golden) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(have); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("-want +have:\n%s", diff)
	}
}
