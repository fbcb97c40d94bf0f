package wire

import (
	"errors"
	"reflect"
	"time"

	"emailchannel.dev/emailchannel/shared/hours"
)

// words are the types that are written as people write them.
var words = map[reflect.Type]struct {
	format func(reflect.Value) string
	parse  func(string) (any, error)
}{
	reflect.TypeFor[time.Time](): {
		func(v reflect.Value) string {
			return v.Interface().(time.Time).Truncate(time.Microsecond).Format(time.RFC3339Nano) // as the database will say
		},
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
