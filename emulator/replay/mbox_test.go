package replay

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The mails of an mbox are what was put into it.
func TestMboxKeepsMails(t *testing.T) {
	const first, second = "Subject: 1\n\n>From the start\n>>From two\nplain >From\n", "Subject: 2\n\nHello\n\nFrom here on: nothing.\n\nFrom me\n"
	const from = "From a@b Mon Mar  2 08:00:00 2026\n"
	stuffed := strings.ReplaceAll(first, "\n>", "\n>>")
	for name, c := range map[string]struct {
		raw  string
		want []string
	}{
		"a mail each":         {from + stuffed + "\n" + from + second + "\n", []string{from + first, from + second}},
		"no empty line after": {from + first[:11] + "\n\n" + from + second, []string{from + first[:11] + "\n", from + second}},
		"no final newline":    {from + "Subject: 1\n\nbody", []string{from + "Subject: 1\n\nbody"}},
		"within a paragraph":  {from + first[:11] + "\nbody\n" + from + second, []string{from + first[:11] + "\nbody\n" + from + second}},
		"only a header":       {"From - \nSubject: 1\n\nFrom \nSubject: 2\n", []string{"From - \nSubject: 1\n", "From \nSubject: 2\n"}},
		"nothing":             {"", nil},
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			var got []string
			for _, m := range splitMbox([]byte(strings.ReplaceAll(c.raw, "\n", eol))) {
				got = append(got, strings.ReplaceAll(string(m), eol, "\n"))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s, with %q (-want +got):\n%s", name, eol, diff)
			}
		}
	}
}
