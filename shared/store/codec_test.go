package store

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"emailchannel.dev/emailchannel/shared/channel"
)

type kind string

type inner struct {
	Name string `json:"name"`
	N    int64
}

// everything has a field of each sort that documents use.
type everything struct {
	Text     string           `json:"text"`
	Kind     kind             `json:"kind"`
	Yes      bool             `json:"yes"`
	Small    int8             `json:"small"`
	Int      int              `json:"int"`
	Unsigned uint32           `json:"unsigned"`
	Float    float64          `json:"float"`
	At       time.Time        `json:"at"`
	Later    time.Time        `json:"later,omitzero"`
	Raw      []byte           `json:"raw"`
	List     []string         `json:"list"`
	Few      []inner          `json:"few,omitempty"`
	ByName   map[string]inner `json:"by_name,omitempty"`
	ByKind   map[kind]int     `json:"by_kind,omitempty"`
	Inner    inner            `json:"inner"`
	Pointer  *inner           `json:"pointer,omitempty"`
	UserID   string           // without a tag
	Hidden   string           `json:"-"`
	private  int
}

// text is any string that is valid UTF-8, as Firestore takes no other.
func text() *rapid.Generator[string] { return rapid.String() }

func instant() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "µs")).UTC() // Firestore keeps microseconds
	})
}

func anInner() *rapid.Generator[inner] {
	return rapid.Custom(func(t *rapid.T) inner {
		return inner{text().Draw(t, "name"), rapid.Int64().Draw(t, "n")}
	})
}

func anything() *rapid.Generator[everything] {
	return rapid.Custom(func(t *rapid.T) everything {
		v := everything{
			Text: text().Draw(t, "text"), Kind: kind(text().Draw(t, "kind")), Yes: rapid.Bool().Draw(t, "yes"),
			Small: rapid.Int8().Draw(t, "small"), Int: rapid.Int().Draw(t, "int"), Unsigned: rapid.Uint32().Draw(t, "unsigned"), Float: rapid.Float64().Draw(t, "float"),
			At: instant().Draw(t, "at"), Raw: rapid.SliceOf(rapid.Byte()).Draw(t, "raw"), List: rapid.SliceOf(text()).Draw(t, "list"),
			Inner: anInner().Draw(t, "inner"), UserID: text().Draw(t, "user"),
		}
		if rapid.Bool().Draw(t, "with the optional ones") {
			p := anInner().Draw(t, "pointer")
			v.Later, v.Pointer = instant().Draw(t, "later"), &p
			v.Few = rapid.SliceOfN(anInner(), 1, 3).Draw(t, "few")
			v.ByName = rapid.MapOfN(text(), anInner(), 1, 3).Draw(t, "by name")
			v.ByKind = rapid.MapOfN(rapid.Custom(func(t *rapid.T) kind { return kind(text().Draw(t, "k")) }), rapid.Int(), 1, 3).Draw(t, "by kind")
		}
		return v
	})
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anything().Draw(t, "value")
		want.Hidden, want.private = "not stored", 7
		var got everything
		if err := decode(encode(want), &got); err != nil {
			t.Fatal(err)
		}
		want.Hidden, want.private = "", 0
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(everything{}), cmp.Comparer(func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) })); diff != "" {
			t.Fatalf("(-want/+got)\n%s", diff)
		}
	})
}

// Only these types come out, which are those that the Firestore client takes and gives back.
func TestEncodedTypes(t *testing.T) {
	var check func(t *rapid.T, v any)
	check = func(t *rapid.T, v any) {
		switch v := v.(type) {
		case nil, string, bool, int64, float64, time.Time, []byte:
		case []any:
			for _, x := range v {
				check(t, x)
			}
		case map[string]any:
			for _, x := range v {
				check(t, x)
			}
		default:
			t.Fatalf("encoded as %T", v)
		}
	}
	rapid.Check(t, func(t *rapid.T) { check(t, encode(anything().Draw(t, "value"))) })
}

// Every document type of the channel can be stored and read back, also when its optional fields are empty.
func TestDocumentTypes(t *testing.T) {
	for _, v := range []any{
		channel.Settings{}, channel.Account{}, channel.Queue{}, channel.Agent{}, channel.Team{}, channel.Cursor{}, channel.Mail{}, channel.Session{}, channel.Message{},
		channel.History{}, channel.Outbound{}, channel.CRMRecord{}, channel.Operation{}, channel.Quarantined{}, channel.DeadLetter{}, channel.Lease{}, channel.Login{}, channel.Discard{},
		channel.Erasure{}, channel.ErasedItem{},
	} {
		typ := reflect.TypeOf(v)
		t.Run(typ.Name(), func(t *testing.T) {
			full := reflect.New(typ)
			populate(full.Elem(), 0)
			for name, x := range map[string]reflect.Value{"empty": reflect.New(typ), "full": full} {
				got := reflect.New(typ)
				stored := encode(x.Interface())
				if err := decode(stored, got.Interface()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if diff := cmp.Diff(stored, encode(got.Interface())); diff != "" {
					t.Errorf("%s: (-first/+again)\n%s", name, diff)
				}
			}
		})
	}
}

// populate sets every exported field to something that is not its zero value.
func populate(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(3)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			populate(v.Index(i), depth+1)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		populate(key, depth+1)
		populate(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		populate(v.Elem(), depth+1)
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && depth < 10 {
				populate(v.Field(i), depth+1)
			}
		}
	}
}

