package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"emailchannel.dev/emailchannel/shared/channel"
	"emailchannel.dev/emailchannel/shared/hours"
	"emailchannel.dev/emailchannel/shared/store"
)

// The wire format. A field has the name that it has in the database
// ([store.Fields]). Times are RFC 3339 and left out when they are not known; lists are
// never null; durations, dates and times of day are the words that people
// write: "3h0m0s", "2026-11-21", "09:30".

// words are the types that are written as people write them.
var words = map[reflect.Type]struct {
	format func(reflect.Value) string
	parse  func(string) (any, error)
}{
	reflect.TypeFor[time.Time](): {
		func(v reflect.Value) string { return v.Interface().(time.Time).Format(time.RFC3339Nano) },
		func(s string) (any, error) {
			t, err := time.Parse(time.RFC3339, s)
			if err != nil {
				return nil, errors.New("must be a time like 2026-11-21T09:30:00Z")
			}
			return t.UTC(), nil
		},
	},
	reflect.TypeFor[time.Duration](): {
		func(v reflect.Value) string { return time.Duration(v.Int()).String() },
		func(s string) (any, error) {
			d, err := time.ParseDuration(s)
			if err != nil {
				return nil, errors.New(`must be a duration like "3h" or "90m"`)
			}
			return d, nil
		},
	},
	reflect.TypeFor[hours.Date](): {
		func(v reflect.Value) string { return v.Interface().(hours.Date).String() },
		func(s string) (any, error) {
			d, err := hours.ParseDate(s)
			if err != nil {
				return nil, errors.New("must be a date like 2026-11-21")
			}
			return d, nil
		},
	},
	reflect.TypeFor[hours.TimeOfDay](): {
		func(v reflect.Value) string { return hours.TimeOfDay(v.Int()).String() },
		func(s string) (any, error) {
			t, err := hours.ParseTimeOfDay(s)
			if err != nil {
				return nil, errors.New("must be a time of day like 09:30")
			}
			return t, nil
		},
	},
}

// encode makes of v what encoding/json writes as the wire format.
func encode(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	if w, ok := words[v.Type()]; ok {
		return w.format(v)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return encode(v.Elem())
	case reflect.Struct:
		m := map[string]any{}
		for _, f := range store.Fields(v.Type()) {
			x := v.FieldByIndex(f.Index)
			unknown := x.Type() == reflect.TypeFor[time.Time]() || x.Type() == reflect.TypeFor[hours.Date]()
			if (f.Omit || unknown) && x.IsZero() {
				continue
			}
			m[f.Name] = encode(x)
		}
		return m
	case reflect.Map:
		m := map[string]any{}
		for it := v.MapRange(); it.Next(); {
			m[it.Key().String()] = encode(it.Value())
		}
		return m
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes()
		}
		l := make([]any, v.Len())
		for i := range l {
			l[i] = encode(v.Index(i))
		}
		return l
	}
	return v.Interface()
}

// errSyntax means that a body is no JSON.
var errSyntax = errors.New("the body is not valid JSON")

// decode fills into, a pointer to a struct, from a body. It names every field
// that is not known or does not fit ([*channel.Invalid]).
func decode(r io.Reader, into any) error {
	dec := json.NewDecoder(r)
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("%w: %w", errSyntax, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the object", errSyntax)
	}
	if _, ok := v.(map[string]any); !ok {
		return fmt.Errorf("%w: it must be an object", errSyntax)
	}
	var d decoder
	d.value(v, reflect.ValueOf(into).Elem(), "")
	if len(d.bad.Fields) > 0 {
		return &d.bad
	}
	return nil
}

// decoder collects what does not fit.
type decoder struct{ bad channel.Invalid }

func (d *decoder) refuse(path, format string, args ...any) {
	d.bad.Fields = append(d.bad.Fields, channel.Field{Name: path, Message: fmt.Sprintf(format, args...)})
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
	for _, f := range store.Fields(to.Type()) {
		known[f.Name] = true
		if x, ok := m[f.Name]; ok {
			d.value(x, to.FieldByIndex(f.Index), join(path, f.Name))
		}
	}
	for _, name := range sortedKeys(m) {
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
	for _, name := range sortedKeys(m) {
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
		n, ok := from.(json.Number)
		if i, err := n.Int64(); ok && err == nil && !to.OverflowInt(i) {
			to.SetInt(i)
			return
		}
		d.refuse(path, "must be a whole number")
	default:
		panic(fmt.Sprintf("api: %s: no wire format for %s", path, to.Type()))
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
