package session

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNewID(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"zeros", "\x00\x00\x00\x00\x00\x00\x00", "00000000000"},
		{"ones", "\xff\xff\xff\xff\xff\xff\xff", "ZZZZZZZZZZZ"},
		{"first five bits first", "\x08\x00\x00\x00\x00\x00\x02", "10000000001"},
	}
	for _, tt := range tests {
		if got, err := NewID(strings.NewReader(tt.in)); err != nil || got != tt.want {
			t.Errorf("%s: got %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
	if id, err := NewID(bytes.NewReader(make([]byte, 6))); err == nil {
		t.Errorf("six bytes gave %q", id)
	}
	seen := map[string]bool{}
	for range 10_000 {
		id, err := NewID(rand.Reader)
		if err != nil || seen[id] {
			t.Fatalf("%q, %v: failed or came twice", id, err)
		}
		seen[id] = true
	}
}

func TestParseID(t *testing.T) {
	tests := []struct{ in, want string }{
		{"8F3K2M9QX01", "8F3K2M9QX01"},
		{" 8f3k2m9qxoi\n", "8F3K2M9QX01"},
		{"8F3K2M9QXOL", "8F3K2M9QX01"},
		{"8F3K2M9QX0", ""},
		{"8F3K2M9QX012", ""},
		{"8F3K2M9QX0U", ""},
		{"8F3K2M9QX0é", ""},
		{"../8F3K2M9Q", ""},
		{"", ""},
	}
	for _, tt := range tests {
		got, err := ParseID(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("ParseID(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestFindToken(t *testing.T) {
	const id = "8F3K2M9QX01"
	present, past, foreign := []byte("present key"), []byte("past key"), []byte("foreign key")
	keys := [][]byte{present, past}
	token := Token(id, present)
	if len(token) != len("[#8F3K2M9QX01-XXXXXXXX]") || !strings.HasPrefix(token, "[#"+id+"-") {
		t.Fatalf("token %q", token)
	}
	sig := token[len("[#8F3K2M9QX01-") : len(token)-1]
	flipped := "0" + sig[1:]
	if sig[0] == '0' {
		flipped = "1" + sig[1:]
	}
	tests := []struct {
		name, subject string
		keys          [][]byte
		ok, tampered  bool
	}{
		{"none", "Re: my order [#12345]", keys, false, false},
		{"at the end", "Re: my order " + token, keys, true, false},
		{"lower case", "AW: " + strings.ToLower(token), keys, true, false},
		{"typed by hand", "Re: " + strings.NewReplacer("0", "O", "1", "l").Replace(token), keys, true, false},
		{"folded inside", "Re: [#8F3K2M 9QX01-\r\n " + sig + " ]", keys, true, false},
		{"past key", "Re: " + Token(id, past), keys, true, false},
		{"foreign key", "Re: " + Token(id, foreign), keys, false, true},
		{"another's signature", "Re: [#8F3K2M9QX02-" + sig + "]", keys, false, true},
		{"wrong signature", "Re: [#" + id + "-" + flipped + "]", keys, false, true},
		{"no session's alphabet", "Re: [#UUUUUUUUUUU-" + sig + "]", keys, false, true},
		{"a stranger's token before ours", "Re: " + Token(id, foreign) + " " + token, keys, true, false},
		{"no key", "Re: " + token, nil, false, true},
		{"empty key", "Re: [#" + id + "-" + sign(id, nil) + "]", [][]byte{{}}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok, tampered := FindToken(tt.subject, tt.keys)
			if ok != tt.ok || tampered != tt.tampered || ok != (got == id) {
				t.Errorf("FindToken(%q) = %q, %v, %v", tt.subject, got, ok, tampered)
			}
		})
	}
	if got := Token(id, nil) + Token("short", present); got != "" {
		t.Errorf("a token was signed without key or ID: %q", got)
	}
}

func TestTokenRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, err := NewID(bytes.NewReader(rapid.SliceOfN(rapid.Byte(), 7, 7).Draw(t, "random")))
		if err != nil {
			t.Fatal(err)
		}
		key := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "key")
		subject := rapid.StringMatching(`[^\[\]]{0,20}`).Draw(t, "before") + Token(id, key) + rapid.String().Draw(t, "after")
		if got, ok, _ := FindToken(subject, [][]byte{key}); !ok || got != id {
			t.Fatalf("%q in %q: got %q, %v", id, subject, got, ok)
		}
	})
}
