package wire

import (
	"maps"
	"reflect"
	"slices"
)

// Difference is a field that two trees have differently; nil stands for a side
// that does not have it. Lists are compared as a whole.
type Difference struct {
	Path          string
	Before, After any
}

// Compare lists the fields in which two trees of [Encode] differ, by path.
func Compare(before, after any) []Difference {
	var out []Difference
	compare(before, after, "", &out)
	return out
}

func compare(before, after any, path string, out *[]Difference) {
	a, aIsMap := before.(map[string]any)
	b, bIsMap := after.(map[string]any)
	if !(aIsMap || before == nil) || !(bIsMap || after == nil) || !aIsMap && !bIsMap {
		if !reflect.DeepEqual(before, after) {
			*out = append(*out, Difference{path, before, after})
		}
		return
	}
	names := maps.Clone(a)
	if names == nil {
		names = map[string]any{}
	}
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		compare(a[name], b[name], join(path, name), out)
	}
}
