package store

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"emailchannel.dev/emailchannel/shared/wire"
)

// Times stay times, so that queries compare them.

var timeType = reflect.TypeFor[time.Time]()

// encode makes of v what the Firestore client stores.
func encode(v any) any { return encodeValue(reflect.ValueOf(v)) }

func encodeValue(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return encodeValue(v.Elem())
	case reflect.Struct:
		if v.Type() == timeType {
			return v.Interface()
		}
		m := make(map[string]any)
		for _, f := range wire.Fields(v.Type()) {
			x := v.FieldByIndex(f.Index)
			if f.Omit && x.IsZero() {
				continue
			}
			m[f.Name] = encodeValue(x)
		}
		return m
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			m[strings.ToValidUTF8(it.Key().String(), "\uFFFD")] = encodeValue(it.Value())
		}
		return m
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes()
		}
		fallthrough
	case reflect.Array:
		l := make([]any, v.Len())
		for i := range l {
			l[i] = encodeValue(v.Index(i))
		}
		return l
	case reflect.String:
		return strings.ToValidUTF8(v.String(), "\uFFFD")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return int64(v.Uint())
	case reflect.Bool:
		return v.Bool()
	case reflect.Float32, reflect.Float64:
		return v.Float()
	}
	panic(fmt.Sprintf("store: cannot encode %s", v.Type()))
}

// decode fills into, a pointer, from what the client returns. Fields that are
// not stored keep their zero value.
func decode(from any, into any) error {
	return decodeValue(from, reflect.ValueOf(into).Elem())
}

func decodeValue(from any, to reflect.Value) error {
	if from == nil {
		to.SetZero()
		return nil
	}
	if to.Type() == timeType {
		t, ok := from.(time.Time)
		if !ok {
			return mismatch(from, to)
		}
		to.Set(reflect.ValueOf(t.UTC()))
		return nil
	}
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		return decodeValue(from, to.Elem())
	case reflect.Struct:
		return decodeStruct(from, to)
	case reflect.Map:
		return decodeMap(from, to)
	case reflect.Slice:
		return decodeSlice(from, to)
	}
	return decodeScalar(from, to)
}

func decodeStruct(from any, to reflect.Value) error {
	m, ok := from.(map[string]any)
	if !ok {
		return mismatch(from, to)
	}
	for _, f := range wire.Fields(to.Type()) {
		if x, ok := m[f.Name]; ok {
			if err := decodeValue(x, to.FieldByIndex(f.Index)); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	return nil
}

func decodeMap(from any, to reflect.Value) error {
	m, ok := from.(map[string]any)
	if !ok {
		return mismatch(from, to)
	}
	to.Set(reflect.MakeMapWithSize(to.Type(), len(m)))
	for k, x := range m {
		v := reflect.New(to.Type().Elem()).Elem()
		if err := decodeValue(x, v); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
		to.SetMapIndex(reflect.ValueOf(k).Convert(to.Type().Key()), v)
	}
	return nil
}

func decodeSlice(from any, to reflect.Value) error {
	if b, ok := from.([]byte); ok && to.Type().Elem().Kind() == reflect.Uint8 {
		to.SetBytes(b)
		return nil
	}
	l, ok := from.([]any)
	if !ok {
		return mismatch(from, to)
	}
	to.Set(reflect.MakeSlice(to.Type(), len(l), len(l)))
	for i, x := range l {
		if err := decodeValue(x, to.Index(i)); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}

func decodeScalar(from any, to reflect.Value) error {
	switch x := from.(type) {
	case string:
		if to.Kind() == reflect.String {
			to.SetString(x)
			return nil
		}
	case bool:
		if to.Kind() == reflect.Bool {
			to.SetBool(x)
			return nil
		}
	case int64:
		switch {
		case to.CanInt() && !to.OverflowInt(x):
			to.SetInt(x)
			return nil
		case to.CanUint() && x >= 0 && !to.OverflowUint(uint64(x)):
			to.SetUint(uint64(x))
			return nil
		case to.CanFloat():
			to.SetFloat(float64(x))
			return nil
		}
	case float64:
		if to.CanFloat() {
			to.SetFloat(x)
			return nil
		}
	}
	return mismatch(from, to)
}

func mismatch(from any, to reflect.Value) error {
	return fmt.Errorf("stored %T does not fit %s", from, to.Type())
}
