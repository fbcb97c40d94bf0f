package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"gopkg.in/yaml.v3"
)

// Bounds of a YAML file. Its bytes are the caller's to limit.
const (
	maxDepth = 32
	maxBad   = 100 // misfits that are listed
)

// ParseYAML reads one YAML document as a tree, or lists what in it a tree does
// not have: anchors and aliases (which could stand for more than memory holds),
// tags, names that are there twice, more than 32 levels. The error is about
// what is no YAML at all. Dates and times may stand without quotes.
func ParseYAML(file []byte) (tree any, bad []Misfit, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(file))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return map[string]any{}, nil, nil
		}
		return nil, nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("more than one document")
	}
	var r yamlReader
	tree = r.value(doc.Content[0], "", 0)
	return tree, r.bad, nil
}

type yamlReader struct{ bad []Misfit }

func (r *yamlReader) refuse(n *yaml.Node, path, format string, args ...any) {
	if len(r.bad) < maxBad {
		r.bad = append(r.bad, Misfit{path, fmt.Sprintf("line %d: ", n.Line) + fmt.Sprintf(format, args...)})
	}
}

func (r *yamlReader) value(n *yaml.Node, path string, depth int) any {
	switch {
	case depth > maxDepth:
		r.refuse(n, path, "more than %d levels", maxDepth)
		return nil
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.refuse(n, path, "anchors and aliases are not read; write it out")
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		return r.mapping(n, path, depth)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = r.value(item, fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
		return list
	}
	return r.scalar(n, path)
}

func (r *yamlReader) mapping(n *yaml.Node, path string, depth int) any {
	out := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := join(path, key.Value)
		switch _, twice := out[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			r.refuse(key, path, "a name must be a plain word")
			continue
		case twice:
			r.refuse(key, at, "is there twice")
			continue
		}
		out[key.Value] = r.value(n.Content[i+1], at, depth+1)
	}
	return out
}

func (r *yamlReader) scalar(n *yaml.Node, path string) any {
	switch n.ShortTag() {
	case "!!str", "!!timestamp", "!!merge": // << means something as a name only
		return n.Value
	case "!!null":
		return nil
	case "!!bool":
		var v bool
		if n.Decode(&v) == nil {
			return v
		}
	case "!!int":
		var v int64
		if n.Decode(&v) == nil {
			return json.Number(strconv.FormatInt(v, 10))
		}
		return json.Number(n.Value) // fits nothing
	case "!!float":
		return json.Number(n.Value)
	}
	r.refuse(n, path, "%s is not read here", n.ShortTag())
	return nil
}
