package firestore

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// declared is the content of a firestore.indexes.json, which decides what the cloud would serve.
type declared struct {
	composites map[string][]composite
	overrides  map[string]override // by collection group + "/" + field path
	ttl        []ttlPolicy
}

// composite is a declared composite index; direction is ascending, descending or contains per field.
type composite struct {
	group  bool
	fields []indexedField
}

type indexedField struct {
	path      string
	direction direction
}

type direction string

const (
	ascending  direction = "ASCENDING"
	descending direction = "DESCENDING"
	contains   direction = "CONTAINS"
)

// override replaces the automatic single-field indexes of one field.
type override struct{ indexes []scopedDirection }

type scopedDirection struct {
	group     bool
	direction direction
}

// automatic is what every field has without an override.
var automatic = override{[]scopedDirection{{false, ascending}, {false, descending}, {false, contains}}}

type ttlPolicy struct {
	group string
	path  fieldPath
}

// indexFile is the format of the Firebase CLI, https://firebase.google.com/docs/reference/firestore/indexes.
type indexFile struct {
	Indexes        []indexJSON    `json:"indexes"`
	FieldOverrides []overrideJSON `json:"fieldOverrides"`
}

type indexJSON struct {
	CollectionGroup string      `json:"collectionGroup"`
	QueryScope      string      `json:"queryScope"`
	Fields          []fieldJSON `json:"fields"`
}

type fieldJSON struct {
	FieldPath   string    `json:"fieldPath"`
	Order       direction `json:"order,omitempty"`
	ArrayConfig direction `json:"arrayConfig,omitempty"`
}

type overrideJSON struct {
	CollectionGroup string `json:"collectionGroup"`
	FieldPath       string `json:"fieldPath"`
	TTL             bool   `json:"ttl"`
	Indexes         *[]struct {
		Order       direction `json:"order"`
		ArrayConfig direction `json:"arrayConfig"`
		QueryScope  string    `json:"queryScope"`
	} `json:"indexes"`
}

const (
	scopeCollection = "COLLECTION"
	scopeGroup      = "COLLECTION_GROUP"
)

func parseIndexes(data []byte) (*declared, error) {
	var file indexFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	d := &declared{composites: map[string][]composite{}, overrides: map[string]override{}}
	for _, ix := range file.Indexes {
		c, err := ix.parse()
		if err != nil {
			return nil, fmt.Errorf("index on %q: %w", ix.CollectionGroup, err)
		}
		d.composites[ix.CollectionGroup] = append(d.composites[ix.CollectionGroup], c)
	}
	for _, o := range file.FieldOverrides {
		if err := d.addOverride(o); err != nil {
			return nil, fmt.Errorf("override of %q.%q: %w", o.CollectionGroup, o.FieldPath, err)
		}
	}
	return d, nil
}

func (ix *indexJSON) parse() (composite, error) {
	group, err := parseScope(ix.QueryScope)
	if err != nil {
		return composite{}, err
	}
	c := composite{group: group}
	if ix.CollectionGroup == "" || len(ix.Fields) < 2 {
		return c, fmt.Errorf("a composite index needs a collectionGroup and at least two fields")
	}
	for _, f := range ix.Fields {
		p, err := parseFieldPath(f.FieldPath)
		if err != nil {
			return c, err
		}
		dir, err := parseDirection(f.Order, f.ArrayConfig)
		if err != nil {
			return c, err
		}
		c.fields = append(c.fields, indexedField{p.text, dir})
	}
	return c, nil
}

func (d *declared) addOverride(o overrideJSON) error {
	p, err := parseFieldPath(o.FieldPath)
	if err != nil {
		return err
	}
	if o.TTL {
		d.ttl = append(d.ttl, ttlPolicy{o.CollectionGroup, p})
	}
	if o.Indexes == nil {
		return nil // a TTL policy alone leaves the automatic indexes
	}
	var out override
	for _, ix := range *o.Indexes {
		group, err := parseScope(ix.QueryScope)
		if err != nil {
			return err
		}
		dir, err := parseDirection(ix.Order, ix.ArrayConfig)
		if err != nil {
			return err
		}
		out.indexes = append(out.indexes, scopedDirection{group, dir})
	}
	d.overrides[o.CollectionGroup+"/"+p.text] = out
	return nil
}

func parseScope(s string) (group bool, err error) {
	if s != "" && s != scopeCollection && s != scopeGroup {
		return false, fmt.Errorf("unknown queryScope %q", s)
	}
	return s == scopeGroup, nil
}

func parseDirection(order, array direction) (direction, error) {
	switch {
	case array == contains && order == "":
		return contains, nil
	case array == "" && (order == ascending || order == descending):
		return order, nil
	}
	return "", fmt.Errorf("order %q and arrayConfig %q: expected one of ASCENDING, DESCENDING, CONTAINS", order, array)
}

func (d *declared) single(group bool, id, path string, dir direction) bool {
	o, ok := d.overrides[id+"/"+path]
	if !ok {
		o = automatic
	}
	return slices.Contains(o.indexes, scopedDirection{group, dir})
}

// describe returns the index as an element of the file's "indexes".
func (c composite) describe(id string) string {
	ix := indexJSON{CollectionGroup: id, QueryScope: scopeCollection}
	if c.group {
		ix.QueryScope = scopeGroup
	}
	for _, f := range c.fields {
		j := fieldJSON{FieldPath: f.path, Order: f.direction}
		if f.direction == contains {
			j.Order, j.ArrayConfig = "", contains
		}
		ix.Fields = append(ix.Fields, j)
	}
	b, err := json.Marshal(ix)
	if err != nil {
		return strings.TrimSpace(err.Error()) // plain strings always marshal
	}
	return string(b)
}
