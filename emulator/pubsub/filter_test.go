package pubsub

import (
	"strings"
	"testing"
)

func TestFilter(t *testing.T) {
	attrs := map[string]string{"type": "mail", "queue": "sales-eu", "empty": "", "iana.org/tag": "en", "q": `a"b\`, "ü": "1"}
	tests := []struct {
		filter string
		want   bool
	}{
		{``, true},
		{`attributes:type`, true},
		{`attributes:none`, false},
		{`attributes:empty`, true},
		{`attributes.type = "mail"`, true},
		{`attributes.type="mail"`, true},
		{`attributes.type = "Mail"`, false},
		{`attributes.none = ""`, false},
		{`attributes.empty = ""`, true},
		{`attributes.type != "mail"`, false},
		{`attributes.type != "voice"`, true},
		{`attributes.none != "x"`, true},
		{`hasPrefix(attributes.queue, "sales")`, true},
		{`hasPrefix(attributes.queue, "x")`, false},
		{`hasPrefix(attributes.none, "")`, false},
		{`attributes."iana.org/tag" = "en"`, true},
		{`attributes:"iana.org/tag"`, true},
		{`attributes.q = "a\"b\\"`, true},
		{`attributes."\u00fc" = "\x31"`, true},
		{`NOT attributes:none`, true},
		{`-attributes:type`, false},
		{`NOT attributes:none AND attributes:type`, true},
		{`attributes:none OR attributes:type`, true},
		{`attributes:type AND attributes:none`, false},
		{`attributes:type AND (attributes:none OR attributes.queue = "sales-eu")`, true},
		{`NOT (attributes:none OR attributes:type)`, false},
		{`attributes:none OR attributes:nope OR attributes:q`, true},
	}
	for _, tt := range tests {
		f, err := parseFilter(tt.filter)
		if err != nil {
			t.Errorf("%s: %v", tt.filter, err)
			continue
		}
		if got := f(attrs); got != tt.want {
			t.Errorf("%s = %v, want %v", tt.filter, got, tt.want)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	for _, text := range []string{
		`attributes`, `attributes.`, `attributes.k`, `attributes.k =`, `attributes.k = v`, `attributes.k == "v"`,
		`attributes.k < "v"`, `attributes.a/b = "v"`, `attributes.k = "v`, `attributes.k = "\q"`, `data = "x"`,
		`attributes:k AND attributes:l OR attributes:m`, `attributes:k and attributes:l`, `attributes:k attributes:l`,
		`(attributes:k`, `attributes:k)`, `NOT`, `NOT NOT attributes:k`, `hasPrefix(attributes.k "v")`, `hasprefix(attributes.k, "v")`,
		`hasSuffix(attributes.k, "v")`, `attributes.k = ("a" OR "b")`, `attributes:*`, ` `,
		`attributes.k = "` + strings.Repeat("x", maxFilter) + `"`,
	} {
		if _, err := parseFilter(text); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(`NOT (attributes.a = "b" OR hasPrefix(attributes."c", "d"))`)
	f.Add(`attributes.a = "\`)
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseFilter(text)
		if err == nil {
			parsed(map[string]string{"a": "b"}) // must not panic
		}
	})
}
