package email_test

import (
	"slices"
	"testing"

	"emailchannel.dev/emailchannel/shared/email"
)

func TestContentIDs(t *testing.T) {
	for name, c := range map[string]struct {
		html string
		want []string
	}{
		"none":       {`<p>cid:a is no address</p><img src="https://example.com/cid:a"><a title="cid:a">`, nil},
		"pictures":   {`<IMG SRC="CID:a@b"><img src=cid:c><img src=" cid:a@b "><td background='cid:d'>`, []string{"a@b", "c", "d"}},
		"escaped":    {`<img src="cid:a%40b&amp;c">`, []string{"a@b&c"}},
		"bad escape": {`<img src="cid:100%">`, []string{"100%"}},
		"style":      {`<p style="background: URL('cid:a') no-repeat, url(cid:b)">`, []string{"a", "b"}},
		"sheet":      {`<style>p { background: url("cid:a") }</style><p>url(cid:b)</p>`, []string{"a"}},
		"set":        {`<img srcset="cid:a 1x, cid:b 2x">`, []string{"a", "b"}},
		"empty":      {`<img src="cid:"><img src>`, nil},
		"cut":        {`<img src="cid:a"><p style="url(cid:b`, []string{"a"}},
		"turkish":    {"<p style=\"\u0130\u0130\u0130 url(cid:a)\">", []string{"a"}},
	} {
		if got := email.ContentIDs(c.html); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
