package wire

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// FormatYAML writes a tree: names in order, a text of several lines as such,
// so that two files can be compared line by line. How each text is written is
// decided here, because the library's own choice does not always come back.
func FormatYAML(tree any) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(node(tree)); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

func node(v any) *yaml.Node {
	switch v := v.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			n.Content = append(n.Content, text(name, false), node(v[name]))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range v {
			n.Content = append(n.Content, node(item))
		}
		return n
	case string:
		return text(v, true)
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(v)} // numbers and booleans
}

// plainWord is what needs no quotes in any YAML, unless it is one of the words
// that mean something.
var (
	plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./@+ -]*$`)
	meaning   = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
)

func text(s string, lines bool) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
	switch {
	case plainWord.MatchString(s) && !strings.HasSuffix(s, " ") && !slices.Contains(meaning, strings.ToLower(s)):
		n.Style = 0
	case lines && isLines(s):
		n.Style = yaml.LiteralStyle
	}
	return n
}

// isLines tells whether s is text of several lines that a block keeps as it
// is: none begins or ends blank, and nothing in it is invisible.
func isLines(s string) bool {
	if !strings.Contains(s, "\n") || strings.HasPrefix(s, "\n") || strings.HasPrefix(s, " ") {
		return false
	}
	if strings.HasSuffix(s, "\n\n") || strings.Contains(s, " \n") || strings.HasSuffix(s, " ") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && (!unicode.IsGraphic(r) || r != ' ' && unicode.IsSpace(r))
	})
}
