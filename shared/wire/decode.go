package wire

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Misfit is a part of a tree that a type has no place for.
type Misfit struct{ Path, Message string }

// Decode fills into, a pointer, from a tree, and lists everything in it that
// is not known or does not fit. Fields that the tree lacks, or has as null,
// keep their value.
func Decode(tree any, into any) []Misfit {
	var d decoder
	d.value(tree, reflect.ValueOf(into).Elem(), "")
	return d.bad
}

// decoder collects what does not fit.
type decoder struct{ bad []Misfit }

func (d *decoder) refuse(path, format string, args ...any) {
	d.bad = append(d.bad, Misfit{path, fmt.Sprintf(format, args...)})
}

func (d *decoder) value(from any, to reflect.Value, path string) {
	if from == nil {
		return // as if it were left out
	}
	if w, ok := words[to.Type()]; ok {
		d.words(from, to, path, w.parse)
		return
	}
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		d.value(from, to.Elem(), path)
	case reflect.Struct:
		d.object(from, to, path)
	case reflect.Slice:
		d.list(from, to, path)
	case reflect.Map:
		d.entries(from, to, path)
	default:
		d.scalar(from, to, path)
	}
}

func (d *decoder) words(from any, to reflect.Value, path string, parse func(string) (any, error)) {
	s, ok := from.(string)
	if !ok {
		d.refuse(path, "must be a string")
		return
	}
	v, err := parse(s)
	if err != nil {
		d.refuse(path, "%v", err)
		return
	}
	to.Set(reflect.ValueOf(v))
}

func (d *decoder) object(from any, to reflect.Value, path string) {
	m, ok := from.(map[string]any)
	if !ok {
		d.refuse(path, "must be an object")
		return
	}
	known := map[string]bool{}
	for _, f := range Fields(to.Type()) {
		known[f.Name] = true
		if x, ok := m[f.Name]; ok {
			d.value(x, to.FieldByIndex(f.Index), join(path, f.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !known[name] {
			d.refuse(join(path, name), "is not known here")
		}
	}
}

func (d *decoder) entries(from any, to reflect.Value, path string) {
	m, ok := from.(map[string]any)
	if !ok {
		d.refuse(path, "must be an object")
		return
	}
	to.Set(reflect.MakeMap(to.Type()))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v := reflect.New(to.Type().Elem()).Elem()
		d.value(m[name], v, join(path, name))
		to.SetMapIndex(reflect.ValueOf(name), v)
	}
}

func (d *decoder) list(from any, to reflect.Value, path string) {
	l, ok := from.([]any)
	if !ok {
		d.refuse(path, "must be a list")
		return
	}
	to.Set(reflect.MakeSlice(to.Type(), len(l), len(l)))
	for i, x := range l {
		d.value(x, to.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (d *decoder) scalar(from any, to reflect.Value, path string) {
	switch to.Kind() {
	case reflect.String:
		if s, ok := from.(string); ok {
			to.SetString(s)
			return
		}
		d.refuse(path, "must be a string")
	case reflect.Bool:
		if b, ok := from.(bool); ok {
			to.SetBool(b)
			return
		}
		d.refuse(path, "must be true or false")
	case reflect.Int, reflect.Int64:
		i, ok := whole(from)
		if ok && !to.OverflowInt(i) {
			to.SetInt(i)
			return
		}
		d.refuse(path, "must be a whole number")
	default:
		panic(fmt.Sprintf("wire: %s: no wire format for %s", path, to.Type()))
	}
}

// whole is a number of JSON, of YAML, or of Encode.
func whole(from any) (int64, bool) {
	if i, ok := from.(int64); ok {
		return i, true
	}
	n, ok := from.(json.Number)
	i, err := n.Int64()
	return i, ok && err == nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
