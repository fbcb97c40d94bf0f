package zendesk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"gopkg.in/yaml.v3"
)

// Zendesk's file is 1.2 MB, and its model takes more memory than the rest of the suite. So the text is cut into
// blocks by its indentation, only the served paths and what they refer to are parsed, examples and prose are
// dropped, and the model is built from that.

// contractLoader holds the contract once it is read.
type contractLoader struct {
	done     chan struct{}
	contract *contract // nil when there is no file
}

// loadContract reads the file in the background.
func loadContract(path string, served []string, log *slog.Logger) *contractLoader {
	l := &contractLoader{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		c, err := readContract(path, served)
		if err != nil {
			log.Warn("zendesk fake: requests are not checked against Zendesk's OpenAPI file", "reason", err)
			return
		}
		l.contract = c
	}()
	return l
}

// wait returns the contract, nil when there is none.
func (l *contractLoader) wait() *contract {
	<-l.done
	return l.contract
}

func readContract(path string, served []string) (*contract, error) {
	if path == "" {
		return nil, fmt.Errorf("no file given")
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	small, err := extract(src, served)
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(small)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	relax(doc)
	return newContract(doc), nil
}

// extract returns, as JSON, the part of the document that the served paths need.
func extract(src []byte, served []string) ([]byte, error) {
	blocks := cut(src)
	doc := map[string]any{
		"openapi": "3.0.3", "info": map[string]any{"title": "Support API", "version": "2.0.0"},
		"paths": map[string]any{}, "components": map[string]any{},
	}
	var wanted []string
	for _, p := range served {
		wanted = append(wanted, "paths/"+p)
	}
	done := map[string]bool{}
	for len(wanted) > 0 {
		name := wanted[0]
		wanted = wanted[1:]
		block, found := blocks[name]
		if !found || done[name] {
			continue
		}
		done[name] = true
		var tree map[string]any
		if err := yaml.Unmarshal(block, &tree); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		wanted = append(wanted, prune(tree, false)...)
		place(doc, name, tree)
	}
	return json.Marshal(doc)
}

// place puts a block's tree, {key: node}, where it stood.
func place(doc map[string]any, name string, tree map[string]any) {
	into := doc["paths"].(map[string]any)
	if parts := strings.Split(name, "/"); parts[0] == "components" {
		groups := doc["components"].(map[string]any)
		if groups[parts[1]] == nil {
			groups[parts[1]] = map[string]any{}
		}
		into = groups[parts[1]].(map[string]any)
	}
	for k, v := range tree {
		into[k] = v
	}
}

var blockStart = regexp.MustCompile(`^( {0,4})([^ #][^:]*):\s*$`)

// cut maps "paths//api/v2/tickets" and "components/schemas/Name" to the text of the block.
func cut(src []byte) map[string][]byte {
	blocks := map[string][]byte{}
	section, group, open, from, off := "", "", "", 0, 0
	end := func() {
		if open != "" {
			blocks[open] = src[from:off]
			open = ""
		}
	}
	for line := range bytes.Lines(src) {
		if m := blockStart.FindSubmatch(bytes.TrimRight(line, "\r\n")); m != nil {
			name := string(m[2])
			switch {
			case len(m[1]) == 0:
				end()
				section = name
			case len(m[1]) == 2 && section == "components":
				end()
				group = name
			case len(m[1]) == 2 && section == "paths":
				end()
				open, from = "paths/"+strings.Trim(name, `"'`), off
			case len(m[1]) == 4 && section == "components":
				end()
				open, from = "components/"+group+"/"+name, off
			}
		}
		off += len(line)
	}
	end()
	return blocks
}

// prune drops examples and prose and returns the references that are left. Names of properties are kept as they are.
func prune(node any, names bool) (refs []string) {
	switch n := node.(type) {
	case map[string]any:
		for k, v := range n {
			text, isText := v.(string)
			switch {
			case names:
				refs = append(refs, prune(v, false)...)
			case k == "example" || k == "examples":
				delete(n, k)
			case k == "description" && isText:
				n[k] = "-" // a response must have one
			case k == "$ref" && isText:
				refs = append(refs, strings.TrimPrefix(text, "#/"))
			default:
				refs = append(refs, prune(v, k == "properties")...)
			}
		}
	case []any:
		for _, v := range n {
			refs = append(refs, prune(v, false)...)
		}
	}
	return refs
}

// relax corrects what the file says about requests and Zendesk's pages contradict: a ticket's custom_fields are
// {id, value}, but the file refers to the definition of a field, whose ID is read-only and whose title is required.
func relax(doc *openapi3.T) {
	if f := doc.Components.Schemas["CustomFieldObject"]; f != nil && f.Value != nil {
		f.Value.Required = nil
		if id := f.Value.Properties["id"]; id != nil && id.Value != nil {
			id.Value.ReadOnly = false
		}
	}
}