func TestNames(t *testing.T) {
	m, ok := encode(everything{Hidden: "h", private: 1}).(map[string]any)
	if !ok {
		t.Fatal("a struct is no map")
	}
	for name, there := range map[string]bool{"user_id": true, "text": true, "at": true, "list": true, "later": false, "few": false, "by_name": false, "pointer": false, "-": false, "Hidden": false, "hidden": false, "private": false} {
		if _, ok := m[name]; ok != there {
			t.Errorf("field %q is stored: %v, want %v", name, ok, there)
		}
	}
}

func TestMissingFieldsKeepTheirValue(t *testing.T) {
	got := everything{Text: "before", Int: 4}
	if err := decode(map[string]any{"int": int64(5), "of another version": "ignored"}, &got); err != nil {
		t.Fatal(err)
	}
	if got.Text != "before" || got.Int != 5 {
		t.Errorf("%+v", got)
	}
}

func TestNull(t *testing.T) {
	got := everything{Text: "x", List: []string{"x"}, Pointer: &inner{}, At: time.Now()}
	if err := decode(map[string]any{"text": nil, "list": nil, "pointer": nil, "at": nil}, &got); err != nil {
		t.Fatal(err)
	}
	if got.Text != "" || got.List != nil || got.Pointer != nil || !got.At.IsZero() {
		t.Errorf("%+v", got)
	}
}

func TestMismatch(t *testing.T) {
	for name, c := range map[string]struct {
		stored map[string]any
		parts  []string // of the error
	}{
		"a number for text":       {map[string]any{"text": int64(1)}, []string{"text:", "int64", "string"}},
		"text for a number":       {map[string]any{"int": "1"}, []string{"int:", "string"}},
		"text for a time":         {map[string]any{"at": "2026-03-02"}, []string{"at:", "string", "time.Time"}},
		"too large":               {map[string]any{"small": int64(128)}, []string{"small:", "int8"}},
		"negative for unsigned":   {map[string]any{"unsigned": int64(-1)}, []string{"unsigned:", "uint32"}},
		"a fraction for a number": {map[string]any{"int": 1.5}, []string{"int:", "float64"}},
		"text for a flag":         {map[string]any{"yes": "true"}, []string{"yes:", "bool"}},
		"a list for a map":        {map[string]any{"inner": []any{}}, []string{"inner:", "inner"}},
		"a map for a list":        {map[string]any{"list": map[string]any{}}, []string{"list:", "[]string"}},
		"in a list":               {map[string]any{"list": []any{"a", int64(2)}}, []string{"list: [1]:", "int64"}},
		"in a list of structs":    {map[string]any{"few": []any{map[string]any{"name": true}}}, []string{"few: [0]: name:", "bool"}},
		"in a map":                {map[string]any{"by_name": map[string]any{"k": map[string]any{"n": "x"}}}, []string{"by_name: k: n:"}},
		"no map at all":           {map[string]any{"by_kind": "x"}, []string{"by_kind:", "map["}},
	} {
		t.Run(name, func(t *testing.T) {
			var v everything
			err := decode(c.stored, &v)
			if err == nil {
				t.Fatalf("was taken: %+v", v)
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not name %q", err, part)
				}
			}
		})
	}
}

func TestIntoFloat(t *testing.T) {
	var v everything // Firestore gives whole numbers back as integers
	if err := decode(map[string]any{"float": int64(3)}, &v); err != nil || v.Float != 3 {
		t.Errorf("%v, %v", v.Float, err)
	}
}

// Text of mail may hold any bytes; Firestore refuses what is not UTF-8.
func TestInvalidUTF8(t *testing.T) {
	m, _ := encode(everything{Text: "a\xffb", List: []string{"\xc3"}}).(map[string]any)
	if m["text"] != "a\uFFFDb" || !cmp.Equal(m["list"], []any{"\uFFFD"}) {
		t.Errorf("%q, %q", m["text"], m["list"])
	}
}

func TestUnsupportedTypePanics(t *testing.T) {
	defer func() {
		if r, _ := recover().(string); !strings.Contains(r, "chan int") {
			t.Errorf("panic %q does not name the type", r)
		}
	}()
	encode(struct{ C chan int }{make(chan int)})
}
