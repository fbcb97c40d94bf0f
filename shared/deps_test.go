// Package shared_test holds the rule of which package may import which.
package shared_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "emailchannel.dev/emailchannel/"

// layers from the bottom up. A package may import those below its own layer,
// and of its own layer only pure packages import each other.
var layers = map[string]int{
	"shared/fault": 0, "shared/event": 0, "shared/email": 0, "shared/thread": 0, "shared/session": 0,
	"shared/route": 0, "shared/report": 0, "shared/hours": 0, "shared/reply": 0, "shared/crm": 0, "shared/filetype": 0, "shared/wire": 0,
	"shared/route/sim": 0,
	"shared/auth":      1, // who calls: no use case knows
	"shared/channel":   1,
	"shared/store":     2, "shared/mailbox": 2, "shared/oauth": 2, "shared/archive": 2, "shared/bus": 2, "shared/zendesk": 2, "shared/secret": 2, "shared/schedule": 2,
	"shared/config": 3, "shared/trigger": 3,
}

// impure are what pure packages must not import: they get values and return values.
var impure = []string{"context", "net", "net/http", "log", "log/slog", "os", "cloud.google.com/", "google.golang.org/"}

type pkg struct {
	ImportPath string
	Imports    []string
}

func TestDependencies(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		check(t, strings.TrimPrefix(p.ImportPath, module), p.Imports)
	}
	if seen < len(layers) {
		t.Errorf("go list names %d packages, fewer than the %d of the rule", seen, len(layers))
	}
}

func check(t *testing.T, from string, imports []string) {
	t.Helper()
	top, _, _ := strings.Cut(from, "/")
	layer, known := layers[from]
	if from == "shared" { // this test's own package
		return
	}
	if top == "shared" && !known && !strings.HasSuffix(from, "test") {
		t.Errorf("%s: give it a layer in this test", from)
	}
	for _, imp := range imports {
		to, ours := strings.CutPrefix(imp, module)
		switch {
		case !ours && top == "shared" && known && layer == 0 && from != "shared/fault" && isImpure(imp):
			t.Errorf("%s is pure and imports %s", from, imp)
		case !ours:
		case strings.HasPrefix(to, "functions/") && top != "emulator":
			t.Errorf("%s imports %s: only the emulator imports functions", from, to)
		case strings.HasPrefix(to, "emulator/") && top != "emulator" && top != "scripts":
			t.Errorf("%s imports %s: the product does not know the emulator", from, to)
		case top == "shared" && layers[to] > layer, top == "shared" && layers[to] == layer && layer > 0 && layer < 3:
			t.Errorf("%s imports %s: arrows point downwards only", from, to)
		}
	}
}

func isImpure(imp string) bool {
	for _, bad := range impure {
		if imp == bad || strings.HasSuffix(bad, "/") && strings.HasPrefix(imp, bad) {
			return true
		}
	}
	return false
}
