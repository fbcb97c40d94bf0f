package email

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddressList(t *testing.T) {
	tests := []struct {
		raw  string
		want []Address
	}{
		{"a@example.com", []Address{{"", "a@example.com"}}},
		{"Ann <a@example.com>, b@example.com", []Address{{"Ann", "a@example.com"}, {"", "b@example.com"}}},
		{`"Doe, John" <j@example.com>; "x \"y\"" <x@example.com>`, []Address{{"Doe, John", "j@example.com"}, {`x "y"`, "x@example.com"}}},
		{"a@example.com (Ann Example)", []Address{{"Ann Example", "a@example.com"}}},
		{"Team: a@example.com, B <b@example.com>;, c@example.com", []Address{{"", "a@example.com"}, {"B", "b@example.com"}, {"", "c@example.com"}}},
		{"undisclosed-recipients:;", nil},
		{"", nil},
		{"MAILER-DAEMON", []Address{{"", "MAILER-DAEMON"}}},
		{"Ann a@example.com", []Address{{"Ann", "a@example.com"}}},
		{"=?utf-8?q?J=C3=BCrgen=2C_M?= <j@example.com>", []Address{{"Jürgen, M", "j@example.com"}}},
		{`"=?utf-8?q?J=C3=BCrgen?=" <j@example.com>`, []Address{{"Jürgen", "j@example.com"}}},
		{"'a@example.com' <a@example.com>", []Address{{"a@example.com", "a@example.com"}}},
		{"<@route.example,@b.example:a@example.com>", []Address{{"", "a@example.com"}}},
		{"Ann <a@example.com", []Address{{"Ann", "a@example.com"}}},
		{"Ann <<a@example.com>>", []Address{{"Ann <", "a@example.com"}}},
		{`"unclosed <a@example.com>`, []Address{{"unclosed", "a@example.com"}}},
		{"<a@example.com>, <b@example.com>", []Address{{"", "a@example.com"}, {"", "b@example.com"}}},
		{"mailto:a@example.com", []Address{{"", "a@example.com"}}},
		{"a @ example.com", []Address{{"", "a@example.com"}}},
		{`"odd name"@example.com`, []Address{{"", `"odd name"@example.com`}}},
		{"イ <a@example.jp>", []Address{{"イ", "a@example.jp"}}},
		{"Only A Name", nil},
		{"Doe, John <j@example.com>", []Address{{"Doe, John", "j@example.com"}}},
		{"Doe, John, Dr. <j@example.com>, b@example.com", []Address{{"Doe, John, Dr.", "j@example.com"}, {"", "b@example.com"}}},
		{`"Doe, John", <j@example.com>`, []Address{{"Doe, John", "j@example.com"}}},
		{"a@example.com, Doe, John <j@example.com>", []Address{{"", "a@example.com"}, {"Doe, John", "j@example.com"}}},
		{"root, a@example.com", []Address{{"", "root"}, {"", "a@example.com"}}},
		{"root; Ann <a@example.com>", []Address{{"", "root"}, {"Ann", "a@example.com"}}},
		{", Ann <a@example.com>", []Address{{"Ann", "a@example.com"}}},
		{"a@example.com (Ann <sales>)", []Address{{"", "a@example.com"}}},
		{"Ann <a@example.com> (of <sales>)", []Address{{"Ann", "a@example.com"}}},
		{"=?utf-8?B?SsO8cmdlbiA8akBleGFtcGxlLmNvbT4=?=", []Address{{"Jürgen", "j@example.com"}}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, ParseAddressList(tt.raw)); diff != "" {
			t.Errorf("%q:\n%s", tt.raw, diff)
		}
	}
	if n := len(ParseAddressList(strings.Repeat("a@example.com,", 5000))); n != maxAddresses {
		t.Errorf("%d addresses", n)
	}
}

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		" <Ann@Example.COM> ": "ann@example.com", "a@BÜCHER.example": "a@xn--bcher-kva.example", "a@xn--bcher-kva.example": "a@xn--bcher-kva.example",
		"Ä@example.com.": "ä@example.com", "POSTMASTER": "postmaster", "": "", "@": "@", "a@\xff": "a@\ufffd",
	} {
		if have := Normalize(in); have != want {
			t.Errorf("Normalize(%q) = %q, want %q", in, have, want)
		}
		if have := Normalize(Normalize(in)); have != want {
			t.Errorf("Normalize twice(%q) = %q", in, have)
		}
	}
}

func TestBaseAddress(t *testing.T) {
	for in, want := range map[string]string{
		"Jane+Shop@Example.com": "jane@example.com", "jane+a+b@x": "jane@x", "jane@x": "jane@x", "+jane@x": "+jane@x",
		"jane@x+y": "jane@x+y", "jane+shop": "jane+shop", "jane-shop@x": "jane-shop@x", "<a+b@BÜCHER.example>": "a@xn--bcher-kva.example", "": "",
	} {
		if have := BaseAddress(in); have != want {
			t.Errorf("%q: %q, want %q", in, have, want)
		}
	}
}

func TestParseMessageIDs(t *testing.T) {
	tests := []struct {
		raw  string
		want []string
	}{
		{"<a@b>", []string{"a@b"}},
		{"<a@b> <c@d>\n\t<a@b>", []string{"a@b", "c@d"}},
		{"<a@b><c@d>,<e@f>", []string{"a@b", "c@d", "e@f"}},
		{"a@b", []string{"a@b"}},
		{"Message from Ann of Monday", nil},
		{"Your message of Monday <a@b> (x)", []string{"a@b"}},
		{"<no-host>", []string{"no-host"}},
		{"<a @ b>", []string{"a@b"}},
		{"<unclosed@x <a@b>", []string{"a@b"}},
		{"=?utf-8?q?=3Ca=40b=3E?=", []string{"a@b"}},
		{"<a@b> =?us-ascii?B?PGMtbG9uZw==?=\r\n =?us-ascii?B?QGQ+?=", []string{"a@b", "c-long@d"}},
		{"<=?utf-8?q?a?=@b>", []string{"=?utf-8?q?a?=@b"}},
		{"<>", nil},
		{"<" + strings.Repeat("x", 2000) + "@y> <a@b>", []string{"a@b"}},
		{"", nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, ParseMessageIDs(tt.raw)); diff != "" {
			t.Errorf("%.80q:\n%s", tt.raw, diff)
		}
	}
	var many strings.Builder
	for i := range 3000 {
		many.WriteString("<" + itoa(i) + "@x> ")
	}
	if ids := ParseMessageIDs(many.String()); len(ids) != maxMessageIDs || ids[0] != "0@x" || ids[maxMessageIDs-1] != "2999@x" {
		t.Errorf("%d IDs: %v ... %v", len(ids), ids[0], ids[len(ids)-1])
	}
}

func TestNewMessageID(t *testing.T) {
	for in, want := range map[string]string{"abc-1": "abc-1@bücher.example", "a b<c>\r\n": "abc@bücher.example", "": "mail@bücher.example"} {
		want = strings.Replace(want, "bücher", "xn--bcher-kva", 1)
		if have := NewMessageID(in, "Bücher.example"); have != want {
			t.Errorf("%q: %q, want %q", in, have, want)
		}
	}
}
