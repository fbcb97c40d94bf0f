package wire

import (
	"reflect"
	"strings"
	"sync"
	"unicode"
)

// Field is a field of a struct with its name outside of the program: that of
// the json tag, else the field's own in snake case.
type Field struct {
	Index []int // for reflect.Value.FieldByIndex
	Name  string
	Omit  bool // the tag says omitempty or omitzero: left out when zero
}

var fields sync.Map // reflect.Type → []Field

// Fields lists the named fields of a struct, those of embedded structs
// included. The list must not be changed.
func Fields(t reflect.Type) []Field {
	if v, ok := fields.Load(t); ok {
		return v.([]Field)
	}
	var out []Field
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || !f.IsExported() {
			continue
		}
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			name = snake(f.Name)
		}
		out = append(out, Field{f.Index, name, strings.Contains(opts, "omit")})
	}
	fields.Store(t, out)
	return out
}

func snake(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
