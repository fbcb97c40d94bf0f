package wire

import (
	"reflect"
	"time"

	"emailchannel.dev/emailchannel/shared/hours"
)

// Encode makes the tree of a value: maps, lists, strings, numbers and booleans,
// which encoding/json writes as they are.
func Encode(v any) any { return encode(reflect.ValueOf(v)) }

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
		for _, f := range Fields(v.Type()) {
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
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	}
	return v.Interface()
}
