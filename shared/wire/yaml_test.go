package wire

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyTree draws a tree as Encode makes them, without numbers, which come back
// as words.
func anyTree(depth int) *rapid.Generator[any] {
	text := rapid.Custom(func(t *rapid.T) any {
		return rapid.OneOf(rapid.String(), rapid.StringMatching(`[ \t\n:#\-'"&*!|>%@{}\[\],?~<]{0,8}`),
			rapid.SampledFrom([]string{"null", "true", "no", "1", "0x1f", "1_000", ".5", "09:30", "2026-11-21", "3h0m0s", "<<", "=", "a: b", "<p>\n  x\n</p>\n", "\n", " \n x", "tab\there", "\u2028", "\u0085", "\ufeff", "\r\n"})).Draw(t, "text")
	})
	if depth == 0 {
		return text
	}
	sub := anyTree(depth - 1)
	return rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return rapid.Bool().Draw(t, "bool")
		case 1:
			return rapid.SliceOfN(sub, 0, 3).Draw(t, "list")
		case 2:
			return rapid.MapOfN(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "1", "true", "null", "09:30", "<<", "a b", "*"})), sub, 0, 3).Draw(t, "map")
		}
		return text.Draw(t, "leaf")
	})
}

// TestYAMLComesBack: what was written is read as it was, and written again as the same bytes.
func TestYAMLComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := anyTree(3).Draw(t, "tree")
		file, err := FormatYAML(tree)
		if err != nil {
			t.Fatal(err)
		}
		got, bad, err := ParseYAML(file)
		if err != nil || len(bad) > 0 || !reflect.DeepEqual(got, tree) {
			t.Fatalf("%#v came back as %#v, %v, %v from\n%s", tree, got, bad, err, file)
		}
		again, err := FormatYAML(got)
		if err != nil || !bytes.Equal(again, file) {
			t.Fatalf("%s became %s, %v", file, again, err)
		}
	})
}

func TestHostileYAML(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n"
	for name, tt := range map[string]struct{ file, want string }{
		"bomb":      {bomb, "a: line 1: anchors"},
		"alias":     {"a: &x 1\nb: *x\n", "b: line 2: anchors"},
		"merge":     {"<<: {a: 1}\n", "line 1: a name must be"},
		"twice":     {"a: 1\nb: 2\na: 3\n", "a: line 3: is there twice"},
		"depth":     {strings.Repeat("[", 40) + strings.Repeat("]", 40), "more than 32 levels"},
		"tag":       {"a: !!binary aGk=\n", "a: line 1: !!binary is not read"},
		"own tag":   {"a: !env SECRET\n", "a: line 1: !env is not read"},
		"list key":  {"? [a]\n: b\n", "a name must be"},
		"many":      {strings.Repeat("- !x y\n", 5000), "[99]: line 100"},
		"documents": {"a: 1\n---\nb: 2\n", "more than one document"},
		"no YAML":   {"a: [", "yaml:"},
	} {
		_, bad, err := ParseYAML([]byte(tt.file))
		var said []string
		for _, m := range bad {
			said = append(said, m.Path+": "+m.Message)
		}
		if err != nil {
			said = append(said, err.Error())
		}
		if !strings.Contains(strings.Join(said, "\n"), tt.want) || len(bad) > maxBad {
			t.Errorf("%s: %d misfits, %v", name, len(bad), said)
		}
	}
	if tree, bad, err := ParseYAML(nil); err != nil || bad != nil || !reflect.DeepEqual(tree, map[string]any{}) {
		t.Errorf("nothing: %v, %v, %v", tree, bad, err)
	}
}

// TestWordsWithoutQuotes: people write dates and times as they are.
func TestWordsWithoutQuotes(t *testing.T) {
	tree, bad, err := ParseYAML([]byte("date: 2026-12-25\nfrom: 09:30\nlong: 3h0m0s\nn: 7\nhex: 0x10\non: true\nnothing: ~\n"))
	if err != nil || bad != nil {
		t.Fatal(bad, err)
	}
	var v struct {
		Date, From, Long string
		N, Hex           int
		On               bool
		Nothing          string
	}
	v.Nothing = "as it was"
	if bad := Decode(tree, &v); bad != nil || v.Date != "2026-12-25" || v.From != "09:30" || v.Long != "3h0m0s" || v.N != 7 || v.Hex != 16 || !v.On || v.Nothing != "as it was" {
		t.Errorf("%+v, %v", v, bad)
	}
}

// FuzzParseYAML: whatever is read can be written, and comes back.
func FuzzParseYAML(f *testing.F) {
	for _, s := range []string{"", "a: 1\nb: [x, {y: ~}]\n", "a: &a [*a]\n", "<p>\n", "? x\n", "a: |\n  b\n   c\n", "2026-11-21: 09:30\n", "\"\\u0085\": 1e3\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(file) > 64<<10 {
			return
		}
		tree, bad, err := ParseYAML(file)
		if err != nil || len(bad) > 0 {
			return
		}
		out, err := FormatYAML(tree)
		if err != nil {
			t.Fatalf("%#v: %v", tree, err)
		}
		again, bad, err := ParseYAML(out)
		if err != nil || len(bad) > 0 {
			t.Fatalf("%q became %q: %v, %v", file, out, bad, err)
		}
		if twice, err := FormatYAML(again); err != nil || !bytes.Equal(twice, out) {
			t.Fatalf("%q became %q and then %q, %v", file, out, twice, err)
		}
	})
}
